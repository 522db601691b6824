import type { Conn } from "../conn.ts";
import { CheckedSections } from "./checked-sections.ts";
import {
  CLIENT_PREFACE,
  ENHANCE_YOUR_CALM,
  MAX_STREAM_ID,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import { checkResponseFields, checkTrailers } from "./field-rules.ts";
import { contentLengthOf, pseudoField, sectionBytes } from "./message-rules.ts";
import { Session, type SessionDeps } from "./session.ts";
import type { Stream, StreamHandler } from "./stream.ts";

/** Who owns a client's connection. */
export interface ClientSessionHandler {
  /**
   * It may take another request: a stream has ended, what waited has left, or settings of the server are in force. The
   * first call says that it speaks HTTP/2.
   */
  onAvailable(): void;
  /** No more requests: the server said so, the last stream is used, or the connection is ending. Called once. */
  onGoingAway(): void;
  /** The connection is gone; the handlers of its streams have been told. Called once. */
  onSessionEnd(error: Error | null): void;
}

/** Requests at once to a server that has not sent its settings yet: fewer are not recommended (RFC 9113 section 6.5.2). */
const EARLY_STREAMS = 100;

/**
 * Requests are sent while less than so often the limit waits for the server. The heads of those that are open are far
 * less; more are heads of requests that were given up, to a server that does not read them.
 */
const PATIENCE = 16;

/** The client's side of an HTTP/2 connection (RFC 9113): requests are sent on it as long as the server takes any. */
export class ClientSession extends Session {
  readonly #handler: ClientSessionHandler;
  readonly #checked = new CheckedSections();
  #nextId = 1;
  #isSettled = false;
  #goingAway = false;
  /** A request was turned away until what waits has left. */
  #isFull = false;

  constructor(conn: Conn, handler: ClientSessionHandler, deps: SessionDeps) {
    super(conn, "client", deps);
    this.#handler = handler;
    conn.writeText(CLIENT_PREFACE);
    this.greet();
  }

  /** Takes it no more requests? Those that are open go on, but for what the server has not looked at. */
  get goingAway(): boolean {
    return this.#goingAway;
  }

  /** Requests that it may carry at once. */
  get maxStreams(): number {
    if (this.#goingAway) return 0;
    const most = this.deps.limits.maxStreams;
    return Math.min(most, this.#isSettled ? this.peer.maxStreams : EARLY_STREAMS);
  }

  /** Does the server take extended CONNECT (RFC 8441)? Known from its first settings on. */
  get connectProtocol(): boolean {
    return this.peer.connectProtocol;
  }

  /** Is it another host's daemon that takes requests as streams? Known from its first settings on. */
  get meshRequests(): boolean {
    return this.peer.meshRequests;
  }

  /** Would content have to wait, for the connection to take what is written already or for the server's window? */
  get congested(): boolean {
    return this.streams.room <= 0;
  }

  /**
   * Sends a request; `last`: it has no content. Null: not now (the server's limit of streams, or it takes nothing of what
   * it was sent) or not any more (`goingAway`). The handler is not called before it returns.
   */
  request(handler: StreamHandler, fields: readonly string[], last: boolean): Stream | null {
    if (this.state !== "open" || this.openStreams >= this.maxStreams) return null;
    if (this.outbox.pendingBytes > PATIENCE * this.deps.limits.unsentBytes) {
      this.#isFull = true;
      return null;
    }
    const stream = this.streams.open(this.#nextId, handler);
    const method = pseudoField(fields, ":method");
    stream.isTunnel = method === "CONNECT";
    stream.isHead = method === "HEAD";
    this.#nextId += 2;
    this.watch.opened += 1;
    this.budget.streamOpened();
    stream.sendHead(fields, last);
    if (this.#nextId > MAX_STREAM_ID) this.#goAway();
    return stream;
  }

  override onDrain(): void {
    super.onDrain();
    if (!this.#isFull) return;
    this.#isFull = false;
    if (!this.#goingAway) this.#handler.onAvailable();
  }

  /** Takes no new requests, and ends when those that are open are answered. */
  drain(): void {
    if (this.state !== "open") return;
    this.#goAway();
    if (this.openStreams === 0) this.close();
  }

  #goAway(): void {
    if (this.#goingAway) return;
    this.#goingAway = true;
    this.#handler.onGoingAway();
  }

  protected override onFields(id: number, fields: readonly string[] | null, last: boolean): void {
    const stream = this.streams.byId.get(id);
    if (stream === undefined) {
      if (this.isUnused(id)) throw new ConnectionError(PROTOCOL_ERROR, `HEADERS for stream ${id}`);
      this.budget.idleFrame();
      return;
    }
    if (stream.remoteDone) throw new StreamError(id, STREAM_CLOSED, "it has ended");
    if (fields === null) throw new StreamError(id, ENHANCE_YOUR_CALM, "a head beyond the limits");
    if (stream.headSeen) this.#onTrailers(stream, fields, last);
    else this.#onResponse(stream, fields, last);
  }

  #onResponse(stream: Stream, fields: readonly string[], last: boolean): void {
    const fault = this.#checked.faultOf(fields, this.headRepeats, checkResponseFields);
    if (fault !== null) throw new StreamError(stream.id, PROTOCOL_ERROR, fault);
    stream.headRepeats = this.headRepeats;
    const status = Number(pseudoField(fields, ":status"));
    if (status >= 200) {
      stream.receiveHead(fields, last, dueBytes(fields, status, stream));
      return;
    }
    if (last) throw new StreamError(stream.id, PROTOCOL_ERROR, "an interim response that ends it");
    stream.interimBytes += sectionBytes(fields);
    if (stream.interimBytes > this.deps.limits.headBytes) {
      throw new StreamError(stream.id, ENHANCE_YOUR_CALM, "too many interim responses");
    }
    stream.handler.onInterim(fields);
  }

  #onTrailers(stream: Stream, fields: readonly string[], last: boolean): void {
    const fault = last ? checkTrailers(fields) : "trailers that do not end it";
    if (fault !== null) throw new StreamError(stream.id, PROTOCOL_ERROR, fault);
    stream.receiveTrailers(fields);
  }

  protected override onPeerSettings(): void {
    this.#isSettled = true;
    if (!this.#goingAway) this.#handler.onAvailable();
  }

  /** RFC 9113 section 6.8: what is above the last stream was not looked at, and can be sent anew elsewhere. */
  protected override onPeerGoaway(lastStreamId: number): void {
    this.#goAway();
    for (const stream of [...this.streams.byId.values()]) {
      if (stream.id > lastStreamId) this.streams.disown(stream, REFUSED_STREAM);
    }
    if (this.openStreams === 0) this.close();
  }

  protected override onPong(): void {
    // Of the keep-alive: that something was read is noted already.
  }

  protected override onLook(_nowMs: number, isIdle: boolean): void {
    if (isIdle) this.drain();
  }

  override isUnused(id: number): boolean {
    return id >= this.#nextId || id % 2 === 0;
  }

  override onStreamRemoved(): void {
    if (!this.#goingAway) this.#handler.onAvailable();
    else if (this.openStreams === 0) this.close();
  }

  override onPeerReset(stream: Stream, code: number): void {
    // A server that resets what it was asked wastes nobody's time but its own.
    stream.retrySafe = code === REFUSED_STREAM;
  }

  /** Servers open no streams. */
  protected override lastPeerId(): number {
    return 0;
  }

  protected override onClosing(): void {
    this.#goAway();
  }

  protected override onEnd(error: Error | null): void {
    this.#handler.onSessionEnd(error);
  }
}

/** Content that has to come; -1: any. There is none in answer to HEAD, and with 204 and 304 (RFC 9110 section 6.4.1). */
function dueBytes(fields: readonly string[], status: number, stream: Stream): number {
  if (stream.isHead || status === 204 || status === 304) return 0;
  // A tunnel's length is not known, whatever a server says (RFC 9110 section 8.6).
  if (stream.isTunnel && status < 300) return -1;
  return contentLengthOf(fields);
}
