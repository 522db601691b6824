import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type SecureContext, type TLSSocket } from "node:tls";
import { formatHostPort, type HostPort } from "../../../core/address.ts";
import { deadlineAfter, type Expirable } from "../../../core/deadlines.ts";
import { MeshError, type MeshErrorCode } from "../../../core/errors.ts";
import type { ConnHandler } from "../../../http/carrier.ts";
import type { Conn } from "../../../http/conn.ts";
import { HeadReader } from "../../../http/h1/head-reader.ts";
import {
  MESH_ALPN,
  MESH_HEAD_LIMITS,
  type MeshProtocol,
  meshRefusalReason,
  PROTOCOL_FIELD,
  writeMeshConnect,
} from "../../../http/h1/mesh-connect.ts";
import { parseResponseHead } from "../../../http/h1/parser.ts";
import { MESH_ALPNS, MESH_H2_ALPN } from "../../../http/h2/mesh-wire.ts";
import type { ResponseHead } from "../../../http/message.ts";
import { connOverTls, sessionOverTls } from "../../../http/open-conn.ts";
import type { ClientSession, SessionKey } from "../../../identity/client-sessions.ts";
import type { VerifiedPeer } from "../../../identity/peer-verifier.ts";
import { presentedChain } from "../../../identity/presented-chain.ts";
import { sniOf } from "../../../identity/sni.ts";
import type { TlsContexts } from "../../../identity/tls-contexts.ts";
import type { Dial, DialDeps, DialHandler, DialTarget } from "./dial.ts";

/** Another host, for what one identity of this host has to say to one of that. */
export interface LinkTarget {
  /** The mesh port of the other host. */
  readonly via: HostPort;
  /** SPIFFE ID of the calling workload, whose certificate is shown. */
  readonly source: string;
  /** SPIFFE ID that the other side must prove. */
  readonly destination: string;
}

/** An endpoint behind another host's mesh port; `host` and `port` are the endpoint's own. */
export interface MeshTarget extends DialTarget, LinkTarget {
  /** What the connection will carry. */
  readonly protocol: MeshProtocol;
  /** Address of the calling workload, for policies of the other host; "": it is not said. */
  readonly client: string;
}

export interface MeshDialDeps extends DialDeps {
  /** From the standing TCP connection to the answer of the other host; 0: none. */
  readonly handshakeMs: number;
  readonly contexts: TlsContexts;
}

/** Told exactly once of the outcome, unless the dial is cancelled first. */
export interface LinkHandler {
  /** The other end is whom it should be, and speaks HTTP/2; the connection's handler is to be replaced at once. */
  onLinked(conn: Conn, peer: VerifiedPeer): void;
  /** It is whom it should be, and knows the older form only (`dialMesh`). */
  onOlder(): void;
  onDialFailed(error: MeshError): void;
}

/**
 * Opens a connection to another host that will carry streams of HTTP/2: TCP to its mesh port, and TLS 1.3 with the
 * certificates of both workloads. Sessions are resumed where there is one between the same two identities.
 *
 * Failures, with nothing sent: those of `dial`; `MTLS_UNAVAILABLE`: the source has no certificate; `TLS_FAILED`: no
 * handshake, or a certificate that is not trusted, on either side; `IDENTITY_MISMATCH`.
 */
export function dialLink(target: LinkTarget, handler: LinkHandler, deps: MeshDialDeps): Dial {
  const standing = {
    onConnected: (conn: Conn, peer: VerifiedPeer) => handler.onLinked(conn, peer),
    onOlder: () => handler.onOlder(),
    onDialFailed: (error: MeshError) => handler.onDialFailed(error),
  };
  return new MeshAttempt(target, null, standing, deps);
}

/**
 * Opens a connection to an endpoint on another host in the form that older hosts know: as `dialLink`, and then a CONNECT
 * for the endpoint.
 *
 * Failures besides those of `dialLink`: `MESH_REFUSED`: the host does not open the connection; `ACCESS_DENIED`: one of its
 * policies forbids it. Nothing of a request was sent.
 */
export function dialMesh(target: MeshTarget, handler: DialHandler, deps: MeshDialDeps): Dial {
  return new MeshAttempt(target, target, handler, deps);
}

interface AttemptHandler extends DialHandler {
  onConnected(conn: Conn, peer: VerifiedPeer): void;
  onOlder?(): void;
}

class MeshAttempt implements Dial, ConnHandler, Expirable {
  deadlineMs: number;
  readonly #target: LinkTarget;
  /** What is asked for by a CONNECT; null: nothing, and HTTP/2 is to be spoken. */
  readonly #asked: MeshTarget | null;
  readonly #deps: MeshDialDeps;
  readonly #sessionKey: SessionKey;
  #handler: AttemptHandler | null;
  #socket: Socket | null = null;
  #secured: TLSSocket | null = null;
  /** With the certificate that is shown. */
  #context: SecureContext | null = null;
  /** Of the session that is to be resumed. */
  #session: ClientSession | null = null;
  #peer: VerifiedPeer | null = null;
  #conn: Conn | null = null;
  #reader: HeadReader | null = null;
  #isUnknown = false;

  constructor(
    target: LinkTarget,
    asked: MeshTarget | null,
    handler: AttemptHandler,
    deps: MeshDialDeps,
  ) {
    const { source, destination, via } = target;
    this.#target = target;
    this.#asked = asked;
    this.#handler = handler;
    this.#deps = deps;
    this.#sessionKey = { source, destination, ...via };
    this.deadlineMs = deadlineAfter(deps.clock.now(), deps.connectMs);
    deps.deadlines.add(this);
    const fault = this.#missingCertificate();
    // The caller does not have this object yet.
    if (fault !== null) process.nextTick(() => this.#fail(fault));
    else this.#connect();
  }

  #missingCertificate(): MeshError | null {
    const { source } = this.#target;
    try {
      if (this.#deps.contexts.client(source) !== null) return null;
      return new MeshError("MTLS_UNAVAILABLE", `there is no certificate for ${source}`);
    } catch (error) {
      return new MeshError("MTLS_UNAVAILABLE", `the certificate for ${source} is unusable`, error);
    }
  }

  #connect(): void {
    const options = { ...this.#target.via, noDelay: true, allowHalfOpen: true };
    const socket = connectTcp(options, () => this.#secure(socket));
    let cause: Error | undefined;
    socket.on("error", (error) => {
      cause = error;
    });
    socket.on("close", () => {
      if (this.#secured !== null) return;
      const refused = cause !== undefined && "code" in cause && cause.code === "ECONNREFUSED";
      this.#lose(refused ? "CONNECT_REFUSED" : "CONNECT_FAILED", "", cause);
    });
    this.#socket = socket;
  }

  #secure(socket: Socket): void {
    const { contexts, clock, handshakeMs } = this.#deps;
    this.deadlineMs = deadlineAfter(clock.now(), handshakeMs);
    const fault = this.#missingCertificate();
    const secureContext = fault === null ? contexts.client(this.#target.source) : null;
    if (secureContext === null) {
      this.#fail(fault as MeshError);
      return;
    }
    this.#context = secureContext;
    this.#session = this.#sessionToResume();
    const session = this.#session?.ticket;
    const secured = connectTls({
      ...{ socket, secureContext, servername: sniOf(this.#target.destination) },
      ALPNProtocols: this.#asked === null ? [...MESH_ALPNS] : [MESH_ALPN],
      ...(session === undefined ? {} : { session }),
      // We judge the certificate ourselves, resumed sessions included.
      rejectUnauthorized: false,
    });
    let cause: Error | undefined;
    secured.once("secureConnect", () => this.#authenticate(secured, socket));
    secured.on("session", this.#onSession);
    secured.on("error", (error) => {
      cause = error;
    });
    secured.on("close", () => {
      const reason = cause === undefined ? "it closed" : reasonOf(cause);
      this.#lose("TLS_FAILED", this.#conn === null ? reason : "closed before it answered", cause);
    });
    this.#secured = secured;
  }

  #sessionToResume(): ClientSession | null {
    const { contexts } = this.#deps;
    const session = contexts.sessions.get(this.#sessionKey) ?? null;
    if (session === null || contexts.mayResume(session.peer)) return session;
    contexts.sessions.delete(this.#sessionKey);
    return null;
  }

  /** Tickets come behind the handshake; the last one is the best. */
  readonly #onSession = (ticket: Buffer): void => {
    const peer = this.#peer;
    // It rests on the certificate that was shown, which may have been renewed since the handshake.
    const isCurrent = this.#missingCertificate() === null && this.#isCurrentContext();
    if (peer === null || !isCurrent) return;
    this.#deps.contexts.sessions.set(this.#sessionKey, { ticket, peer });
  };

  #isCurrentContext(): boolean {
    return this.#deps.contexts.client(this.#target.source) === this.#context;
  }

  #authenticate(secured: TLSSocket, socket: Socket): void {
    const form = secured.alpnProtocol;
    const isLink = this.#asked === null && form === MESH_H2_ALPN;
    if (!isLink && form !== MESH_ALPN) {
      this.#lose("TLS_FAILED", `it does not speak ${MESH_ALPN}`);
      return;
    }
    const { contexts } = this.#deps;
    // A resumed session shows no certificate: whom it was made with is what its ticket was kept with.
    const isResumed = secured.isSessionReused();
    const resumed = isResumed ? this.#session?.peer.chain : undefined;
    const { peer, error } = contexts.verifyPeer(resumed ?? presentedChain(secured));
    if (peer === undefined) {
      this.#lose("TLS_FAILED", error);
      return;
    }
    const { destination } = this.#target;
    if (peer.identity !== destination) {
      this.#lose("IDENTITY_MISMATCH", `expected ${destination}, it is ${peer.identity}`);
      return;
    }
    this.#peer = peer;
    if (isLink) this.#link(sessionOverTls(secured, socket, this), peer);
    else if (this.#asked === null) this.#endOlder();
    else this.#ask(this.#asked, connOverTls(secured, socket, this));
  }

  /** Tickets are still to come: they are behind the handshake. */
  #link(conn: Conn, peer: VerifiedPeer): void {
    this.#settle()?.onConnected(conn, peer);
  }

  #endOlder(): void {
    const handler = this.#settle();
    this.#destroy();
    handler?.onOlder?.();
  }

  #ask({ host, port, protocol, client }: MeshTarget, conn: Conn): void {
    this.#reader = new HeadReader(MESH_HEAD_LIMITS, "response");
    this.#conn = conn;
    conn.writeText(writeMeshConnect({ authority: { host, port }, protocol, client }));
  }

  onBytes(chunk: Buffer, end: number): void {
    const reader = this.#reader;
    if (reader === null || this.#handler === null) return;
    let at = -1;
    let head: ResponseHead | null = null;
    try {
      at = reader.read(chunk, 0, end);
      if (at !== -1) head = parseResponseHead(reader.text, "CONNECT", MESH_HEAD_LIMITS);
    } catch (error) {
      this.#lose("MESH_REFUSED", "its answer is malformed", error);
    }
    if (head !== null) this.#answered(head, chunk.subarray(at, end));
  }

  #answered({ status, reason, fields }: ResponseHead, rest: Buffer): void {
    if (status === 200) {
      this.#handOver(rest);
      return;
    }
    const isDenied = status === 401 || status === 403;
    const said = meshRefusalReason(fields);
    // Hosts of the first versions know connections of HTTP/1.1 and opaque ones.
    const isUnknown = status === 400 && said.startsWith(PROTOCOL_FIELD);
    if (isUnknown && this.#asked?.protocol === "h2") this.#isUnknown = true;
    this.#lose(isDenied ? "ACCESS_DENIED" : "MESH_REFUSED", `${status} ${said || reason}`);
  }

  #handOver(rest: Buffer): void {
    const conn = this.#conn as Conn;
    const handler = this.#settle();
    this.#secured?.off("session", this.#onSession);
    // Back into the stream: as behind every dial, bytes come once the handler has been replaced.
    if (rest.length > 0) {
      conn.stopReading();
      conn.socket.unshift(rest);
      conn.resumeReading();
    }
    handler?.onConnected(conn, this.#peer as VerifiedPeer);
  }

  cancel(): void {
    this.#settle();
    this.#destroy();
  }

  #settle(): AttemptHandler | null {
    const handler = this.#handler;
    this.#handler = null;
    this.#deps.deadlines.delete(this);
    return handler;
  }

  #destroy(): void {
    this.#secured?.destroy();
    this.#socket?.destroy();
  }

  #lose(code: MeshErrorCode, detail: string, cause?: unknown): void {
    const { via } = this.#target;
    const hop = formatHostPort(via.host, via.port);
    const asked = this.#asked;
    const place = asked === null ? hop : `${formatHostPort(asked.host, asked.port)} by ${hop}`;
    this.#fail(new MeshError(code, detail === "" ? place : `${place}: ${detail}`, cause));
  }

  #fail(error: MeshError): void {
    const handler = this.#settle();
    if (handler === null) return;
    // Should the session be the reason, the next handshake is a full one.
    if (this.#session !== null && error.code !== "ACCESS_DENIED" && error.code !== "MESH_REFUSED") {
      this.#deps.contexts.sessions.delete(this.#sessionKey);
    }
    this.#destroy();
    handler.onDialFailed(error, this.#isUnknown);
  }

  onDeadline(): void {
    const { connectMs, handshakeMs } = this.#deps;
    if (this.#secured === null) this.#lose("CONNECT_TIMEOUT", `limit ${connectMs} ms`);
    else if (this.#conn === null) this.#lose("TLS_FAILED", `limit ${handshakeMs} ms`);
    else this.#lose("MESH_REFUSED", `no answer, limit ${handshakeMs} ms`);
  }

  onFin(): void {
    this.#lose("TLS_FAILED", "closed before it answered");
  }

  onDrain(): void {
    // The CONNECT is small.
  }

  onClose(error: Error | null): void {
    this.#lose("TLS_FAILED", "closed before it answered", error ?? undefined);
  }
}

/** OpenSSL's own word for it, without the place in its sources. */
function reasonOf(error: Error): string {
  return "reason" in error && typeof error.reason === "string" ? error.reason : error.message;
}
