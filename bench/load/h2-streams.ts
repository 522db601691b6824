import {
  DEFAULT_TABLE_BYTES,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_DATA,
  FRAME_HEADERS,
  PROTOCOL_ERROR,
} from "../../src/http/h2/codes.ts";
import { ConnectionError } from "../../src/http/h2/errors.ts";
import { HpackEncoder } from "../../src/http/h2/hpack/encoder.ts";
import { frameStart, octets } from "../h2/frame-text.ts";
import { type CallShape, GRPC_FIELDS, GRPC_PREFIX_BYTES, GRPC_REQUEST } from "../h2/request.ts";

export type H2Protocol = "http2" | "grpc";

const HEAD_ROOM = 8_192;
/** One for all connections: a block is used at once. */
const scratch = Buffer.allocUnsafeSlow(HEAD_ROOM);
const GRPC_LIST = Object.entries(GRPC_FIELDS).flat();
const MESSAGE_START = {
  more: frameStart(GRPC_REQUEST.length, FRAME_DATA, 0),
  last: frameStart(GRPC_REQUEST.length, FRAME_DATA, FLAG_END_STREAM),
};

/**
 * Writes requests of one connection. `request` is what Requests made: path, authority and other fields, with a line feed
 * between. A client's fields enter the table as any client's do.
 */
export class H2Requests {
  readonly #isGrpc: boolean;
  readonly #hasMore: boolean;
  readonly #encoder = new HpackEncoder({ tableBytes: DEFAULT_TABLE_BYTES });

  constructor(protocol: H2Protocol, { call, messages }: CallShape) {
    this.#isGrpc = protocol === "grpc";
    this.#hasMore = call === "bidi" && messages > 1;
  }

  setPeerTableBytes(bytes: number): void {
    this.#encoder.setPeerTableBytes(bytes);
  }

  /** The frames of a request, as a latin1 text. */
  frames(id: number, request: string): string {
    const [path = "", authority = "", ...extra] = request.split("\n");
    const isGrpc = this.#isGrpc;
    const fields = [":method", isGrpc ? "POST" : "GET", ":scheme", "http", ":path", path];
    fields.push(":authority", authority, ...(isGrpc ? GRPC_LIST : []), ...extra);
    const end = this.#encoder.encode(fields, scratch, 0);
    const flags = FLAG_END_HEADERS | (isGrpc ? 0 : FLAG_END_STREAM);
    const idText = octets(id, 4);
    const head =
      frameStart(end, FRAME_HEADERS, flags) + idText + scratch.toString("latin1", 0, end);
    return isGrpc ? head + this.#message(idText, !this.#hasMore) : head;
  }

  /** A further message of a call. */
  message(id: number, isLast: boolean): string {
    return this.#message(octets(id, 4), isLast);
  }

  #message(idText: string, isLast: boolean): string {
    return (isLast ? MESSAGE_START.last : MESSAGE_START.more) + idText + GRPC_REQUEST;
  }
}

/** Follows the answer on one stream. Everything that is not as it has to be is an error by kind. */
export class H2Answer {
  readonly #isGrpc: boolean;
  /** Of one message. */
  readonly #bodyBytes: number;
  readonly #messages: number;
  readonly #isBidi: boolean;
  /** Messages that were sent, of calls in which they take turns with answers. */
  #sent = 0;
  /** Bytes that are to come before it is ours to send again, or the end. */
  #left = 0;
  #hasHead = false;
  #grpcStatus = "";

  constructor(protocol: H2Protocol, bodyBytes: number, { call, messages }: CallShape) {
    this.#isGrpc = protocol === "grpc";
    this.#bodyBytes = bodyBytes + (this.#isGrpc ? GRPC_PREFIX_BYTES : 0);
    this.#messages = messages;
    this.#isBidi = call === "bidi";
  }

  begin(): void {
    this.#sent = 1;
    this.#left = this.#bodyBytes * (this.#isBidi ? 1 : this.#messages);
    this.#hasHead = false;
    this.#grpcStatus = "";
  }

  /** Takes a head or trailers; returns a kind of error, or null. */
  fields(fields: readonly string[]): string | null {
    if (this.#hasHead) {
      this.#grpcStatus = fieldOf(fields, "grpc-status");
      return null;
    }
    const status = fieldOf(fields, ":status");
    if (status.startsWith("1")) return null;
    this.#hasHead = true;
    if (status !== "200") return /^\d{3}$/.test(status) ? `status ${status}` : "garbled";
    if (this.#isGrpc) {
      // Trailers-only: a call that failed.
      this.#grpcStatus = fieldOf(fields, "grpc-status");
      return null;
    }
    return fieldOf(fields, "content-length") === String(this.#bodyBytes) ? null : "wrong length";
  }

  data(bytes: number): string | null {
    this.#left -= bytes;
    if (!this.#hasHead) throw new ConnectionError(PROTOCOL_ERROR, "DATA before the head");
    return this.#left < 0 ? "garbled" : null;
  }

  /** Is a further message to be sent now, which counts as sent then, and is it the last? */
  takeTurn(): "more" | "last" | null {
    if (!this.#isBidi || this.#left > 0 || this.#sent === this.#messages) return null;
    this.#sent++;
    this.#left = this.#bodyBytes;
    return this.#sent === this.#messages ? "last" : "more";
  }

  /** What is wrong with an answer that has ended, or null. */
  end(): string | null {
    if (this.#isGrpc && this.#grpcStatus !== "0")
      return `grpc-status ${this.#grpcStatus || "none"}`;
    const isWhole = this.#left === 0 && (!this.#isBidi || this.#sent === this.#messages);
    return isWhole ? null : "garbled";
  }
}

function fieldOf(fields: readonly string[], name: string): string {
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] === name) return fields[at + 1] as string;
  }
  return "";
}
