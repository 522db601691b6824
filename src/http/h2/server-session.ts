import { deadlineAfter } from "../../core/deadlines.ts";
import type { Conn } from "../conn.ts";
import { PREMATURE_MS } from "./abuse-budget.ts";
import { CheckedSections } from "./checked-sections.ts";
import {
  CLIENT_PREFACE,
  MAX_STREAM_ID,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import { checkRequestFields, checkTrailers } from "./field-rules.ts";
import { contentLengthOf, pseudoField } from "./message-rules.ts";
import { Session, type SessionDeps } from "./session.ts";
import type { Stream, StreamHandler } from "./stream.ts";

/** What a server's connection tells of the requests that it reads. */
export interface ServerSessionHandler {
  /**
   * Fields of a request, before anything else sees them: what is between the client and the handler alone may be left out of
   * those that are returned. `repeats`: it is the very list that one before it was, and so must be what is returned. `onStream`
   * comes next if what is left is well-formed.
   */
  onFields?(fields: readonly string[], repeats: boolean): readonly string[];
  /** A request has come: whose is it? Its head comes by the handler's `onHead` right behind. */
  onStream(stream: Stream): StreamHandler;
  /** A request was turned down here: malformed (PROTOCOL_ERROR), too large (answered by 431), or over the limit of streams. */
  onRefused(code: number, detail: string): void;
  /** The connection is gone, and all streams with it. */
  onSessionEnd(error: Error | null): void;
}

/** A connection that an HTTP/1.1 request has upgraded (RFC 7540 section 3.2): what its answer 101 takes on. */
export interface Upgraded {
  /** Value of HTTP2-Settings. */
  readonly settings: string;
  /** The request, as stream 1. It has no content: what it had was read as HTTP/1.1. */
  readonly fields: readonly string[];
}

const RULES = { connectProtocol: true };
const checkRequest = (fields: readonly string[]) => checkRequestFields(fields, RULES);

/** Payload of the PING behind the first GOAWAY. */
const DRAIN_PING = Buffer.from("hm-drain", "latin1");

/** How long a client may take to hear of the first GOAWAY, where it does not acknowledge the PING. */
const DRAIN_MS = 1_000;

/** Requests of one read are taken on while less than so often the limit waits for the client. */
const OVERDRAFT = 4;

const TOO_LARGE: readonly string[] = [
  ...[":status", "431", "content-length", "0"],
  ...["x-hostmesh-error", "HEAD_TOO_LARGE"],
];

/**
 * The server's side of an HTTP/2 connection (RFC 9113), from the client's preface on. Every request gets a handler; what is
 * no request, or exceeds a limit, is answered here.
 */
export class ServerSession extends Session {
  readonly #handler: ServerSessionHandler;
  readonly #checked = new CheckedSections();
  #prefaceBytes = 0;
  /** The highest stream that the client has opened. */
  #lastId = 0;
  /** Streams above it are refused: the client has been told in time. */
  #acceptedId: number = MAX_STREAM_ID;
  #isDraining = false;
  #drainUntilMs: number = Number.POSITIVE_INFINITY;

  constructor(conn: Conn, handler: ServerSessionHandler, deps: SessionDeps) {
    super(conn, "server", deps);
    this.#handler = handler;
    this.greet();
  }

  /** Behind the 101 that was written to the connection: serves the request as stream 1, and then goes on in HTTP/2. */
  static upgrade(
    conn: Conn,
    handler: ServerSessionHandler,
    deps: SessionDeps,
    { settings, fields }: Upgraded,
  ): ServerSession {
    const session = new ServerSession(conn, handler, deps);
    session.#begin(settings, fields);
    return session;
  }

  /** Is `settings` what HTTP2-Settings may be: base64url of a SETTINGS payload (RFC 7540 section 3.2.1)? */
  static canUpgrade(settings: string): boolean {
    return (
      /^[\w-]+={0,2}$|^$/.test(settings) && Buffer.from(settings, "base64url").length % 6 === 0
    );
  }

  #begin(settings: string, fields: readonly string[]): void {
    const payload = Buffer.from(settings, "base64url");
    const ids: number[] = [];
    const values: number[] = [];
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      ids.push(payload.readUInt16BE(at));
      values.push(payload.readUInt32BE(at + 2));
    }
    try {
      // The 101 has acknowledged them.
      this.applySettings(ids, values);
      this.#open(1, fields, true);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Takes no new requests, and ends when those that are open are served: GOAWAY as in RFC 9113 section 6.8. */
  drain(): void {
    if (this.#isDraining || this.state !== "open") return;
    this.#isDraining = true;
    this.sayGoaway(MAX_STREAM_ID, NO_ERROR, "");
    this.outbox.ping(false, DRAIN_PING);
    this.#drainUntilMs = deadlineAfter(this.deps.clock.now(), DRAIN_MS);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  protected override receive(chunk: Buffer, start: number, end: number): void {
    const at = this.#prefaceBytes < CLIENT_PREFACE.length ? this.#readPreface(chunk, end) : start;
    if (at < end) super.receive(chunk, at, end);
  }

  #readPreface(chunk: Buffer, end: number): number {
    const size = Math.min(end, CLIENT_PREFACE.length - this.#prefaceBytes);
    const expected = CLIENT_PREFACE.substr(this.#prefaceBytes, size);
    if (chunk.toString("latin1", 0, size) !== expected) {
      throw new ConnectionError(PROTOCOL_ERROR, "no HTTP/2 preface");
    }
    this.#prefaceBytes += size;
    return size;
  }

  protected override onFields(id: number, fields: readonly string[] | null, last: boolean): void {
    const stream = this.streams.byId.get(id);
    if (stream !== undefined) this.#onTrailers(stream, fields, last);
    else if (this.isUnused(id)) this.#onRequest(id, fields, last);
    else this.#onLateFields(id);
  }

  #onRequest(id: number, fields: readonly string[] | null, last: boolean): void {
    if (id % 2 === 0) throw new ConnectionError(PROTOCOL_ERROR, `a client's stream ${id}`);
    this.#lastId = id;
    // It was sent before the client knew better; it will be sent anew.
    if (id > this.#acceptedId) {
      this.deps.count?.("refused", REFUSED_STREAM);
      this.streams.refuse(id, REFUSED_STREAM);
      return;
    }
    const { maxStreams, unsentBytes } = this.deps.limits;
    if (this.openStreams >= maxStreams) this.#refuseMore(id, `more than ${maxStreams} streams`);
    // Reading stops at the limit, but behind this read; what it asks for may be large.
    if (this.outbox.pendingBytes > OVERDRAFT * unsentBytes) this.#refuseMore(id, "too much unread");
    this.budget.streamOpened();
    this.watch.opened += 1;
    if (fields === null) {
      this.#answerTooLarge(id, last);
      return;
    }
    const request = this.#handler.onFields?.(fields, this.headRepeats) ?? fields;
    const fault = this.#checked.faultOf(request, this.headRepeats, checkRequest);
    if (fault !== null) throw this.#malformed(id, fault);
    this.#open(id, request, last);
  }

  #refuseMore(id: number, detail: string): never {
    this.deps.count?.("refused", REFUSED_STREAM);
    this.#handler.onRefused(REFUSED_STREAM, detail);
    throw new StreamError(id, REFUSED_STREAM, detail);
  }

  #open(id: number, fields: readonly string[], last: boolean): void {
    this.#lastId = id;
    const length = contentLengthOf(fields);
    if (last && length > 0) throw this.#malformed(id, "less than content-length");
    const stream = this.streams.open(id, REFUSING);
    stream.isTunnel = pseudoField(fields, ":method") === "CONNECT";
    stream.headRepeats = this.headRepeats;
    stream.handler = this.#handler.onStream(stream);
    stream.receiveHead(fields, last, length);
  }

  /** RFC 9113 section 10.5.1; the connection is as good as before. */
  #answerTooLarge(id: number, last: boolean): void {
    const { headBytes, headerCount } = this.deps.limits;
    const what = `a head of more than ${headBytes} bytes or ${headerCount} fields`;
    this.#handler.onRefused(NO_ERROR, what);
    const stream = this.streams.open(id, REFUSING);
    stream.receiveHead([], last, -1);
    stream.sendHead(TOO_LARGE, true);
    stream.reset(NO_ERROR);
    this.budget.streamWasted();
  }

  #onTrailers(stream: Stream, fields: readonly string[] | null, last: boolean): void {
    if (stream.remoteDone) throw new StreamError(stream.id, STREAM_CLOSED, "it has ended");
    if (!last) throw this.#malformed(stream.id, "trailers that do not end it");
    if (fields === null) throw this.#malformed(stream.id, "trailers beyond the limits");
    const fault = checkTrailers(fields);
    if (fault !== null) throw this.#malformed(stream.id, fault);
    stream.receiveTrailers(fields);
  }

  /** RFC 9113 section 8.1.1. */
  #malformed(id: number, detail: string): StreamError {
    this.#handler.onRefused(PROTOCOL_ERROR, detail);
    return new StreamError(id, PROTOCOL_ERROR, detail);
  }

  /** HEADERS for a stream that was opened, or passed over (RFC 9113 sections 5.1 and 5.1.1). */
  #onLateFields(id: number): void {
    const ending = this.streams.endingOf(id);
    if (ending === "reset-by-us") this.budget.idleFrame();
    else if (ending === "unknown") {
      throw new ConnectionError(PROTOCOL_ERROR, `stream ${id} behind stream ${this.#lastId}`);
    } else throw new ConnectionError(STREAM_CLOSED, `HEADERS for stream ${id}, which is over`);
  }

  protected override onPong(bytes: string): void {
    if (bytes === DRAIN_PING.toString("latin1")) this.#finishDrain();
  }

  /** What the client sent before it knew is here by now: the last stream is certain. */
  #finishDrain(): void {
    if (this.#drainUntilMs === Number.POSITIVE_INFINITY) return;
    this.#drainUntilMs = Number.POSITIVE_INFINITY;
    this.#acceptedId = this.#lastId;
    if (this.openStreams === 0) this.close();
    else this.sayGoaway(this.#lastId, NO_ERROR, "");
  }

  protected override onLook(nowMs: number, isIdle: boolean): void {
    if (isIdle) this.drain();
    if (nowMs >= this.#drainUntilMs) this.#finishDrain();
  }

  override isUnused(id: number): boolean {
    return id > this.#lastId || id % 2 === 0;
  }

  override onStreamRemoved(): void {
    if (this.openStreams === 0 && this.#acceptedId !== MAX_STREAM_ID) this.close();
  }

  override onPeerReset(stream: Stream): void {
    if (stream.localDone || this.deps.clock.now() - stream.openedMs >= PREMATURE_MS) return;
    this.budget.streamWasted();
  }

  protected override lastPeerId(): number {
    return Math.min(this.#lastId, this.#acceptedId);
  }

  protected override onPeerSettings(): void {
    // What a client may do to a server by them is done by the streams.
  }

  /** The client is about to leave: it opens no more streams, and closes when it likes. */
  protected override onPeerGoaway(): void {
    // A server opens no streams, so none are disowned.
  }

  protected override onClosing(): void {
    // The handlers of the streams have been told.
  }

  protected override onEnd(error: Error | null): void {
    this.#handler.onSessionEnd(error);
  }
}

/** Of a stream that is answered here. */
const REFUSING: StreamHandler = {
  onHead: () => undefined,
  onInterim: () => undefined,
  onData: () => undefined,
  onTrailers: () => undefined,
  onReset: () => undefined,
  onWritable: () => undefined,
};
