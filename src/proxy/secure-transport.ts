import type { Config } from "../config/schema.ts";
import type { Clock } from "../core/clock.ts";
import { type Deadlines, deadlineAfter, type Expirable } from "../core/deadlines.ts";
import { MeshError } from "../core/errors.ts";
import type { Credentials } from "../core/identity.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { Carrier } from "../http/carrier.ts";
import type { Conn } from "../http/conn.ts";
import type { VerifiedPeer } from "../identity/peer-verifier.ts";
import type { TlsContexts } from "../identity/tls-contexts.ts";
import type { ToCluster } from "./clusters.ts";
import type { Origin } from "./context.ts";
import type { MeshRoute } from "./upstream/pool/upstream-pool.ts";
import { type Dial, type DialHandler, type DialTarget, dial } from "./upstream/transport/dial.ts";
import {
  dialLink,
  dialMesh,
  type LinkHandler,
  type LinkTarget,
} from "./upstream/transport/mesh-dial.ts";

/** A place to connect to, and how. */
export interface TransportTarget extends DialTarget {
  /** Time limit of the connect, in ms; absent: the daemon's setting. */
  readonly connectMs?: number;
  readonly mesh?: MeshRoute;
}

/** What becomes of a connection to another host: one of `LinkHandler`, or it is not to be had. */
export interface LinkOutcome extends Omit<LinkHandler, "onLinked"> {
  onLinked(conn: Conn): void;
  /** This host has no identities: traffic goes in the clear, where that is allowed. */
  onPlain(): void;
}

/**
 * How a request of this caller reaches an endpoint: undefined where in the clear (the endpoint is on this host, its host
 * takes no mutual TLS, or the caller is a stranger). Throws `MTLS_UNAVAILABLE` where the service demands what cannot be.
 */
export function meshRoute(
  { cluster }: ToCluster,
  endpoint: DataEndpoint,
  origin: Origin,
  protocol: MeshRoute["protocol"],
): MeshRoute | undefined {
  if (endpoint.local) return undefined;
  const { mtls } = cluster.settings;
  const required = (mtls ?? cluster.service.mtls) === "required";
  if (mtls === "disable") return undefined;
  const { mesh: via, identity: destination } = endpoint;
  const source = origin.identity;
  const isOffered = via !== undefined && destination !== undefined;
  if (isOffered && source !== "") {
    const { address: client, workload: caller } = origin;
    return { via, source, destination, protocol, client, caller, required };
  }
  if (!required) return undefined;
  const why = isOffered ? "the caller has no identity" : `${endpoint.host} takes no mutual TLS`;
  throw new MeshError("MTLS_UNAVAILABLE", `${cluster.service.key}, ${why}`);
}

export interface SecureTransportDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly contexts: TlsContexts;
  readonly timeouts: Pick<Config["timeouts"], "connectMs" | "handshakeMs">;
}

/**
 * Opens connections in the clear or by mutual TLS. While this worker has not heard yet whether it has certificates,
 * or lacks one that is on its way, connections wait for it: an early request must neither fail nor leave in the clear.
 */
export class SecureTransport {
  readonly #deps: SecureTransportDeps;
  /** Undefined: not known yet; null: this host has no identity, and none is coming. */
  #credentials: Credentials | null | undefined;
  readonly #waiting = new Set<Patience>();
  /** Whom the other hosts have proved to be. */
  readonly #peers = new WeakMap<Carrier, VerifiedPeer>();
  /** What they were shown. */
  readonly #shown = new WeakMap<
    Carrier,
    { readonly source: string; readonly proof: object | null }
  >();

  constructor(deps: SecureTransportDeps) {
    this.#deps = deps;
  }

  /** The certificates have changed: whoever waits for one looks again. */
  setCredentials(credentials: Credentials | null): void {
    this.#credentials = credentials;
    for (const one of [...this.#waiting]) one.look();
  }

  /** Can there be mutual TLS at all? Without identities everything goes in the clear. */
  get isMeshed(): boolean {
    return this.#credentials !== null;
  }

  /** Does what the other end has proved still hold? Always so in the clear. */
  isTrusted(conn: Carrier): boolean {
    const peer = this.#peers.get(conn);
    return peer === undefined || this.#deps.contexts.stillTrusted(peer);
  }

  dial(target: TransportTarget, handler: DialHandler): Dial {
    const { mesh } = target;
    if (mesh === undefined) return this.#dialPlain(target, handler);
    return this.#onceKnown(mesh, (how) => this.#dialAs(how, target, mesh, handler));
  }

  /** Opens a connection to another host that carries streams of HTTP/2. */
  dialLink(target: LinkTarget, handler: LinkOutcome): Dial {
    const needs = { source: target.source, required: false };
    return this.#onceKnown(needs, (how) => this.#linkAs(how, target, handler));
  }

  /** Was what this side has shown the certificate that its identity shows now? Always so in the clear. */
  isCurrent(conn: Carrier): boolean {
    const shown = this.#shown.get(conn);
    return shown === undefined || this.#deps.contexts.proofOf(shown.source) === shown.proof;
  }

  /** What comes by this stream comes from whom the connection has proved to be. */
  vouch(stream: Carrier, conn: Carrier): void {
    const peer = this.#peers.get(conn);
    if (peer !== undefined) this.#peers.set(stream, peer);
  }

  #onceKnown(needs: Needs, go: (how: Means) => Dial): Dial {
    const verdict = this.#verdict(needs);
    if (verdict !== "wait") return go(verdict);
    const patience = new Patience(this.#deps, {
      ready: () => this.#verdict(needs) !== "wait",
      go: () => {
        const now = this.#verdict(needs);
        return go(now === "wait" ? "none" : now);
      },
      over: () => this.#waiting.delete(patience),
    });
    this.#waiting.add(patience);
    return patience;
  }

  #linkAs(how: Means, target: LinkTarget, handler: LinkOutcome): Dial {
    if (how === "plain") return soon(() => handler.onPlain());
    if (how === "none") return soon(() => handler.onDialFailed(unavailable(target.source)));
    const { timeouts, ...deps } = this.#deps;
    const { source } = target;
    const proof = deps.contexts.proofOf(source);
    const remembering: LinkHandler = {
      onLinked: (conn, peer) => {
        this.#peers.set(conn, peer);
        this.#shown.set(conn, { source, proof });
        handler.onLinked(conn);
      },
      onOlder: () => handler.onOlder(),
      onDialFailed: (error) => handler.onDialFailed(error),
    };
    return dialLink(target, remembering, { ...deps, ...timeouts });
  }

  #verdict({ source, required }: Needs): Means | "wait" {
    if (this.#credentials === undefined) return "wait";
    if (this.#credentials === null) return required ? "none" : "plain";
    return this.#hasCertificate(source) ? "mesh" : "wait";
  }

  /** One that cannot be used is like none: the next may be better. */
  #hasCertificate(source: string): boolean {
    try {
      return this.#deps.contexts.client(source) !== null;
    } catch {
      return false;
    }
  }

  #dialAs(how: Means, target: TransportTarget, mesh: MeshRoute, handler: DialHandler): Dial {
    if (how === "plain") return this.#dialPlain(target, handler);
    if (how === "none") return soon(() => handler.onDialFailed(unavailable(mesh.source)));
    const { timeouts, ...deps } = this.#deps;
    const { host, port } = target;
    const remembering: DialHandler = {
      onConnected: (conn, peer) => {
        if (peer !== undefined) this.#peers.set(conn, peer);
        handler.onConnected(conn);
      },
      onDialFailed: (error, isUnknown) => handler.onDialFailed(error, isUnknown),
    };
    const limits = { ...timeouts, connectMs: target.connectMs ?? timeouts.connectMs };
    return dialMesh({ ...mesh, host, port }, remembering, { ...deps, ...limits });
  }

  #dialPlain(target: TransportTarget, handler: DialHandler): Dial {
    const { clock, deadlines, timeouts } = this.#deps;
    const { connectMs = timeouts.connectMs } = target;
    return dial(target, handler, { clock, deadlines, connectMs });
  }
}

/** Whom a connection is made for, and whether it may do without mutual TLS. */
type Needs = Pick<MeshRoute, "source" | "required">;

/** How it is made; `none`: not at all. */
type Means = "mesh" | "plain" | "none";

/** The handler is told a little later, as with every dial: the caller has no `Dial` yet. */
function soon(tell: () => void): Dial {
  let cancelled = false;
  queueMicrotask(() => {
    if (!cancelled) tell();
  });
  return {
    cancel: () => {
      cancelled = true;
    },
  };
}

function unavailable(source: string): MeshError {
  return new MeshError("MTLS_UNAVAILABLE", `no certificate for ${source}`);
}

interface Wait {
  ready(): boolean;
  /** Dials; the certificate is there, or the time is over. */
  go(): Dial;
  over(): void;
}

/** A dial that waits for a certificate, for the length of a handshake at most. */
class Patience implements Dial, Expirable {
  deadlineMs: number;
  readonly #deadlines: Deadlines;
  readonly #wait: Wait;
  #dial: Dial | null = null;
  #isOver = false;

  constructor({ clock, deadlines, timeouts }: SecureTransportDeps, wait: Wait) {
    this.#deadlines = deadlines;
    this.#wait = wait;
    this.deadlineMs = deadlineAfter(clock.now(), timeouts.handshakeMs);
    deadlines.add(this);
  }

  look(): void {
    if (this.#wait.ready()) this.#proceed();
  }

  onDeadline(): void {
    this.#proceed();
  }

  #proceed(): void {
    if (this.#isOver) return;
    this.#end();
    this.#dial = this.#wait.go();
  }

  cancel(): void {
    this.#end();
    this.#dial?.cancel();
  }

  #end(): void {
    this.#isOver = true;
    this.#deadlines.delete(this);
    this.#wait.over();
  }
}
