import { formatHostPort } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { CODES, MeshError } from "../core/errors.ts";
import type { Carrier } from "../http/carrier.ts";
import type { ToCluster } from "./clusters.ts";
import type { Origin } from "./context.ts";
import type { HandshakeCount, MeshRequest } from "./downstream/mesh-request.ts";
import { Exchange } from "./exchange.ts";
import { toMeshError } from "./failure.ts";
import { meshOrigin } from "./mesh-origin.ts";
import { OpaqueSession } from "./opaque.ts";
import { declaredBy, type Early, Peek } from "./peek.ts";
import type { Plane } from "./plane.ts";
import { recordRefusal } from "./refuse.ts";
import { resolveMesh } from "./resolve.ts";
import { StreamedRequests } from "./streamed-requests.ts";
import type { Tunnel } from "./tunnel.ts";

/**
 * A connection from another host, or one of HBONE within it, whose caller has proved who it is: joined to the local endpoint that it asks for.
 * HTTP is judged request by request; opaque TCP is granted only once policies allow it and the workload is connected, so
 * that the caller's host sees a refusal as one (as with HBONE). Requests in it are found all the same: what the caller's
 * host calls opaque is no reason to believe identity headers.
 */
export class MeshConnection {
  readonly origin: Origin;
  readonly #plane: Plane;
  readonly #request: MeshRequest;
  readonly #onEnd: () => void;
  #requests: Exchange | StreamedRequests | null = null;
  #session: OpaqueSession | null = null;
  #tunnel: Tunnel | null = null;
  #over = false;

  constructor(plane: Plane, request: MeshRequest, onEnd: () => void) {
    this.#plane = plane;
    this.#request = request;
    this.#onEnd = onEnd;
    this.origin = meshOrigin(plane, request, request.authority, request.client);
  }

  /** Joins it, or says why not. */
  begin(): void {
    const { protocol } = this.#request;
    try {
      const destination = resolveMesh(this.#plane, this.origin);
      if (protocol === "tcp") this.#tcp(destination);
      else this.#http(protocol);
    } catch (error) {
      this.#refuse(400, toMeshError(error), true);
    }
  }

  #http(protocol: "http/1.1" | "h2"): void {
    const conn = this.#request.grant();
    const onEnd = () => this.#end();
    this.#requests =
      protocol === "h2"
        ? new StreamedRequests(this.#plane, this.origin, conn, onEnd)
        : Exchange.over(this.#plane, this.origin, conn, onEnd);
  }

  #tcp(destination: ToCluster): void {
    const session = new OpaqueSession(this.#plane, this.origin, destination, {
      onReady: (upstream) => {
        const conn = this.#request.grant();
        if (declaredBy(destination, this.#plane) === "opaque") {
          this.#join(session, conn, { bytes: null, fin: false });
        } else this.#look(session, conn, upstream);
      },
      onFailed: (error) => this.#refuse(CODES[error.code].http === 403 ? 403 : 503, error, false),
    });
    this.#session = session;
    session.start();
  }

  #join(session: OpaqueSession, conn: Carrier, early: Early): Tunnel {
    const tunnel = session.join(conn, early.bytes, () => this.#end(), early.isUnclear);
    this.#tunnel = tunnel;
    if (early.fin) tunnel.finFromClient();
    return tunnel;
  }

  #look(session: OpaqueSession, conn: Carrier, upstream: Carrier): void {
    new Peek(this.#plane, conn, upstream, {
      onOpaque: (early) => this.#join(session, conn, early),
      onHttp: (bytes) => {
        session.abandon();
        this.#session = null;
        const exchange = Exchange.over(this.#plane, this.origin, conn, () => this.#end());
        this.#requests = exchange;
        exchange.receive(bytes, bytes.length);
      },
      onNothing: () => {
        session.cancel(new MeshError("CLIENT_CLOSED", this.origin.address));
        this.#end();
      },
    });
  }

  #refuse(status: 400 | 403 | 503, error: MeshError, isNews: boolean): void {
    if (isNews) recordRefusal(this.#plane, this.origin, error);
    this.#request.refuse(status, error.message);
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#onEnd();
  }

  /** Policies or the trusted authorities have changed. */
  review(): void {
    const { peer, authority, identity } = this.#request;
    const { contexts, services } = this.#plane;
    const isTaken = services.isTakenOver(authority.host, authority.port, identity);
    const isTrusted = contexts.stillTrusted(peer);
    // Requests that are under way were allowed when they began, and a change of authorities must not fail them.
    if (!isTaken && !isTrusted && this.#requests !== null) this.#requests.finish();
    else if (isTaken || !isTrusted) this.destroy();
    else if (this.#requests !== null) this.#requests.review();
    else if (this.#session?.review()) this.destroy();
  }

  /** A shutdown begins. */
  drain(): void {
    this.#requests?.drain();
  }

  /** Ends it now. */
  destroy(): void {
    if (this.#over) return;
    const { authority } = this.#request;
    const place = formatHostPort(authority.host, authority.port);
    if (this.#tunnel !== null) this.#tunnel.close();
    else if (this.#requests !== null) this.#requests.destroy();
    else this.#session?.cancel(new MeshError("CLIENT_CLOSED", place));
    this.#request.conn.destroy();
    this.#end();
  }
}

/** One address may have so large a part of all handshakes in progress: a single stranger must not shut the port. */
const SHARE = 1 / 4;

/** Handshakes in progress in one worker, up to a limit, and up to a part of it for each address. */
export class HandshakeLimit {
  readonly #most: number;
  readonly #byRemote = new Map<string, number>();
  #open = 0;

  constructor(most: number) {
    this.#most = most;
  }

  of(remote: string): HandshakeCount {
    return {
      begin: () => {
        const own = this.#byRemote.get(remote) ?? 0;
        if (this.#open >= this.#most || own >= Math.ceil(this.#most * SHARE)) return false;
        this.#open += 1;
        this.#byRemote.set(remote, own + 1);
        return true;
      },
      end: () => {
        this.#open -= 1;
        const left = (this.#byRemote.get(remote) ?? 1) - 1;
        if (left === 0) this.#byRemote.delete(remote);
        else this.#byRemote.set(remote, left);
      },
    };
  }
}

interface RefusalLogDeps {
  readonly clock: Clock;
  readonly log: (message: string, facts?: object) => void;
}

/** Between two lines about refused connections; those in between are only counted, lest a scan fill the log. */
const QUIET_MS = 1_000;

/** Says why connections to the mesh port came to nothing, once a second at most. */
export class RefusalLog {
  readonly #deps: RefusalLogDeps;
  #nextMs = Number.NEGATIVE_INFINITY;
  #silent = 0;

  constructor(deps: RefusalLogDeps) {
    this.#deps = deps;
  }

  say(facts: { readonly refusal: string; readonly detail: string; readonly remote: string }): void {
    const nowMs = this.#deps.clock.now();
    if (nowMs < this.#nextMs) {
      this.#silent += 1;
      return;
    }
    const more = this.#silent === 0 ? {} : { alsoRefused: this.#silent };
    this.#nextMs = nowMs + QUIET_MS;
    this.#silent = 0;
    this.#deps.log("a connection to the mesh port was refused", { ...facts, ...more });
  }
}
