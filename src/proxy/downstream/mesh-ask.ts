import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Expirable } from "../../core/deadlines.ts";
import type { ConnHandler } from "../../http/carrier.ts";
import type { Conn } from "../../http/conn.ts";
import { HeadReader } from "../../http/h1/head-reader.ts";
import {
  MESH_GRANT,
  MESH_HEAD_LIMITS,
  type MeshConnect,
  type MeshRefusalStatus,
  readMeshConnect,
  writeMeshRefusal,
} from "../../http/h1/mesh-connect.ts";
import { parseRequestHead } from "../../http/h1/parser.ts";
import { connOverTls } from "../../http/open-conn.ts";
import type {
  MeshAcceptDeps,
  MeshHandler,
  MeshPeer,
  MeshRefusal,
  MeshRequest,
} from "./mesh-request.ts";

/** How long a caller may take to read that it was refused. */
const LINGER_MS = 1_000;

/**
 * - `request`: the CONNECT is due
 * - `decision`: handed to `onMesh`
 * - `lingering`: refused, the answer is on its way
 * - `over`: given away, or closed
 */
type State = "request" | "decision" | "lingering" | "over";

/** An authenticated connection, and until when its CONNECT has to be there. */
export interface Asker extends MeshPeer {
  readonly secured: TLSSocket;
  /** Below `secured`. */
  readonly socket: Socket;
  readonly deadlineMs: number;
}

/**
 * The connection of an older host, which is known and asks for one endpoint with a CONNECT of HTTP/1.1. Until it has asked
 * it counts as a handshake in progress.
 */
export class MeshAsk implements ConnHandler, Expirable {
  deadlineMs: number;
  readonly #asker: Asker;
  readonly #deps: MeshAcceptDeps;
  readonly #handler: MeshHandler;
  readonly #conn: Conn;
  readonly #reader = new HeadReader(MESH_HEAD_LIMITS, "request");
  #state: State = "request";
  #request: MeshRequest | null = null;

  constructor(asker: Asker, deps: MeshAcceptDeps, handler: MeshHandler) {
    const { secured, socket, deadlineMs } = asker;
    this.#asker = asker;
    this.#deps = deps;
    this.#handler = handler;
    this.deadlineMs = deadlineMs;
    this.#conn = connOverTls(secured, socket, this);
    // A caller that does not trust us says so only now.
    secured.on("error", (error) => this.#giveUp("handshake", error.message));
    deps.deadlines.add(this);
  }

  onBytes(chunk: Buffer, end: number): void {
    if (this.#state === "decision") this.#keepBack(chunk);
    if (this.#state !== "request") return;
    let at = -1;
    let asked: MeshConnect | string = "";
    try {
      at = this.#reader.read(chunk, 0, end);
      if (at === -1) return;
      asked = readMeshConnect(parseRequestHead(this.#reader.text, MESH_HEAD_LIMITS));
    } catch (error) {
      asked = error instanceof Error ? error.message : String(error);
    }
    if (typeof asked === "string") this.#misasked(asked);
    else this.#decide(asked, chunk.subarray(at, end));
  }

  #misasked(detail: string): void {
    this.#handler.onMeshRefused("request", detail, this.#asker.remote);
    this.#endHandshake();
    this.#refuse(400, detail);
  }

  #decide(asked: MeshConnect, early: Buffer): void {
    const { peer, principal, identity, remote } = this.#asker;
    this.#endHandshake();
    if (early.length > 0) this.#keepBack(early);
    this.#request = {
      ...{ conn: this.#conn, peer, principal, identity, remote, ...asked },
      grant: () => this.#grant(),
      refuse: (status, reason) => this.#refuse(status, reason),
    };
    this.#handler.onMesh(this.#request);
  }

  /** Back into the stream: whoever is granted the connection reads it. Until then no more is taken in. */
  #keepBack(early: Buffer): void {
    this.#conn.stopReading();
    this.#conn.socket.unshift(early);
  }

  /** The other side has said what it wants: it counts as a handshake no longer. */
  #endHandshake(): void {
    this.#state = "decision";
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#deps.handshakes.end();
  }

  #grant(): Conn {
    const conn = this.#conn;
    if (this.#state !== "decision") return conn;
    this.#leave();
    conn.writeText(MESH_GRANT);
    conn.resumeReading();
    return conn;
  }

  #refuse(status: MeshRefusalStatus, reason: string): void {
    if (this.#state !== "decision") return;
    const conn = this.#conn;
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
    if (state === "request") this.#deps.handshakes.end();
    this.#leave();
    this.#asker.secured.destroy();
    this.#asker.socket.destroySoon();
    if (state === "decision" && this.#request !== null) this.#handler.onMeshGone(this.#request);
    else if (state !== "lingering") {
      this.#handler.onMeshRefused(refusal, detail, this.#asker.remote);
    }
  }

  onDeadline(): void {
    if (this.#state === "lingering") {
      this.#leave();
      this.#conn.destroy();
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
