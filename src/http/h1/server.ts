import type { Clock } from "../../core/clock.ts";
import { type Deadlines, deadlineAfter, type Expirable } from "../../core/deadlines.ts";
import { MeshError } from "../../core/errors.ts";
import type { Carrier, ConnHandler } from "../carrier.ts";
import type { AnswerHead, Downstream, DownstreamHandler } from "../downstream.ts";
import { Kept } from "../kept.ts";
import type { RequestHead } from "../message.ts";
import { ChunkedDecoder } from "./chunked.ts";
import { HeadReader } from "./head-reader.ts";
import { parseRequestHead } from "./parser.ts";

export interface ServerLimits {
  readonly headBytes: number;
  readonly requestLineBytes: number;
  readonly headerCount: number;
  readonly headMs: number;
  readonly idleMs: number;
  /** A client that takes none of its answer for this long is given up. */
  readonly streamIdleMs: number;
}

export interface ServerDeps {
  readonly limits: ServerLimits;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
}

/**
 * - `head`: waiting for a request, or inside its head
 * - `body`: inside a request's body
 * - `answer`: the request is read, its answer is due; what the client sends now (pipelining) is kept back
 * - `flush`: the answer is written, but the client takes it slowly; the next request waits, so that answers
 *   do not pile up
 * - `lingering`: FIN sent; input is thrown away so that the last answer is not lost to a reset
 * - `closed`: over, or handed to a tunnel
 */
type State = "head" | "body" | "answer" | "flush" | "lingering" | "closed";

const NOTHING = Buffer.alloc(0);

/** HTTP/2's preface begins with what reads as a head, so that no server of HTTP/1 goes on behind it (RFC 9113 section 3.4). */
export const PREFACE_HEAD = "PRI * HTTP/2.0\r\n\r\n";

/** How long the head of a chunked request waits for the first chunk size. */
const FIRST_SIZE_MS = 200;

/** How long a client may take to read the last answer of a connection that we close. */
const LINGER_MS = 1_000;
/** How long an idle connection stays open when it is to end; busy clients pause for less. */
const RETIRE_MS = 500;

/**
 * The server side of an HTTP/1.x connection (RFC 9112): keep-alive, pipelined requests in order, body
 * framing, time to a full head. It knows nothing of what is answered.
 */
export class ServerConnection implements Downstream, ConnHandler, Expirable {
  readonly version = 1;
  readonly requestMessages = 0;
  readonly responseMessages = 0;
  readonly upstreamVersion = 1;
  readonly conn: Carrier;
  deadlineMs: number;
  readonly #deps: ServerDeps;
  #handler: DownstreamHandler;
  readonly #reader: HeadReader;
  /** Parsed from the head that the reader read last; serves again while the client repeats it. */
  #lastHead: RequestHead | null = null;
  #chunked: ChunkedDecoder | null = null;
  #state: State = "head";
  #isChunked = false;
  #remaining = 0;
  /** A chunked request whose first chunk size is still incomplete, and the bytes behind its head. */
  #undecided: RequestHead | null = null;
  #early: Buffer = NOTHING;
  #kept: Buffer | null = null;
  /** What the client has sent ahead of its time, as it is counted. */
  #ahead: Kept | null = null;
  #inBytes = false;
  #finSeen = false;
  /** What the client had not taken yet when we looked last, and how long it may leave it at that. */
  #unsentBytes = 0;
  #unsentUntilMs = 0;

  constructor(conn: Carrier, handler: DownstreamHandler, deps: ServerDeps) {
    this.conn = conn;
    this.#deps = deps;
    this.#handler = handler;
    this.#reader = new HeadReader(deps.limits, "request");
    this.deadlineMs = deadlineAfter(deps.clock.now(), deps.limits.headMs);
    conn.handler = this;
    deps.deadlines.add(this);
  }

  /** Has the client ended its direction? Whoever takes the connection over is not told again. */
  get finSeen(): boolean {
    return this.#finSeen;
  }

  get carrier(): Carrier {
    return this.conn;
  }

  answer(text: string): void {
    this.conn.writeText(text);
  }

  interim(text: string): void {
    this.conn.writeText(text);
  }

  grant(head: string): void {
    this.conn.writeText(head);
  }

  begin(
    head: AnswerHead,
    chunk: Buffer,
    start: number,
    end: number,
    _last: boolean,
    from: Carrier,
  ): void {
    from.relayWithHead(head.text, chunk, start, end, this.conn);
  }

  more(chunk: Buffer, start: number, end: number, _last: boolean, from: Carrier): void {
    from.relay(chunk, start, end, this.conn);
  }

  onBytes(chunk: Buffer, end: number): void {
    this.#inBytes = true;
    try {
      this.#consume(chunk, 0, end);
    } catch (error) {
      this.#refuse(error);
    }
    this.#inBytes = false;
    this.#countAhead();
  }

  #countAhead(): void {
    if (this.#kept === null && this.#ahead === null && !this.#reader.started) return;
    const { share } = this.conn;
    const bytes = (this.#kept?.length ?? 0) + this.#reader.keptBytes;
    this.#ahead?.drop();
    this.#ahead = share === null || bytes === 0 ? null : new Kept(share, bytes);
  }

  #consume(chunk: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (this.#state === "head") at = this.#readHead(chunk, at, end);
      else if (this.#state === "body") at = this.#readBody(chunk, at, end);
      else {
        if (this.#state === "answer" || this.#state === "flush") this.#keepBack(chunk, at, end);
        return;
      }
    }
  }

  #readHead(chunk: Buffer, start: number, end: number): number {
    const reader = this.#reader;
    const { clock, limits } = this.#deps;
    const begun = reader.started;
    const bodyStart = reader.read(chunk, start, end);
    if (bodyStart === -1) {
      if (!begun) this.deadlineMs = deadlineAfter(clock.now(), limits.headMs);
      return end;
    }
    if (this.#lastHead === null && reader.text === PREFACE_HEAD) {
      this.#handler.onPreface(chunk.subarray(bodyStart, end));
      this.detach();
      return end;
    }
    const known = reader.repeated ? this.#lastHead : null;
    if (known !== null) known.repeats = true;
    const head = known ?? parseRequestHead(reader.text, limits);
    this.#lastHead = head;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#isChunked = head.framing === "chunked";
    this.#remaining = head.contentLength;
    if (this.#isChunked) this.#startChunked();
    const bodyEnd = head.framing === "none" ? bodyStart : this.#bodyEnd(chunk, bodyStart, end);
    const last = head.framing === "none" || this.#bodyDone();
    this.#state = last ? "answer" : "body";
    if (
      this.#isChunked &&
      !last &&
      !head.expectContinue &&
      !(this.#chunked as ChunkedDecoder).begun
    ) {
      this.#undecided = head;
      this.#early = Buffer.from(chunk.subarray(bodyStart, bodyEnd));
      this.deadlineMs = clock.now() + FIRST_SIZE_MS;
      return bodyEnd;
    }
    this.#handler.onRequest(head, chunk, bodyStart, bodyEnd, last);
    return bodyEnd;
  }

  #readBody(chunk: Buffer, start: number, end: number): number {
    const bodyEnd = this.#bodyEnd(chunk, start, end);
    const last = this.#bodyDone();
    if (last) this.#state = "answer";
    if (this.#undecided !== null) this.#decide(chunk.subarray(start, bodyEnd), last);
    else this.#handler.onRequestBody(chunk, start, bodyEnd, last);
    if (last) this.conn.endStream();
    return bodyEnd;
  }

  /**
   * Nothing of a chunked request goes on before its first chunk size was found to be one. A client that
   * sends its head alone, and waits, is only kept for a moment.
   */
  #decide(more: Buffer, last: boolean): void {
    this.#early = Buffer.concat([this.#early, more]);
    if (last || (this.#chunked as ChunkedDecoder).begun) this.#handOver(last);
  }

  #handOver(last: boolean): void {
    const head = this.#undecided as RequestHead;
    const early = this.#early;
    this.#undecided = null;
    this.#early = NOTHING;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#handler.onRequest(head, early, 0, early.length, last);
  }

  #startChunked(): void {
    const { headBytes, headerCount } = this.#deps.limits;
    this.#chunked ??= new ChunkedDecoder({ trailerBytes: headBytes, headerCount }, "request");
    this.#chunked.reset();
  }

  #bodyEnd(chunk: Buffer, start: number, end: number): number {
    if (this.#isChunked) return (this.#chunked as ChunkedDecoder).feed(chunk, start, end);
    const size = Math.min(end - start, this.#remaining);
    this.#remaining -= size;
    return start + size;
  }

  #bodyDone(): boolean {
    return this.#isChunked ? (this.#chunked as ChunkedDecoder).done : this.#remaining === 0;
  }

  /** A pipelined request waits for its turn; reading stops, so that at most one chunk is kept. */
  #keepBack(chunk: Buffer, start: number, end: number): void {
    const rest = Buffer.from(chunk.subarray(start, end));
    this.#kept = this.#kept === null ? rest : Buffer.concat([this.#kept, rest]);
    this.conn.stopReading();
  }

  /** The answer is written: goes on to the next request, or closes when `keepAlive` is false. */
  /** No trailers: what of a chunk is missing cannot be told from here. */
  breakOff(_trailers: string): void {
    this.conn.reset();
  }

  finish(keepAlive: boolean, nowMs: number): void {
    if (this.#state === "closed" || this.#state === "lingering") return;
    if (!keepAlive || this.#state === "body" || (this.#finSeen && this.#kept === null)) {
      this.closeGently();
      return;
    }
    if (this.conn.congested) {
      this.#state = "flush";
      this.#watchUnsent(nowMs);
      this.deadlineMs = this.#unsentUntilMs;
      return;
    }
    this.#awaitRequest(nowMs);
  }

  #awaitRequest(nowMs: number): void {
    this.#state = "head";
    this.deadlineMs = deadlineAfter(nowMs, this.#deps.limits.idleMs);
    if (this.#kept !== null && !this.#inBytes) this.#resumeKept();
  }

  #watchUnsent(nowMs: number): void {
    this.#unsentBytes = this.conn.pendingBytes;
    this.#unsentUntilMs = deadlineAfter(nowMs, this.#deps.limits.streamIdleMs);
  }

  #resumeKept(): void {
    const kept = this.#kept as Buffer;
    this.#kept = null;
    this.onBytes(kept, kept.length);
    if (this.#kept === null) this.conn.resumeReading();
  }

  /**
   * Ends a connection on which nothing is in progress. A client that is just about to send would see its
   * request fail, so it gets a moment to do that; the answer is the place to say that the connection ends.
   */
  retire(): void {
    if (this.#state === "flush") this.closeGently();
    else if (this.#state === "head" && !this.#reader.started) {
      this.deadlineMs = this.#deps.clock.now() + RETIRE_MS;
    }
  }

  /** Sends FIN, and takes what the client still sends for a moment, so that it can read the last answer. */
  closeGently(): void {
    if (this.#state === "closed" || this.#state === "lingering") return;
    const nowMs = this.#deps.clock.now();
    this.#state = "lingering";
    this.#kept = null;
    this.conn.end();
    this.#watchUnsent(nowMs);
    this.deadlineMs = nowMs + LINGER_MS;
    this.conn.resumeReading();
  }

  /** The linger time begins when the client has been sent everything. */
  #linger(nowMs: number): void {
    const pending = this.conn.pendingBytes;
    if (pending < this.#unsentBytes) this.#watchUnsent(nowMs);
    else if (pending === 0 || nowMs >= this.#unsentUntilMs) {
      this.conn.destroy();
      return;
    }
    this.deadlineMs = nowMs + LINGER_MS;
  }

  #flushDeadline(nowMs: number): void {
    if (this.conn.pendingBytes >= this.#unsentBytes) {
      this.conn.destroy();
      return;
    }
    this.#watchUnsent(nowMs);
    this.deadlineMs = this.#unsentUntilMs;
  }

  /** Hands the connection to another owner (a tunnel); returns bytes that were read ahead. */
  detach(): Buffer | null {
    this.#state = "closed";
    this.#deps.deadlines.delete(this);
    const kept = this.#kept;
    this.#kept = null;
    this.#countAhead();
    return kept;
  }

  /** While lingering there is nothing to do: the socket closes by itself when both sides have ended. */
  onFin(): void {
    this.#finSeen = true;
    if (this.#state === "flush" && this.#kept === null) this.closeGently();
    else if (this.#state === "head" && !this.#reader.started) this.closeGently();
    else if (this.#state === "head" || this.#state === "body") {
      this.#refuse(new MeshError("BAD_REQUEST", "the client closed inside a request"));
    } else if (this.#state === "answer") this.#handler.onClientFin();
  }

  onDrain(): void {
    if (this.#state === "flush") this.#awaitRequest(this.#deps.clock.now());
  }

  onClose(error: Error | null): void {
    this.#deps.deadlines.delete(this);
    this.#state = "closed";
    this.#ahead?.drop();
    this.#ahead = null;
    this.#handler.onClientClose(error);
  }

  onDeadline(nowMs: number): void {
    if (this.#state === "lingering") this.#linger(nowMs);
    else if (this.#state === "flush") this.#flushDeadline(nowMs);
    else if (this.#undecided !== null) this.#handOver(false);
    else if (this.#state !== "head") this.#handler.onAnswerDeadline(nowMs);
    else if (this.#reader.started) {
      this.#refuse(new MeshError("HEAD_TIMEOUT", `limit ${this.#deps.limits.headMs} ms`));
    } else this.closeGently();
  }

  #refuse(reason: unknown): void {
    if (this.#state === "closed" || this.#state === "lingering") return;
    this.conn.stopReading();
    this.#kept = null;
    this.#undecided = null;
    const error =
      reason instanceof MeshError ? reason : new MeshError("INTERNAL", "while reading", reason);
    this.#handler.onRequestError(error);
  }
}
