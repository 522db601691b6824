import type { AnswerReader, Progress } from "./answer.ts";

/** No proxy makes a head of this size out of the upstream's. */
const MAX_HEAD_BYTES = 65_536;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const LOWER = 0x20;
const LETTER_C = 0x63;
const ZERO = 0x30;
const NINE = 0x39;

const bytes = (text: string) => Buffer.from(text, "latin1");
const VERSION = bytes("http/1.");
const OK = bytes(" 200");
/** Behind it comes a blank or the line's end. */
const STATUS_END = VERSION.length + 1 + OK.length;
const LENGTH = bytes("content-length:");
const CONNECTION = bytes("connection:");
const CLOSE = bytes("close");

/**
 * Checks HTTP/1.1 answers: status 200 and a Content-Length as expected, and then as many bytes. Chunked answers are
 * errors: the upstream sends a length, and a proxy has no reason to drop it. One pass over the head, without strings.
 */
export class HttpAnswer implements AnswerReader {
  readonly #bodyBytes: number;
  /** Bytes of the body to come; null while the head is not whole. */
  #left: number | null = null;
  #partial: Buffer | null = null;
  #length = -1;
  #closes = false;

  constructor(bodyBytes: number) {
    this.#bodyBytes = bodyBytes;
  }

  read(chunk: Buffer, length: number): Progress {
    if (this.#left !== null) return this.#body(length);
    if (this.#partial === null) return this.#head(chunk, length);
    const whole = Buffer.concat([this.#partial, chunk.subarray(0, length)]);
    return this.#head(whole, whole.length);
  }

  #head(chunk: Buffer, length: number): Progress {
    this.#length = -1;
    this.#closes = false;
    const end = this.#fields(chunk, length);
    if (end === -1) {
      if (length > MAX_HEAD_BYTES) return "garbled";
      this.#partial = Buffer.from(chunk.subarray(0, length));
      return "more";
    }
    this.#partial = null;
    if (!matches(chunk, 0, VERSION)) return "garbled";
    if (!matches(chunk, VERSION.length + 1, OK)) return statusKind(chunk);
    if ((chunk[STATUS_END] as number) > SPACE) return "garbled";
    if (this.#length !== this.#bodyBytes) return "wrong length";
    this.#left = this.#length;
    return this.#body(length - end);
  }

  /** Looks at each line; returns where the head ends, or -1. */
  #fields(chunk: Buffer, length: number): number {
    let line = 0;
    for (let at = 0; at < length; at++) {
      if (chunk[at] !== LF) continue;
      if (at === line || (at === line + 1 && chunk[line] === CR)) return at + 1;
      if (((chunk[line] as number) | LOWER) === LETTER_C) this.#field(chunk, line, at);
      line = at + 1;
    }
    return -1;
  }

  #field(chunk: Buffer, line: number, end: number): void {
    if (matches(chunk, line, LENGTH)) this.#length = number(chunk, line + LENGTH.length, end);
    if (!matches(chunk, line, CONNECTION)) return;
    for (let at = line + CONNECTION.length; at + CLOSE.length <= end; at++) {
      if (matches(chunk, at, CLOSE)) this.#closes = true;
    }
  }

  #body(length: number): Progress {
    const left = (this.#left as number) - length;
    this.#left = left;
    if (left > 0) return "more";
    if (left < 0) return "garbled";
    this.#left = null;
    return this.#closes ? "last" : "whole";
  }
}

/** Is this text (in lower case) there, whatever the case? */
function matches(chunk: Buffer, start: number, text: Buffer): boolean {
  for (let at = 0; at < text.length; at++) {
    const byte = chunk[start + at] as number;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | LOWER : byte;
    if (lower !== text[at]) return false;
  }
  return true;
}

/** -1 where there is no number, or something behind it. */
function number(chunk: Buffer, start: number, end: number): number {
  let value = -1;
  for (let at = start; at < end; at++) {
    const byte = chunk[at] as number;
    if (byte >= ZERO && byte <= NINE) value = Math.max(0, value) * 10 + byte - ZERO;
    else if (byte !== SPACE && !(byte === CR && at === end - 1)) return -1;
  }
  return value;
}

function statusKind(chunk: Buffer): string {
  const status = chunk.toString("latin1", VERSION.length + 2, VERSION.length + 5);
  return /^\d{3}$/.test(status) ? `status ${status}` : "garbled";
}
