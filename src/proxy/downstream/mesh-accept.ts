import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { canonicalAddress, type HostPort } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import { type Deadlines, deadlineAfter, type Expirable } from "../../core/deadlines.ts";
import type { ConnHandler } from "../../http/carrier.ts";
import type { Conn } from "../../http/conn.ts";
import { HeadReader } from "../../http/h1/head-reader.ts";
import {
  MESH_ALPN,
  MESH_GRANT,
  MESH_HEAD_LIMITS,
  type MeshConnect,
  type MeshProtocol,
  type MeshRefusalStatus,
  readMeshConnect,
  writeMeshRefusal,
} from "../../http/h1/mesh-connect.ts";
import { parseRequestHead } from "../../http/h1/parser.ts";
import { connOverTls } from "../../http/open-conn.ts";
import { MAX_CLIENT_HELLO_BYTES, readClientHello } from "../../identity/client-hello.ts";
import type { VerifiedPeer } from "../../identity/peer-verifier.ts";
import { presentedChain } from "../../identity/presented-chain.ts";
import type { ServerContext, TlsContexts } from "../../identity/tls-contexts.ts";

/**
 * Why nothing came of a connection to the mesh port: there are too many handshakes already; the first bytes are no TLS;
 * no identity here has the server name; TLS failed (or had another version or ALPN); the certificate is not trusted; it
 * did not ask with a proper CONNECT; not in time; the other side closed.
 */
export type MeshRefusal =
  | "busy"
  | "not-tls"
  | "unknown-name"
  | "handshake"
  | "certificate"
  | "request"
  | "timeout"
  | "closed";

/** An authenticated connection that asks to be joined to an endpoint. Answer once: `grant` or `refuse`. */
export interface MeshRequest {
  /** Nothing of it is for others until it is granted. */
  readonly conn: Conn;
  /** The caller's SPIFFE ID, proved by its certificate. */
  readonly principal: string;
  /** Proof of it; `TlsContexts.stillTrusted` says whether it holds when authorities have changed. */
  readonly peer: VerifiedPeer;
  /** The SPIFFE ID that we presented: the endpoint asked for must be one of it. */
  readonly identity: string;
  /** The endpoint that is asked for; its host is a canonical IP address. */
  readonly authority: HostPort;
  readonly protocol: MeshProtocol;
  /** Address of the calling workload as its host says it; "" where it says none. */
  readonly client: string;
  /** Sends 200 and gives the connection away: set `conn.handler` at once, reading goes on from the next turn. */
  grant(): Conn;
  /** Answers with an error and closes. `reason` is for the other host's log. */
  refuse(status: MeshRefusalStatus, reason: string): void;
}

export interface MeshHandler {
  onMesh(request: MeshRequest): void;
  /** The caller went away while its request was undecided; answering does nothing from now on. */
  onMeshGone(request: MeshRequest): void;
  /** Nothing came of a connection. `detail` is a clause; `remote` is its address. */
  onMeshRefused(refusal: MeshRefusal, detail: string, remote: string): void;
}

/** Handshakes in progress in one worker: each takes up to some 60 KiB, before anybody has proved anything. */
export interface HandshakeCount {
  /** False: there are as many as may be. */
  begin(): boolean;
  end(): void;
}

export interface MeshAcceptDeps {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly contexts: TlsContexts;
  /** From the accepted connection to the end of the CONNECT; 0: none. */
  readonly handshakeMs: number;
  readonly handshakes: HandshakeCount;
}

/** How long a caller may take to read that it was refused. */
const LINGER_MS = 1_000;
/** Alert, fatal, unrecognized_name (RFC 8446 sections 5.1 and 6). */
const UNKNOWN_NAME_ALERT = Buffer.from([21, 3, 3, 0, 2, 2, 112]);

/**
 * Takes a paused socket (with `allowHalfOpen`) that was opened to the mesh port: TLS 1.3 with certificates on both sides,
 * then a CONNECT. Until both are done the other side is a stranger: time, bytes and the number of such connections are
 * bounded, and no answer tells it why.
 */
export function acceptMesh(socket: Socket, deps: MeshAcceptDeps, handler: MeshHandler): void {
  if (deps.handshakes.begin()) {
    new Acceptance(socket, deps, handler).start();
    return;
  }
  const remote = canonicalAddress(socket.remoteAddress ?? "");
  socket.on("error", ignore);
  socket.resetAndDestroy();
  handler.onMeshRefused("busy", "too many handshakes at once", remote);
}

/**
 * - `hello`: waits for the ClientHello
 * - `handshake`: OpenSSL has it
 * - `request`: the caller is known, its CONNECT is due
 * - `decision`: handed to `onMesh`
 * - `lingering`: refused, the answer is on its way
 * - `over`: given away, or closed
 */
type State = "hello" | "handshake" | "request" | "decision" | "lingering" | "over";

class Acceptance implements ConnHandler, Expirable {
  deadlineMs: number;
  readonly #socket: Socket;
  readonly #deps: MeshAcceptDeps;
  readonly #handler: MeshHandler;
  readonly #remote: string;
  #state: State = "hello";
  #hello: Buffer = Buffer.alloc(0);
  #secured: TLSSocket | null = null;
  #peer: VerifiedPeer | null = null;
  #identity = "";
  #conn: Conn | null = null;
  #reader: HeadReader | null = null;
  #request: MeshRequest | null = null;

  constructor(socket: Socket, deps: MeshAcceptDeps, handler: MeshHandler) {
    this.#socket = socket;
    this.#deps = deps;
    this.#handler = handler;
    this.#remote = canonicalAddress(socket.remoteAddress ?? "");
    this.deadlineMs = deadlineAfter(deps.clock.now(), deps.handshakeMs);
  }

  start(): void {
    const socket = this.#socket;
    this.#deps.deadlines.add(this);
    socket.on("error", ignore);
    socket.on("close", this.#onEarlyEnd);
    socket.on("end", this.#onEarlyEnd);
    socket.on("data", this.#onHello);
    socket.resume();
  }

  readonly #onEarlyEnd = (): void => {
    this.#giveUp("closed", "it closed inside the handshake");
  };

  readonly #onHello = (chunk: Buffer): void => {
    const bytes = this.#hello.length === 0 ? chunk : Buffer.concat([this.#hello, chunk]);
    this.#hello = bytes;
    const hello = readClientHello(bytes);
    if (hello === "incomplete" && bytes.length < MAX_CLIENT_HELLO_BYTES) return;
    if (typeof hello === "string") this.#giveUp("not-tls", "its first bytes are no ClientHello");
    else this.#chooseContext(hello.serverName);
  };

  #chooseContext(serverName: string): void {
    const socket = this.#socket;
    try {
      const chosen = this.#deps.contexts.server(serverName);
      if (chosen !== null) {
        this.#secure(chosen);
        return;
      }
      socket.write(UNKNOWN_NAME_ALERT);
      this.#giveUp("unknown-name", "it asks for an identity that is not on this host");
    } catch (error) {
      this.#giveUp("unknown-name", `the certificate of that identity is unusable: ${error}`);
    }
  }

  #secure({ context, identity }: ServerContext): void {
    const socket = this.#socket;
    this.#state = "handshake";
    this.#identity = identity;
    socket.pause();
    socket.off("data", this.#onHello);
    socket.off("end", this.#onEarlyEnd);
    socket.unshift(this.#hello);
    this.#hello = Buffer.alloc(0);
    const secured = new TLSSocket(socket, {
      ...{ isServer: true, secureContext: context, ALPNProtocols: [MESH_ALPN] },
      // A certificate must be there; we judge it ourselves.
      ...{ requestCert: true, rejectUnauthorized: true },
    });
    this.#secured = secured;
    secured.once("secure", () => this.#authenticate(secured));
    secured.on("error", (error) => this.#giveUp("handshake", error.message));
    // Errors of a TLSSocket that no tls.Server made come by this event alone once its handshake is done.
    secured.on("_tlsError", (error: Error) => {
      if (this.#secured !== null) secured.destroy(error);
    });
    secured.on("close", this.#onEarlyEnd);
  }

  #authenticate(secured: TLSSocket): void {
    if (secured.alpnProtocol !== MESH_ALPN) {
      this.#giveUp("handshake", `it does not speak ${MESH_ALPN}`);
      return;
    }
    const { peer, error } = this.#deps.contexts.verifyPeer(presentedChain(secured));
    if (peer === undefined) {
      this.#giveUp("certificate", error);
      return;
    }
    this.#peer = peer;
    this.#state = "request";
    this.#reader = new HeadReader(MESH_HEAD_LIMITS, "request");
    this.#conn = connOverTls(secured, this.#socket, this);
  }

  onBytes(chunk: Buffer, end: number): void {
    const reader = this.#reader;
    if (this.#state === "decision" && this.#conn !== null) this.#keepBack(this.#conn, chunk);
    if (this.#state !== "request" || reader === null) return;
    let at = -1;
    let asked: MeshConnect | string = "";
    try {
      at = reader.read(chunk, 0, end);
      if (at === -1) return;
      asked = readMeshConnect(parseRequestHead(reader.text, MESH_HEAD_LIMITS));
    } catch (error) {
      asked = error instanceof Error ? error.message : String(error);
    }
    if (typeof asked === "string") this.#misasked(asked);
    else this.#decide(asked, chunk.subarray(at, end));
  }

  #misasked(detail: string): void {
    this.#handler.onMeshRefused("request", detail, this.#remote);
    this.#endHandshake("decision");
    this.#refuse(400, detail);
  }

  #decide(asked: MeshConnect, early: Buffer): void {
    const conn = this.#conn as Conn;
    const peer = this.#peer as VerifiedPeer;
    this.#endHandshake("decision");
    if (early.length > 0) this.#keepBack(conn, early);
    this.#request = {
      ...{ conn, peer, principal: peer.identity, identity: this.#identity, ...asked },
      grant: () => this.#grant(conn),
      refuse: (status, reason) => this.#refuse(status, reason),
    };
    this.#handler.onMesh(this.#request);
  }

  /** Back into the stream: whoever is granted the connection reads it. Until then no more is taken in. */
  #keepBack(conn: Conn, early: Buffer): void {
    conn.stopReading();
    conn.socket.unshift(early);
  }

  /** The other side has proved itself, or is gone: it counts as a handshake no longer. */
  #endHandshake(next: State): void {
    this.#state = next;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#deps.handshakes.end();
  }

  #grant(conn: Conn): Conn {
    if (this.#state !== "decision") return conn;
    this.#leave();
    conn.writeText(MESH_GRANT);
    conn.resumeReading();
    return conn;
  }

  #refuse(status: MeshRefusalStatus, reason: string): void {
    if (this.#state !== "decision") return;
    const conn = this.#conn as Conn;
    this.#state = "lingering";
    this.deadlineMs = this.#deps.clock.now() + LINGER_MS;
    conn.writeText(writeMeshRefusal(status, reason));
    conn.end();
    conn.resumeReading();
  }

  #leave(): void {
    this.#state = "over";
    this.#deps.deadlines.delete(this);
  }

  #giveUp(refusal: MeshRefusal, detail: string): void {
    const state = this.#state;
    if (state === "over") return;
    if (state !== "decision" && state !== "lingering") this.#deps.handshakes.end();
    this.#leave();
    this.#secured?.destroy();
    this.#socket.destroySoon();
    if (state === "decision" && this.#request !== null) this.#handler.onMeshGone(this.#request);
    else if (state !== "lingering") this.#handler.onMeshRefused(refusal, detail, this.#remote);
  }

  onDeadline(): void {
    if (this.#state === "lingering") {
      this.#leave();
      this.#conn?.destroy();
      return;
    }
    this.#giveUp("timeout", `limit ${this.#deps.handshakeMs} ms`);
  }

  onFin(): void {
    // Ours send nothing and end nothing before they are answered.
    if (this.#state === "decision") this.#giveUp("closed", "it closed before it was answered");
    else if (this.#state === "request") this.#giveUp("closed", "it closed before it asked");
  }

  onDrain(): void {
    // The answer is small.
  }

  onClose(error: Error | null): void {
    this.#giveUp("closed", error?.message ?? "it closed before it was answered");
  }
}

function ignore(): void {
  // What matters follows with "close".
}
