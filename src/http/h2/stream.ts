import type { Share } from "../../core/share.ts";
import { DEFAULT_FRAME_BYTES, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, STREAM_CLOSED } from "./codes.ts";
import { StreamError } from "./errors.ts";
import { SendQueue } from "./send-queue.ts";
import { Watch } from "./watch.ts";
import { type ReceiveWindow, SendWindow } from "./windows.ts";

/** What a stream tells of the message that it receives. */
export interface StreamHandler {
  /** The request (server) or the final response (client), checked by RFC 9113 section 8. `last`: it has no content. */
  onHead(fields: readonly string[], last: boolean): void;
  /** An interim response (1xx); client only. */
  onInterim(fields: readonly string[]): void;
  /**
   * Content. The bytes are only valid during the call. Each counts against the stream's window until it was given to
   * `Stream.consumed`. An empty `last` piece may end the message.
   */
  onData(chunk: Buffer, start: number, end: number, last: boolean): void;
  /** The trailer section; the message is complete. */
  onTrailers(fields: readonly string[]): void;
  /**
   * The stream is over before its time, and nothing follows. `byPeer`: it said so by RST_STREAM(`code`) or GOAWAY, or it
   * is gone (CANCEL); else it broke a rule or a limit. `Stream.retrySafe` tells whether it did not look at the request.
   * A server that needs no more of a request sends its whole response and NO_ERROR (RFC 9113 section 8.1).
   */
  onReset(code: number, byPeer: boolean): void;
  /** All that was given to `Stream.sendData` is sent, after it returned false. */
  onWritable(): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  /** Whose memory is used for what waits. */
  readonly share: Share | null;
  /** Bytes of DATA that may leave right now, before other streams' that wait: 0 where some do. */
  readonly room: number;
  writeFields(stream: Stream, fields: readonly string[], last: boolean): void;
  /** At most a frame; counts it against the connection's window. */
  writeData(stream: Stream, chunk: Buffer, start: number, end: number, last: boolean): void;
  /** The stream has bytes that its own window lets through: it takes part in the round. */
  schedule(stream: Stream): void;
  /** Content was received, and counts until it is consumed. */
  keepUnread(bytes: number): void;
  /** Bytes of a stream are consumed; `increment` goes to the peer unless it is 0. */
  giveCredit(stream: Stream, bytes: number, increment: number): void;
  /** Both sides have ended the stream. */
  onStreamEnded(stream: Stream): void;
  /** The owner of the stream wants no more of it. */
  resetStream(stream: Stream, code: number): void;
}

/** One exchange on a connection (RFC 9113 section 5). What is sent behind its end is dropped. */
export class Stream {
  handler: StreamHandler;
  /** Is it in the scheduler's round? */
  isScheduled = false;
  /** Behind `onReset`: the peer has not processed the request and never will (RFC 9113 section 8.7). */
  retrySafe = false;
  /** A tunnel (CONNECT): DATA frames are not a message's content. */
  isTunnel = false;
  /** Whose memory holds what waits to be sent; null: that of the connection's source. */
  share: Share | null = null;
  /** The head that it receives is the very list that one before it was, on another stream of its connection. */
  headRepeats = false;
  /** The answer to a request of ours is one to HEAD. */
  isHead = false;
  /** Of the interim responses to a request of ours. */
  interimBytes = 0;
  readonly id: number;
  readonly openedMs: number;
  readonly sendWindow: SendWindow;
  readonly #host: StreamHost;
  readonly #receiveWindow: ReceiveWindow;
  #queue: SendQueue | null = null;
  #trailers: readonly string[] | null = null;
  #endWaits = false;
  #headSent = false;
  #localDone = false;
  #headSeen = false;
  #remoteDone = false;
  #isOver = false;
  /** Content that is still due by Content-Length; -1: unknown. */
  #dueBytes = -1;
  #unreadBytes = 0;
  /** Content in either direction: does it move? */
  #movedBytes = 0;
  #watch: Watch | null = null;

  constructor(
    host: StreamHost,
    handler: StreamHandler,
    start: { id: number; sendBytes: number; window: ReceiveWindow; nowMs: number },
  ) {
    this.#host = host;
    this.handler = handler;
    this.id = start.id;
    this.sendWindow = new SendWindow(start.sendBytes);
    this.#receiveWindow = start.window;
    this.openedMs = start.nowMs;
  }

  /** Given and not sent yet, because the peer or other streams do not let it. */
  get queuedBytes(): number {
    return this.#queue?.bytes ?? 0;
  }

  /** Received and not consumed yet. */
  get unreadBytes(): number {
    return this.#unreadBytes;
  }

  /** Has our side ended it? */
  get localDone(): boolean {
    return this.#localDone;
  }

  /** Has the peer's side ended it? */
  get remoteDone(): boolean {
    return this.#remoteDone;
  }

  /** Has the head of the peer's message been received? */
  get headSeen(): boolean {
    return this.#headSeen;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends the request (by `ClientSession.request`), or the final response. `last`: nothing follows. */
  sendHead(fields: readonly string[], last: boolean): void {
    if (this.#isOver || this.#headSent) return;
    this.#headSent = true;
    this.#host.writeFields(this, fields, last);
    if (last) this.#endLocal();
  }

  /** Sends an interim response (server). */
  sendInterim(fields: readonly string[]): void {
    if (!this.#isOver && !this.#headSent) this.#host.writeFields(this, fields, false);
  }

  /**
   * Sends content. What the windows and the connection do not take now is copied and sent as soon as they do. Returns
   * false where that is so: the caller should wait for `onWritable`.
   */
  sendData(chunk: Buffer, start: number, end: number, last: boolean): boolean {
    if (this.#isOver || this.#localDone || this.#endWaits) return true;
    const at = this.queuedBytes > 0 ? start : this.#sendNow(chunk, start, end, last);
    if (this.#localDone || (at === end && this.queuedBytes === 0)) return true;
    this.#endWaits = last;
    this.#queue ??= new SendQueue(this.share ?? this.#host.share);
    this.#queue.push(chunk, at, end);
    this.#trySchedule();
    return false;
  }

  #sendNow(chunk: Buffer, start: number, end: number, last: boolean): number {
    let at = start;
    while (at < end) {
      const room = Math.min(this.#host.room, this.sendWindow.available, DEFAULT_FRAME_BYTES);
      if (room <= 0) return at;
      const size = Math.min(room, end - at);
      this.#write(chunk, at, at + size, last && at + size === end);
      at += size;
    }
    // The end alone needs no window.
    if (last && start === end) this.#write(chunk, start, start, true);
    return at;
  }

  #write(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.sendWindow.available -= end - start;
    this.#movedBytes += end - start;
    this.#host.writeData(this, chunk, start, end, last);
    if (last) this.#endLocal();
  }

  /** Ends the message with a trailer section, behind all of its content. */
  sendTrailers(fields: readonly string[]): void {
    if (this.#isOver || this.#localDone || this.#endWaits) return;
    if (this.queuedBytes > 0) {
      this.#endWaits = true;
      this.#trailers = fields;
      return;
    }
    this.#host.writeFields(this, fields, true);
    this.#endLocal();
  }

  /** `bytes` of the content that was received are dealt with: the peer may send as many again. */
  consumed(bytes: number): void {
    const size = Math.min(bytes, this.#unreadBytes);
    if (size === 0) return;
    this.#unreadBytes -= size;
    const increment = this.#receiveWindow.release(size);
    this.#host.giveCredit(this, size, this.#remoteDone || this.#isOver ? 0 : increment);
  }

  /** Ends the stream at once. The handler is not told of what it does itself. */
  reset(code: number): void {
    if (!this.#isOver) this.#host.resetStream(this, code);
  }

  #endLocal(): void {
    this.#localDone = true;
    if (this.#remoteDone && !this.#isOver) this.#host.onStreamEnded(this);
  }

  // From here on: for the session and the scheduler.

  /** The peer, or a change of its settings, grants more or less; false: beyond the largest window. */
  widen(bytes: number): boolean {
    const isLegal = this.sendWindow.widen(bytes);
    this.#trySchedule();
    return isLegal;
  }

  #trySchedule(): void {
    if (this.queuedBytes > 0 && this.sendWindow.available > 0 && !this.isScheduled) {
      this.#host.schedule(this);
    }
  }

  /** Sends a frame of what is queued, of `room` bytes at most; the round is over for it when it returns false. */
  sendQueued(room: number): boolean {
    const queue = this.#queue;
    if (this.#isOver || queue === null || queue.bytes === 0) return false;
    const piece = queue.peek();
    const most = Math.min(room, this.sendWindow.available, DEFAULT_FRAME_BYTES);
    if (most <= 0) return false;
    const { buffer, at } = piece;
    const size = Math.min(most, piece.end - at);
    const isLast = this.#endWaits && this.#trailers === null && size === queue.bytes;
    this.#write(buffer, at, at + size, isLast);
    // Behind the write, which copies out of it; and unless that has ended the stream.
    if (!this.#isOver) queue.take(size);
    return queue.bytes > 0 && this.sendWindow.available > 0;
  }

  /** Behind `sendQueued`: sends the trailers, or asks for more. */
  afterQueued(): void {
    if (this.#isOver || this.#localDone || this.queuedBytes > 0) return;
    const trailers = this.#trailers;
    if (trailers === null) {
      this.handler.onWritable();
      return;
    }
    this.#trailers = null;
    this.#host.writeFields(this, trailers, true);
    this.#endLocal();
  }

  /** The head of the peer's message; `contentLength` is -1 where it says none, or where there is no content by rule. */
  receiveHead(fields: readonly string[], last: boolean, contentLength: number): void {
    this.#headSeen = true;
    this.#dueBytes = contentLength;
    if (last) this.#checkComplete();
    this.#remoteDone = last;
    this.handler.onHead(fields, last);
    if (last) this.#endRemote();
  }

  /** A piece of a DATA frame; `flowBytes` counts its padding too. */
  receiveData(chunk: Buffer, start: number, end: number, flowBytes: number, last: boolean): void {
    if (this.#remoteDone) throw this.#fault(STREAM_CLOSED, "DATA behind the end");
    if (!this.#headSeen) throw this.#fault(PROTOCOL_ERROR, "DATA before a head");
    if (!this.#receiveWindow.take(flowBytes)) {
      throw this.#fault(FLOW_CONTROL_ERROR, "the window is exceeded");
    }
    const size = end - start;
    if (this.#dueBytes !== -1) {
      this.#dueBytes -= size;
      if (this.#dueBytes < 0) throw this.#fault(PROTOCOL_ERROR, "more than Content-Length");
    }
    if (last) this.#checkComplete();
    this.#remoteDone = last;
    this.#movedBytes += size;
    if (size > 0) {
      this.#unreadBytes += size;
      this.#host.keepUnread(size);
    }
    if (flowBytes > size) this.#releasePadding(flowBytes - size);
    if (size > 0 || last) this.handler.onData(chunk, start, end, last);
    if (last) this.#endRemote();
  }

  #releasePadding(bytes: number): void {
    const increment = this.#receiveWindow.release(bytes);
    this.#host.giveCredit(this, 0, this.#remoteDone ? 0 : increment);
  }

  receiveTrailers(fields: readonly string[]): void {
    this.#checkComplete();
    this.#remoteDone = true;
    this.handler.onTrailers(fields);
    this.#endRemote();
  }

  /** A message whose DATA do not add up to its Content-Length is malformed (RFC 9113 section 8.1.1). */
  #checkComplete(): void {
    if (this.#dueBytes > 0) throw this.#fault(PROTOCOL_ERROR, "less than Content-Length");
  }

  #endRemote(): void {
    if (this.#localDone && !this.#isOver) this.#host.onStreamEnded(this);
  }

  /**
   * Has the peer left it as it is for the whole limit, although something is queued for it? Also, on a server: although the
   * request that it does not end has been answered.
   */
  isStalled(nowMs: number, limitMs: number, isServer: boolean): boolean {
    const isLeftOpen = isServer && this.#localDone && !this.#remoteDone && !this.isTunnel;
    const isWaiting = this.queuedBytes > 0 || isLeftOpen;
    if (!isWaiting && this.#watch === null) return false;
    this.#watch ??= new Watch(limitMs);
    return this.#watch.isOverdue(isWaiting, this.#movedBytes, nowMs);
  }

  #fault(code: number, what: string): StreamError {
    return new StreamError(this.id, code, what);
  }

  /** It is over: nothing more is sent. Returns what of it was received and not consumed. */
  close(): number {
    this.#isOver = true;
    this.#queue?.clear();
    this.#trailers = null;
    const unread = this.#unreadBytes;
    this.#unreadBytes = 0;
    return unread;
  }
}
