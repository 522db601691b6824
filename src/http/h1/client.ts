import { MeshError } from "../../core/errors.ts";
import type { Carrier, ConnHandler } from "../carrier.ts";
import type { ResponseHead } from "../message.ts";
import { beginsLikeHttp2, speaksHttp2 } from "../other-version.ts";
import type { Upstream, UpstreamHandler } from "../upstream.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { HeadReader } from "./head-reader.ts";
import { parseResponseHead } from "./parser.ts";

export interface ClientLimits {
  readonly headBytes: number;
  readonly requestLineBytes: number;
  readonly headerCount: number;
}

/** Who owns the connection while no request occupies it. */
export interface ClientOwner {
  onClosed(connection: ClientConnection): void;
}

type State = "idle" | "head" | "body" | "closed";
const NOTHING = Buffer.alloc(0);

/**
 * The client side of an HTTP/1.x connection, or of a tunnel to where HTTP/1.x is spoken: one request in flight, and after each response the verdict
 * whether the connection may serve another. Any doubt about framing means that it may not.
 */
export class ClientConnection implements Upstream, ConnHandler {
  readonly conn: Carrier;
  readonly peer: string;
  /** When it was last put back to a pool, on the caller's clock. */
  idleSinceMs = 0;
  /** When it was opened, on the caller's clock; 0 where nobody asks. */
  openedMs = 0;
  /** Requests begun on this connection. */
  requests = 0;
  readonly #limits: ClientLimits;
  readonly #owner: ClientOwner;
  readonly #reader: HeadReader;
  /** Parsed from the head that the reader read last; serves again while the endpoint repeats it. */
  #lastHead: ResponseHead | null = null;
  #lastMethod = "";
  #handler: UpstreamHandler | null = null;
  #chunked: ChunkedDecoder | null = null;
  #state: State = "idle";
  #method = "";
  #framing: ResponseHead["framing"] = "none";
  #remaining = 0;
  #keepAlive = true;
  #requestSent = true;
  /** Of the interim responses to the current request. */
  #interimBytes = 0;

  constructor(conn: Carrier, peer: string, owner: ClientOwner, limits: ClientLimits) {
    this.conn = conn;
    this.peer = peer;
    this.#owner = owner;
    this.#limits = limits;
    this.#reader = new HeadReader(limits, "response");
    conn.handler = this;
  }

  /** May it be given the next request? */
  get reusable(): boolean {
    return this.#state === "idle" && this.#keepAlive && !this.conn.closed;
  }

  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Occupies the connection with a request. `text` is its head and as much of the body as is known. */
  send(handler: UpstreamHandler, method: string, text: string, complete: boolean): void {
    this.#handler = handler;
    this.#method = method;
    this.#state = "head";
    this.#keepAlive = false;
    this.#requestSent = complete;
    this.#interimBytes = 0;
    this.requests += 1;
    this.conn.writeText(text);
  }

  sendBody(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier): void {
    from.relay(chunk, start, end, this.conn);
    if (last) this.#requestSent = true;
  }

  get version(): 1 {
    return 1;
  }

  get carrier(): Carrier {
    return this.conn;
  }

  onBytes(chunk: Buffer, end: number): void {
    if (this.#state === "idle") {
      this.close();
      return;
    }
    try {
      this.#consume(chunk, end);
    } catch (error) {
      this.#fail(
        error instanceof MeshError ? error : new MeshError("INTERNAL", "while relaying", error),
      );
    }
  }

  #consume(chunk: Buffer, end: number): void {
    let at = 0;
    while (at < end) {
      if (this.#state === "head") at = this.#readHead(chunk, at, end);
      else if (this.#state === "body") at = this.#readBody(chunk, at, end);
      else {
        // Bytes behind a complete response belong to nobody: they must never answer another request.
        this.close();
        return;
      }
    }
  }

  #readHead(chunk: Buffer, start: number, end: number): number {
    if (chunk[start] === 0) this.#mustBeHttp1(chunk, start, end);
    const bodyStart = this.#reader.read(chunk, start, end);
    if (bodyStart === -1) return end;
    const reader = this.#reader;
    const known = reader.repeated && this.#lastMethod === this.#method ? this.#lastHead : null;
    if (known !== null) known.repeats = true;
    const head = known ?? parseResponseHead(reader.text, this.#method, this.#limits);
    this.#lastHead = head;
    this.#lastMethod = this.#method;
    const handler = this.#handler as UpstreamHandler;
    if (head.status < 200 && head.status !== 101) {
      this.#countInterim(head);
      handler.onInformational(head);
      return bodyStart;
    }
    this.#framing = head.framing;
    this.#remaining = head.contentLength;
    if (head.framing === "chunked") this.#startChunked();
    const bodyEnd = this.#bodyEnd(chunk, bodyStart, end);
    const last = this.#bodyDone();
    this.#state = "body";
    const switched = head.status === 101 || (this.#method === "CONNECT" && head.status < 300);
    // A half-sent request or surplus bytes leave the connection in an unknown state.
    this.#keepAlive = head.keepAlive && !switched && bodyEnd === end;
    if (switched) {
      handler.onResponse(head, chunk, bodyStart, end, true);
      return end;
    }
    if (last) this.#finishResponse();
    handler.onResponse(head, chunk, bodyStart, bodyEnd, last);
    if (last) this.conn.endStream();
    return bodyEnd;
  }

  #mustBeHttp1(chunk: Buffer, start: number, end: number): void {
    if (this.#reader.started || !beginsLikeHttp2(chunk, start, end)) return;
    throw new MeshError("UPSTREAM_PROTOCOL", speaksHttp2(this.peer));
  }

  /** Interim responses without end would keep the request waiting for ever: together they are one head. */
  #countInterim(head: ResponseHead): void {
    this.#interimBytes += head.bytes;
    if (this.#interimBytes > this.#limits.headBytes) {
      const detail = `interim responses of more than ${this.#limits.headBytes} bytes`;
      throw new MeshError("UPSTREAM_PROTOCOL", `${this.peer}, ${detail}`);
    }
  }

  #readBody(chunk: Buffer, start: number, end: number): number {
    const bodyEnd = this.#bodyEnd(chunk, start, end);
    const last = this.#bodyDone();
    const handler = this.#handler as UpstreamHandler;
    if (last) {
      this.#keepAlive = this.#keepAlive && bodyEnd === end;
      this.#finishResponse();
    }
    handler.onResponseBody(chunk, start, bodyEnd, last);
    if (last) this.conn.endStream();
    return bodyEnd;
  }

  #finishResponse(): void {
    this.#state = "idle";
    this.#handler = null;
    this.#keepAlive = this.#keepAlive && this.#requestSent;
  }

  #startChunked(): void {
    const { headBytes, headerCount } = this.#limits;
    this.#chunked ??= new ChunkedDecoder({ trailerBytes: headBytes, headerCount }, "response");
    this.#chunked.reset();
  }

  #bodyEnd(chunk: Buffer, start: number, end: number): number {
    if (this.#framing === "none") return start;
    if (this.#framing === "eof") return end;
    if (this.#framing === "chunked")
      return (this.#chunked as ChunkedDecoder).feed(chunk, start, end);
    const size = Math.min(end - start, this.#remaining);
    this.#remaining -= size;
    return start + size;
  }

  #bodyDone(): boolean {
    if (this.#framing === "none") return true;
    if (this.#framing === "eof") return false;
    return this.#framing === "chunked"
      ? (this.#chunked as ChunkedDecoder).done
      : this.#remaining === 0;
  }

  /** Hands the connection to another owner (a tunnel). */
  detach(): void {
    this.#state = "closed";
    this.#handler = null;
  }

  /** Closes at once; a request that occupies it is not told. */
  close(): void {
    this.#handler = null;
    this.#state = "closed";
    this.conn.destroy();
  }

  onFin(): void {
    if (this.#state === "body" && this.#framing === "eof") {
      const handler = this.#handler as UpstreamHandler;
      this.#keepAlive = false;
      this.#finishResponse();
      handler.onResponseBody(NOTHING, 0, 0, true);
      return;
    }
    this.#lost(null);
  }

  onDrain(): void {
    // Bodies are held back by the connections themselves (`relay`).
  }

  onClose(error: Error | null): void {
    this.#lost(error);
    this.#state = "closed";
    this.#owner.onClosed(this);
  }

  #lost(cause: Error | null): void {
    if (this.#state === "idle" || this.#state === "closed") {
      this.close();
      return;
    }
    const begun = this.#state === "body" || this.#reader.started;
    this.#fail(
      new MeshError(begun ? "UPSTREAM_TRUNCATED" : "UPSTREAM_RESET", this.peer, cause ?? undefined),
    );
  }

  #fail(error: MeshError): void {
    const handler = this.#handler;
    this.close();
    handler?.onUpstreamError(error);
  }
}
