import { MeshError } from "../../core/errors.ts";
import { isGrpcType } from "../../core/grpc.ts";
import type { Share } from "../../core/share.ts";
import type { Carrier } from "../carrier.ts";
import type { AnswerHead, Downstream, DownstreamHandler } from "../downstream.ts";
import { GrpcMessages } from "../grpc-messages.ts";
import type { ServerDeps } from "../h1/server.ts";
import { findField } from "../headers.ts";
import type { RequestHead } from "../message.ts";
import { chunkOf, trailerSection } from "./chunk-coding.ts";
import { CANCEL, NO_ERROR } from "./codes.ts";
import { ChunkedSender, type ContentSender, PlainSender } from "./content-sender.ts";
import type { KnownRequests } from "./known-heads.ts";
import { pseudoField } from "./message-rules.ts";
import { responseFieldsOf } from "./response-fields.ts";
import type { Stream, StreamHandler } from "./stream.ts";
import { StreamCarrier } from "./stream-carrier.ts";
import { trailerFieldsOf, trailerLines } from "./trailers.ts";
import { newWebsocketKey } from "./websocket-key.ts";

const NOTHING = Buffer.alloc(0);

/** To a request for a tunnel every 2xx would be one: what has another answer than a tunnel has failed. */
const NO_TUNNEL: readonly string[] = [":status", "502", "content-length", "0"];

/** What is told of a stream that has served its request. */
export interface StreamDownstreamOwner {
  /** Of all streams whose owner it is. */
  readonly knownRequests: KnownRequests;
  /** It may serve another stream, unless it `isSpent`. */
  onFree(downstream: StreamDownstream): void;
  /** Its `deadlineMs` has passed while it served none. */
  onUnused(downstream: StreamDownstream): void;
}

/** What a client may still send of a request that is answered, and for how long, before it is told to stop. */
const LINGER_BYTES = 1_048_576;
const LINGER_MS = 1_000;

/**
 * Of a stream that is answered: what its client still sends is not wanted. It is told so a moment later, because some clients
 * (curl 7.88) forget the answer over it.
 */
export class Remainder implements StreamHandler {
  readonly #stream: Stream;
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(stream: Stream) {
    this.#stream = stream;
    this.#stopClient();
  }

  /** The answer is sent whole: the client may stop (RFC 9113 section 8.1). */
  #stopClient(): void {
    const stream = this.#stream;
    if (!stream.localDone || stream.remoteDone) return;
    if (this.#bytes > LINGER_BYTES) stream.reset(NO_ERROR);
    else this.#timer ??= setTimeout(() => stream.reset(NO_ERROR), LINGER_MS).unref();
  }

  onData(_chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#bytes += end - start;
    this.#stream.consumed(this.#stream.unreadBytes);
    if (last && this.#timer !== null) clearTimeout(this.#timer);
    this.#stopClient();
  }

  onHead(): void {
    // Came long ago.
  }

  onInterim(): void {
    // Of responses only.
  }

  onTrailers(): void {
    // Nobody waits for them.
  }

  onReset(): void {
    // Nobody is left to be told.
  }

  onWritable(): void {
    this.#stopClient();
  }
}

/**
 * Requests that come by streams of HTTP/2 (RFC 9113 section 8), one at a time, as the proxy's spine knows them. `bind` gives
 * it a stream; the object is free for another one once the answer is given, or the stream is lost.
 */
export class StreamDownstream implements Downstream, StreamHandler {
  readonly version = 2;
  readonly carrier: StreamCarrier;
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly #handler: DownstreamHandler;
  readonly #owner: StreamDownstreamOwner;
  readonly #deps: ServerDeps;
  readonly upstreamVersion: 1 | 2;
  #stream: Stream | null = null;
  #head: RequestHead | null = null;
  /** Sends the answer's content, until that has ended. */
  #sender: ContentSender | null = null;
  #isSpent = false;
  #isHead = false;
  /** Of a call of gRPC. */
  #received: GrpcMessages | null = null;
  #sent: GrpcMessages | null = null;
  /** The request asks for a tunnel, and its bytes come before that stands: kept, for so long as they are its window's. */
  #asksTunnel = false;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #finSeen = false;

  /** `upstreamVersion`: as in `Downstream`. */
  constructor(
    handler: DownstreamHandler,
    owner: StreamDownstreamOwner,
    share: Share | null,
    deps: ServerDeps,
    upstreamVersion: 1 | 2 = 2,
  ) {
    this.upstreamVersion = upstreamVersion;
    this.#handler = handler;
    this.#owner = owner;
    this.#deps = deps;
    this.carrier = new StreamCarrier(share, () => this.#lose(null));
    deps.deadlines.add(this);
  }

  /** Serves this stream from now on; it is the stream's handler. */
  bind(stream: Stream): void {
    this.#stream = stream;
    this.#head = null;
    this.#sender = null;
    this.#asksTunnel = false;
    this.#finSeen = false;
    this.#received = null;
    this.#sent = null;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.carrier.bind(stream);
  }

  /** Only of a tunnel is the end of what the client sends another one than that of its request. */
  get finSeen(): boolean {
    return this.#finSeen;
  }

  /** Was it a tunnel, and may not be used again? */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  get requestMessages(): number {
    return this.#received?.count ?? 0;
  }

  get responseMessages(): number {
    return this.#sent?.count ?? 0;
  }

  /** No more streams. */
  drop(): void {
    this.#deps.deadlines.delete(this);
  }

  // What the stream tells

  onHead(fields: readonly string[], last: boolean): void {
    let head: RequestHead;
    this.#isHead = pseudoField(fields, ":method") === "HEAD";
    try {
      head = this.#owner.knownRequests.headOf(this.#stream, fields, last);
    } catch (error) {
      this.#handler.onRequestError(asMeshError(error));
      return;
    }
    this.#head = head;
    this.#asksTunnel = head.method === "CONNECT" || head.upgrade !== "";
    if (isGrpcType(findField(fields, "content-type") ?? "")) {
      this.#received = new GrpcMessages();
      this.#sent = new GrpcMessages();
    }
    if (head.upgrade !== "") head.passed += `Sec-WebSocket-Key: ${newWebsocketKey()}\r\n`;
    this.#finSeen = last && this.#asksTunnel;
    this.#handler.onRequest(head, NOTHING, 0, 0, last || this.#asksTunnel);
  }

  onInterim(): void {
    // Of responses only.
  }

  onData(chunk: Buffer, start: number, end: number, last: boolean): void {
    const head = this.#head;
    if (head === null) {
      this.carrier.read();
      return;
    }
    if (this.#asksTunnel) {
      this.#keep(chunk, start, end, last);
      return;
    }
    this.#received?.add(chunk, start, end);
    if (head.framing === "chunked") {
      const coded = chunkOf(chunk, start, end, last);
      this.#handler.onRequestBody(coded.bytes, 0, coded.end, last);
    } else this.#handler.onRequestBody(chunk, start, end, last);
    this.carrier.read();
  }

  /** No credit is given for it, so that it ends with the window. */
  #keep(chunk: Buffer, start: number, end: number, last: boolean): void {
    if (end > start) {
      this.#early.push(Buffer.from(chunk.subarray(start, end)));
      this.#earlyBytes += end - start;
      this.carrier.share?.keep(end - start);
    }
    if (last) this.#endClient();
  }

  #takeEarly(): Buffer[] {
    const early = this.#early;
    if (early.length === 0) return early;
    this.#early = [];
    this.carrier.share?.keep(-this.#earlyBytes);
    this.#earlyBytes = 0;
    return early;
  }

  #endClient(): void {
    this.#finSeen = true;
    this.#handler.onClientFin();
  }

  onTrailers(fields: readonly string[]): void {
    const head = this.#head;
    if (head === null) return;
    if (this.#asksTunnel) {
      this.#endClient();
      return;
    }
    if (head.framing === "chunked") {
      const coded = trailerSection(trailerLines(fields));
      this.#handler.onRequestBody(coded.bytes, 0, coded.end, true);
    } else this.#handler.onRequestBody(NOTHING, 0, 0, true);
  }

  onReset(code: number, byPeer: boolean): void {
    const isPlain = byPeer && (code === CANCEL || code === NO_ERROR);
    this.#lose(isPlain ? null : new Error(`the stream was reset with code ${code}`));
  }

  onWritable(): void {
    this.carrier.onWritable();
  }

  onDeadline(nowMs: number): void {
    if (this.#stream !== null) this.#handler.onAnswerDeadline(nowMs);
    else this.#owner.onUnused(this);
  }

  /** The client went away, or the answer was broken off. */
  #lose(error: Error | null): void {
    if (this.#stream === null) return;
    this.#release();
    this.#handler.onClientClose(error);
    this.#owner.onFree(this);
  }

  #release(): void {
    this.#stream = null;
    this.#head = null;
    this.#sender = null;
    this.#takeEarly();
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.carrier.unbind();
  }

  // What the spine says

  answer(text: string): void {
    const stream = this.#stream;
    if (stream === null) return;
    const headEnd = text.indexOf("\r\n\r\n") + 4;
    const fields = responseFieldsOf(text);
    if (this.#asksTunnel && fields[1]?.startsWith("2")) {
      stream.sendHead(NO_TUNNEL, true);
      return;
    }
    // A head that could not be read may still have been one to HEAD (RFC 9110 section 9.3.2).
    const isWhole = headEnd === text.length || this.#isHead;
    stream.sendHead(fields, isWhole);
    if (isWhole) return;
    const body = Buffer.from(text.slice(headEnd), "latin1");
    stream.sendData(body, 0, body.length, true);
  }

  interim(text: string): void {
    this.#stream?.sendInterim(responseFieldsOf(text));
  }

  grant(head: string): void {
    this.#stream?.sendHead(responseFieldsOf(head), false);
  }

  begin(
    head: AnswerHead,
    chunk: Buffer,
    start: number,
    end: number,
    last: boolean,
    from: Carrier,
  ): void {
    const stream = this.#stream;
    if (stream === null) return;
    const isChunked = head.framing === "chunked";
    const isWhole = last && start === end && !isChunked;
    stream.sendHead(responseFieldsOf(head.text), isWhole);
    this.#sender = isWhole ? null : this.#senderFor(stream, isChunked);
    if (last || end > start) this.more(chunk, start, end, last, from);
  }

  #senderFor(stream: Stream, isChunked: boolean): ContentSender {
    const { headBytes: trailerBytes, headerCount } = this.#deps.limits;
    const limits = { trailerBytes, headerCount };
    return isChunked
      ? new ChunkedSender(stream, this.carrier, limits, "response", this.#sent)
      : new PlainSender(stream, this.carrier, this.#sent);
  }

  more(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier): void {
    this.#sender?.send(chunk, start, end, last, from);
    if (last) this.#sender = null;
  }

  /** Trailers are an end of their own: a message that they cut is known by what they say. */
  breakOff(trailers: string): void {
    const stream = this.#stream;
    if (stream === null || trailers === "" || !(this.#sender instanceof ChunkedSender)) {
      this.carrier.reset();
      return;
    }
    stream.sendTrailers(trailerFieldsOf(trailers));
    this.finish();
  }

  /** The answer is given: what of it is not sent yet the stream sends by itself. Its session ends by `drain`. */
  finish(): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#release();
    stream.handler = new Remainder(stream);
    this.#owner.onFree(this);
  }

  retire(): void {
    // The session tells its client that it ends.
  }

  closeGently(): void {
    this.finish();
  }

  /** The tunnel that it was is over. */
  endTunnel(): void {
    if (this.#stream === null) return;
    this.#release();
    this.#owner.onFree(this);
  }

  detach(): Buffer | null {
    const early = this.#takeEarly();
    this.#isSpent = true;
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.carrier.beginTunnel(this.#finSeen);
    return early.length === 0 ? null : Buffer.concat(early);
  }
}

function asMeshError(reason: unknown): MeshError {
  return reason instanceof MeshError ? reason : new MeshError("INTERNAL", "while reading", reason);
}
