import type { Conn } from "../../src/http/conn.ts";
import {
  CLIENT_PREFACE,
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  FLAG_ACK,
  FRAME_PING,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  PROTOCOL_ERROR,
  SETTINGS_INITIAL_WINDOW_SIZE,
} from "../../src/http/h2/codes.ts";
import type { StreamError } from "../../src/http/h2/errors.ts";
import { ConnectionError } from "../../src/http/h2/errors.ts";
import type { FrameHandler } from "../../src/http/h2/frame-handler.ts";
import { FrameReader } from "../../src/http/h2/frame-reader.ts";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { FRAME_LIMITS, TABLE_LIMITS } from "../h2/codec-limits.ts";
import { frame, octets } from "../h2/frame-text.ts";
import { MessageCounter } from "../h2/message-counter.ts";
import { readPath } from "../h2/request.ts";
import { BODY, MAX_BODY_BYTES } from "./answers.ts";
import {
  dataStart,
  type H2Answer,
  type H2Answers,
  type H2Kind,
  trailersFrame,
} from "./h2-answers.ts";

/** Content of requests is thrown away: windows open again after so many bytes. */
const REFILL_BYTES = 32_768;
/** Bodies up to this size are joined to the texts around them. */
const SMALL_BYTES = 12_288;

/** A request whose end has not come, or an answer that has not gone. */
interface Open {
  readonly id: number;
  readonly idText: string;
  readonly kind: H2Kind;
  readonly messages: number;
  /** Of the body of one message. */
  readonly size: number;
  readonly answer: H2Answer;
  window: number;
  /** Content of the message under way that windows hold back; null: none is under way. */
  left: number | null;
  /** Messages to be sent, the one under way among them. */
  owed: number;
  /** The request is whole: behind what is owed comes the end. */
  isWhole: boolean;
  /** Of calls in which each message is answered. */
  readonly counter: MessageCounter | null;
  taken: number;
}

const bodyTexts = new Map<number, string>();

/**
 * Answers requests of HTTP/2 on one connection: a path that ends with a number gets so many bytes, and with
 * `content-type: application/grpc` as one gRPC message, or as several, of which one leaves in each turn of the event loop, so that
 * they come as a stream does and not at once. It reads with the codec that is measured, and writes frames that
 * are made once; flow control is kept. All answers to one read leave in one write.
 */
export class H2Connection implements FrameHandler {
  readonly #conn: Conn;
  readonly #answers: H2Answers;
  readonly #reader = new FrameReader(this, FRAME_LIMITS);
  readonly #decoder = new HpackDecoder(TABLE_LIMITS);
  readonly #open = new Map<number, Open>();
  #initialWindow = DEFAULT_WINDOW_BYTES;
  #window = DEFAULT_WINDOW_BYTES;
  #taken = 0;
  #out = "";
  /** Whose next message leaves in the next turn of the event loop. */
  #nextTurn: Open[] = [];

  constructor(conn: Conn, answers: H2Answers) {
    this.#conn = conn;
    this.#answers = answers;
    conn.writeText(frame(FRAME_SETTINGS, 0, 0, ""));
  }

  /** Takes what comes behind the client's preface. Throws where it is no HTTP/2. */
  read(chunk: Buffer, start: number, end: number): void {
    this.#reader.read(chunk, start, end);
    this.#flush();
  }

  #flush(): void {
    const out = this.#out;
    if (out === "") return;
    this.#out = "";
    this.#conn.writeText(out);
  }

  onHeaders(id: number, block: Buffer, start: number, end: number, last: boolean): void {
    const fields = this.#decoder.decode(block, start, end);
    // Trailers of a request end it.
    const known = this.#open.get(id);
    if (known !== undefined) {
      if (!known.isWhole) this.#answer(known);
      return;
    }
    const open = this.#asked(id, fields);
    if (open === null) {
      this.#out += frame(FRAME_RST_STREAM, 0, id, octets(PROTOCOL_ERROR, 4));
      return;
    }
    if (open.counter !== null) this.#head(open);
    if (last) this.#answer(open);
    else this.#open.set(id, open);
  }

  #asked(id: number, fields: readonly string[]): Open | null {
    let path = "";
    let kind: H2Kind = "http2";
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at];
      if (name === ":path") path = fields[at + 1] as string;
      else if (name === "content-type" && fields[at + 1]?.startsWith("application/grpc")) {
        kind = "grpc";
      }
    }
    const shape = readPath(path);
    if (shape === null || shape.bodyBytes > MAX_BODY_BYTES) return null;
    if (kind !== "grpc" && shape.call !== "unary") return null;
    return {
      id,
      idText: octets(id, 4),
      kind,
      messages: shape.messages,
      size: shape.bodyBytes,
      answer: this.#answers.answer(kind, shape.bodyBytes, path.includes("?")),
      window: this.#initialWindow,
      left: null,
      owed: 0,
      isWhole: false,
      counter: shape.call === "bidi" ? new MessageCounter() : null,
      taken: 0,
    };
  }

  onData(
    id: number,
    chunk: Buffer,
    start: number,
    end: number,
    flowBytes: number,
    last: boolean,
  ): void {
    this.#taken += flowBytes;
    if (this.#taken >= REFILL_BYTES) {
      this.#out += frame(FRAME_WINDOW_UPDATE, 0, 0, octets(this.#taken, 4));
      this.#taken = 0;
    }
    const open = this.#open.get(id);
    if (open === undefined) return;
    open.taken += flowBytes;
    if (open.counter !== null) {
      open.owed += open.counter.count(chunk, start, end);
      this.#sendOwed(open);
    }
    if (last) this.#answer(open);
    else if (open.taken >= REFILL_BYTES) {
      this.#out += frame(FRAME_WINDOW_UPDATE, 0, id, octets(open.taken, 4));
      open.taken = 0;
    }
  }

  /** The request is whole. */
  #answer(open: Open): void {
    open.isWhole = true;
    this.#open.set(open.id, open);
    if (open.counter !== null) {
      if (open.owed === 0) this.#end(open);
      return;
    }
    this.#head(open);
    open.owed = open.messages;
    this.#sendOwed(open);
  }

  #head({ idText, answer: { head, headBlock } }: Open): void {
    this.#out += head + idText + headBlock;
  }

  /** Sends the next message, if one is owed and none is under way. */
  #sendOwed(open: Open): void {
    if (open.owed === 0 || open.left !== null) return;
    const { idText, kind, size } = open;
    const { contentBytes, prefix } = open.answer;
    const isFree = contentBytes <= open.window && contentBytes <= this.#window;
    if (!isFree || contentBytes > SMALL_BYTES) {
      open.left = contentBytes;
      this.#send(open);
      return;
    }
    open.window -= contentBytes;
    this.#window -= contentBytes;
    if (contentBytes > 0) {
      this.#out += dataStart(contentBytes, kind === "http2") + idText + prefix + bodyText(size);
    }
    this.#sent(open);
  }

  /** A whole message has gone. */
  #sent(open: Open): void {
    open.left = null;
    open.owed--;
    if (open.owed === 0) {
      if (open.isWhole) this.#end(open);
    } else if (open.counter !== null) this.#sendOwed(open);
    else if (this.#nextTurn.push(open) === 1) setImmediate(() => this.#turn());
  }

  #turn(): void {
    const turn = this.#nextTurn;
    this.#nextTurn = [];
    if (this.#conn.closed) return;
    for (const open of turn) if (this.#open.get(open.id) === open) this.#sendOwed(open);
    this.#flush();
    this.#conn.flush();
  }

  #end({ id, idText, kind }: Open): void {
    if (kind === "grpc") this.#out += trailersFrame(idText);
    this.#open.delete(id);
  }

  /** Sends of the content what the windows take. */
  #send(open: Open): void {
    const { idText, kind, size } = open;
    let left = open.left as number;
    // Texts and pieces of the body in few system calls.
    this.#conn.socket.cork();
    while (left > 0) {
      const bytes = Math.min(left, open.window, this.#window, DEFAULT_FRAME_BYTES);
      // The prefix goes in one piece.
      const prefix = left > size ? open.answer.prefix : "";
      if (bytes <= 0 || bytes < prefix.length) break;
      open.window -= bytes;
      this.#window -= bytes;
      left -= bytes;
      this.#out += dataStart(bytes, kind === "http2" && left === 0) + idText + prefix;
      this.#flush();
      this.#conn.flush();
      this.#conn.socket.write(BODY.subarray(0, bytes - prefix.length));
    }
    this.#conn.socket.uncork();
    open.left = left;
    if (left === 0) this.#sent(open);
  }

  #sendAll(): void {
    if (this.#open.size === 0) return;
    this.#conn.socket.cork();
    for (const open of this.#open.values()) if (open.left !== null) this.#send(open);
    this.#flush();
    this.#conn.flush();
    this.#conn.socket.uncork();
  }

  onSettings(ids: readonly number[], values: readonly number[]): void {
    const at = ids.lastIndexOf(SETTINGS_INITIAL_WINDOW_SIZE);
    if (at !== -1) {
      const grown = (values[at] as number) - this.#initialWindow;
      this.#initialWindow += grown;
      for (const open of this.#open.values()) open.window += grown;
    }
    this.#out += frame(FRAME_SETTINGS, FLAG_ACK, 0, "");
    this.#sendAll();
  }

  onWindowUpdate(id: number, increment: number): void {
    const open = this.#open.get(id);
    if (id === 0) this.#window += increment;
    else if (open !== undefined) open.window += increment;
    if (id === 0) this.#sendAll();
    else if (open !== undefined && open.left !== null) this.#send(open);
  }

  onReset(id: number): void {
    this.#open.delete(id);
  }

  onPing(isAck: boolean, chunk: Buffer, start: number): void {
    if (isAck) return;
    const payload = chunk.toString("latin1", start, start + 8);
    this.#out += frame(FRAME_PING, FLAG_ACK, 0, payload);
  }

  onStreamError({ streamId, code }: StreamError): void {
    this.#open.delete(streamId);
    this.#out += frame(FRAME_RST_STREAM, 0, streamId, octets(code, 4));
  }

  onPushPromise(): void {
    throw new ConnectionError(PROTOCOL_ERROR, "a client pushes nothing");
  }

  onSettingsAck(): void {
    this.#decoder.settingsAcknowledged();
  }

  onPriority(): void {}

  onGoaway(): void {}

  onUnknown(): void {}
}

function bodyText(size: number): string {
  const text = bodyTexts.get(size) ?? "x".repeat(size);
  if (bodyTexts.size < 64) bodyTexts.set(size, text);
  return text;
}

/** Does a connection that begins with these bytes speak HTTP/2? null: too few have come. */
export function beginsHttp2(chunk: Buffer, start: number, end: number): boolean | null {
  const begin = chunk.toString("latin1", start, Math.min(end, start + CLIENT_PREFACE.length));
  if (begin === CLIENT_PREFACE) return true;
  return CLIENT_PREFACE.startsWith(begin) ? null : false;
}
