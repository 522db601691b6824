import { MeshError } from "../../core/errors.ts";
import { HeadPrint } from "./head-print.ts";
import { malformed, type Side } from "./malformed.ts";

/** Limits of a head. */
export interface HeadLimits {
  /** Whole head with its empty line. */
  readonly headBytes: number;
  /** First line without its line end; only requests have this limit. */
  readonly requestLineBytes: number;
}

const CR = 0x0d;
const LF = 0x0a;

/** Most heads are smaller than this; a larger part of the chunk is only looked at when they are not. */
const WINDOW_BYTES = 2_048;

/** Empty lines before a request line that are skipped, RFC 9112 section 2.2. */
const MAX_EMPTY_LINES = 4;

const EMPTY: Buffer = Buffer.alloc(0);

/** Where in a head the reader stands. */
const START = 0;
const EMPTY_LINE_CR = 1;
const LINE = 2;
const LINE_CR = 3;
const LINE_START = 4;
const LAST_CR = 5;

/**
 * Finds the end of a head in the bytes of a connection. A head that lies in one chunk is cut out with one
 * search. Of a head that comes in pieces every byte is looked at once and kept; there a stray CR, LF or
 * control character is refused as it arrives, because the end of such a head might never come.
 */
export class HeadReader {
  readonly #limits: HeadLimits;
  readonly #side: Side;
  #text = "";
  #repeated = false;
  /** The bytes of `#text`, once it has come twice. */
  #print: HeadPrint | null = null;
  #carry: Buffer = EMPTY;
  #length = 0;
  #state = START;
  #emptyLines = 0;
  #inFirstLine = true;

  constructor(limits: HeadLimits, side: Side) {
    this.#limits = limits;
    this.#side = side;
  }

  /**
   * Takes `chunk[start, end)`. Returns the position right behind the head, or -1 when more is needed; the
   * chunk is not kept. The next call begins a new head. Throws `REQUEST_LINE_TOO_LONG`, `HEAD_TOO_LARGE` or
   * `BAD_REQUEST` for requests, `UPSTREAM_PROTOCOL` for responses.
   */
  read(chunk: Buffer, start: number, end: number): number {
    if (this.#state === START) {
      const next = this.#readWhole(chunk, start, end);
      if (next !== -1) return next;
    }
    return this.#readPart(chunk, start, end);
  }

  /** The head that was read last, with its empty line. */
  get text(): string {
    return this.#text;
  }

  /**
   * Was the head that was read last the very same as the one before it? Programs repeat their heads, and
   * what was parsed from one holds for the other.
   */
  get repeated(): boolean {
    return this.#repeated;
  }

  /** Has a part of a head arrived and its end has not? */
  get started(): boolean {
    return this.#state !== START;
  }

  /** Bytes of a head whose end has not arrived. */
  get keptBytes(): number {
    return this.#carry.length;
  }

  /** Forgets everything that was read. */
  reset(): void {
    this.#text = "";
    this.#repeated = false;
    this.#print = null;
    this.#restart();
  }

  #restart(): void {
    this.#carry = EMPTY;
    this.#length = 0;
    this.#state = START;
    this.#emptyLines = 0;
    this.#inFirstLine = true;
  }

  #readWhole(chunk: Buffer, start: number, end: number): number {
    if (start >= end || chunk[start] === CR) return -1;
    // A head ends with its only empty line, so bytes that begin with a whole head have exactly that head.
    if (this.#print?.matches(chunk, start, end) === true) {
      this.#repeated = true;
      this.#emptyLines = 0;
      return start + this.#text.length;
    }
    this.#print = null;
    // A head is mostly as long as the one before: then it is cut out, without what is behind it, at once.
    const guess = start + this.#text.length;
    const isLikely = guess > start && guess <= end && followsEmptyLine(chunk, guess);
    let window = isLikely ? guess : Math.min(end, start + WINDOW_BYTES);
    let text = chunk.toString("latin1", start, window);
    this.#repeated = isLikely && text === this.#text;
    if (this.#repeated) {
      this.#print = new HeadPrint(text);
      this.#emptyLines = 0;
      return window;
    }
    let at = text.indexOf("\r\n\r\n");
    if (at === -1 && window < end) {
      window = Math.min(end, start + this.#limits.headBytes);
      text = chunk.toString("latin1", start, window);
      at = text.indexOf("\r\n\r\n");
    }
    if (at === -1) return -1;
    const size = at + 4;
    this.#mustFit(text, size);
    // Cut from the chunk and not from the text: V8 reads a slice of a string twice as slowly.
    this.#text = size === text.length ? text : chunk.toString("latin1", start, start + size);
    this.#emptyLines = 0;
    return start + size;
  }

  #mustFit(text: string, size: number): void {
    const { headBytes, requestLineBytes } = this.#limits;
    if (size > requestLineBytes && this.#side === "request") {
      if (text.indexOf("\r") > requestLineBytes) throw this.#lineTooLong();
    }
    if (size > headBytes) throw this.#tooLarge();
  }

  #readPart(chunk: Buffer, start: number, end: number): number {
    this.#reserve(end - start);
    for (let at = start; at < end; at++) {
      const byte = chunk[at]!;
      this.#step(byte);
      if (this.#state <= EMPTY_LINE_CR) continue;
      if (this.#length === this.#limits.headBytes) throw this.#tooLarge();
      this.#carry[this.#length++] = byte;
      if (this.#state === LAST_CR && byte === LF) {
        this.#text = this.#carry.toString("latin1", 0, this.#length);
        this.#repeated = false;
        this.#print = null;
        this.#restart();
        return at + 1;
      }
    }
    return -1;
  }

  /** Moves the state by one byte; in `LAST_CR` the state stays, since the LF there ends the head. */
  #step(byte: number): void {
    switch (this.#state) {
      case EMPTY_LINE_CR:
        this.#mustBeLf(byte);
        this.#state = START;
        break;
      case LINE_CR:
        this.#mustBeLf(byte);
        this.#state = LINE_START;
        this.#inFirstLine = false;
        break;
      case LAST_CR:
        this.#mustBeLf(byte);
        break;
      default:
        if (byte === CR) this.#endLine();
        else this.#inLine(byte);
    }
  }

  #mustBeLf(byte: number): void {
    if (byte !== LF) throw malformed(this.#side, "a bare CR in the head");
  }

  #endLine(): void {
    if (this.#state === LINE) this.#state = LINE_CR;
    else if (this.#state === LINE_START) this.#state = LAST_CR;
    else if (this.#side === "request" && this.#emptyLines < MAX_EMPTY_LINES) {
      this.#emptyLines++;
      this.#state = EMPTY_LINE_CR;
    } else throw malformed(this.#side, "empty lines before the head");
  }

  #inLine(byte: number): void {
    if (byte === LF) throw malformed(this.#side, "a bare LF in the head");
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) {
      throw malformed(this.#side, `the control character ${byte} in the head`);
    }
    if (this.#inFirstLine && this.#length === this.#limits.requestLineBytes) {
      if (this.#side === "request") throw this.#lineTooLong();
    }
    this.#state = LINE;
  }

  /** Makes room for further bytes, at most for a head of the largest size. */
  #reserve(bytes: number): void {
    const needed = Math.min(this.#length + bytes, this.#limits.headBytes);
    if (needed <= this.#carry.length) return;
    const size = Math.min(Math.max(needed, 2 * this.#carry.length, 512), this.#limits.headBytes);
    const grown = Buffer.allocUnsafe(size);
    this.#carry.copy(grown, 0, 0, this.#length);
    this.#carry = grown;
  }

  #lineTooLong(): MeshError {
    const { requestLineBytes } = this.#limits;
    return new MeshError("REQUEST_LINE_TOO_LONG", `more than ${requestLineBytes} bytes`);
  }

  #tooLarge(): MeshError {
    const detail = `more than ${this.#limits.headBytes} bytes`;
    return this.#side === "request"
      ? new MeshError("HEAD_TOO_LARGE", detail)
      : new MeshError("UPSTREAM_PROTOCOL", `a head of ${detail}`);
  }
}

/** Is there an empty line right before this place, as at the end of a head? */
function followsEmptyLine(chunk: Buffer, at: number): boolean {
  return chunk[at - 1] === LF && chunk[at - 2] === CR && chunk[at - 3] === LF;
}
