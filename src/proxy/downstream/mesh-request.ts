import type { HostPort } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { Deadlines } from "../../core/deadlines.ts";
import type { Carrier } from "../../http/carrier.ts";
import type { Conn } from "../../http/conn.ts";
import type { MeshProtocol, MeshRefusalStatus } from "../../http/h1/mesh-connect.ts";
import type { VerifiedPeer } from "../../identity/peer-verifier.ts";
import type { TlsContexts } from "../../identity/tls-contexts.ts";

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

/** Who is at the other end of an authenticated connection. */
export interface MeshPeer {
  /** The caller's SPIFFE ID, proved by its certificate. */
  readonly principal: string;
  /** Proof of it; `TlsContexts.stillTrusted` says whether it holds when authorities have changed. */
  readonly peer: VerifiedPeer;
  /** The SPIFFE ID that we presented: the endpoints asked for must be of it. */
  readonly identity: string;
  /** Canonical address that the connection comes from. */
  readonly remote: string;
}

/** What an authenticated caller asks for: to be joined to an endpoint. Answer once: `grant` or `refuse`. */
export interface MeshRequest extends MeshPeer {
  /** By what it has come. Nothing of it is for others until it is granted, but to end it. */
  readonly conn: Carrier;
  /** The endpoint that is asked for; its host is a canonical IP address. */
  readonly authority: HostPort;
  readonly protocol: MeshProtocol;
  /** Address of the calling workload as its host says it; "" where it says none. */
  readonly client: string;
  /** Sends 200 and gives the bytes away: set `handler` at once, those that came meanwhile are told behind this turn. */
  grant(): Carrier;
  /** Answers with an error and closes. `reason` is for the other host's log. */
  refuse(status: MeshRefusalStatus, reason: string): void;
}

/** An authenticated connection that speaks HTTP/2: set `conn.handler` at once, reading goes on from the next turn. */
export interface AcceptedLink extends MeshPeer {
  readonly conn: Conn;
  /** `TlsContexts.proofOf` the identity that we presented, as it was then. */
  readonly proof: object | null;
}

export interface MeshHandler {
  /** Of an older host: one request. */
  onMesh(request: MeshRequest): void;
  /** The caller went away while its request was undecided; answering does nothing from now on. */
  onMeshGone(request: MeshRequest): void;
  /** One whose requests come as streams. */
  onMeshLink(link: AcceptedLink): void;
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
  /** From the accepted connection to the end of the handshake, or of an older host's CONNECT; 0: none. */
  readonly handshakeMs: number;
  readonly handshakes: HandshakeCount;
  /**
   * SPIFFE ID of the workload whose address the connection was opened to: it is presented to who asks for no name that is here,
   * as a ztunnel does. "": it is nobody's.
   */
  readonly calledIdentity: string;
}
