import type { MeshError } from "../../core/errors.ts";
import type { FieldLimits } from "../message.ts";
import { TOKEN } from "./field-lines.ts";
import { malformed, quoted, type Side } from "./malformed.ts";

/** Limits of a chunked body. */
export interface ChunkedLimits extends FieldLimits {
  /** Whole trailer section with its empty line. */
  readonly trailerBytes: number;
}

/** Told where payload lies in the chunk that is being fed; the bytes are only valid during the call. */
export type PayloadSink = (chunk: Buffer, start: number, end: number) => void;

const CR = 0x0d;
const LF = 0x0a;

/** Enough for 2^53 with a few leading zeros. */
const MAX_SIZE_DIGITS = 16;

/** Chunk extensions of one chunk. Nobody uses them but to hide things or to waste the reader's time. */
const MAX_EXTENSION_BYTES = 256;

/** RFC 9112 section 7.1.1, with the bad whitespace that recipients must accept. */
const EXTENSIONS = new RegExp(
  `^(?:[ \\t]*;[ \\t]*${TOKEN}(?:[ \\t]*=[ \\t]*(?:${TOKEN}|"(?:[^"\\\\]|\\\\.)*"))?)*$`,
);

const TRAILER = new RegExp(`^(${TOKEN}):[\\t\\x20-\\x7e\\x80-\\xff]*$`);

/**
 * Fields that must not come behind the content: framing, routing, authentication, request modifiers and
 * content format (RFC 9110 section 6.5.1), and those that the proxy itself sets.
 */
const FORBIDDEN = new Set([
  "authorization",
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "max-forwards",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "range",
  "set-cookie",
  "te",
  "traceparent",
  "tracestate",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "www-authenticate",
  "x-forwarded-client-cert",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-request-id",
]);

/** Must a field of this lower-case name not come behind the content? Applications that make variables of names read `_` as `-`. */
export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN.has(name.replaceAll("_", "-"));
}

/** Where in the coding the decoder stands. */
const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_LINE = 6;
const TRAILER_LF = 7;
const DONE = 8;

/**
 * Follows a body in the chunked coding (RFC 9112 section 7.1) without changing it: says where it ends and
 * refuses whatever another reader could take for a different end. Chunk data is stepped over, so that
 * the coded bytes can be forwarded as they are; a sink is told where the payload lies.
 */
export class ChunkedDecoder {
  readonly #limits: ChunkedLimits;
  readonly #side: Side;
  #state = SIZE;
  #digits = 0;
  /** Of the current chunk; in `DATA` what is still to come. */
  #size = 0;
  /** The extensions of the current chunk or the current trailer line, as far as it has come. */
  #line = "";
  #trailerBytes = 0;
  #trailers = 0;
  #trailerText = "";
  #payloadBytes = 0;

  constructor(limits: ChunkedLimits, side: Side) {
    this.#limits = limits;
    this.#side = side;
  }

  /** Makes ready for the next body. */
  reset(): void {
    this.#state = SIZE;
    this.#digits = 0;
    this.#size = 0;
    this.#line = "";
    this.#trailerBytes = 0;
    this.#trailers = 0;
    this.#trailerText = "";
    this.#payloadBytes = 0;
  }

  /** Has the whole body, with its trailers, been seen? */
  get done(): boolean {
    return this.#state === DONE;
  }

  /** Has the first chunk size been read, and found to be one? */
  get begun(): boolean {
    return this.#payloadBytes > 0 || this.#state >= DATA;
  }

  /** Field lines of the trailer section so far, each with its CRLF. */
  get trailers(): string {
    return this.#trailerText;
  }

  /** Bytes of content so far, without the coding. */
  get payloadBytes(): number {
    return this.#payloadBytes;
  }

  /**
   * Takes `chunk[start, end)`. Returns the position right behind what belongs to the body: `end` while it
   * is unfinished. Throws `BAD_REQUEST` or `UPSTREAM_PROTOCOL`, for every limit too; then nothing of
   * this chunk may be forwarded.
   */
  feed(chunk: Buffer, start: number, end: number, sink?: PayloadSink): number {
    let at = start;
    while (at < end && this.#state !== DONE) {
      if (this.#state === DATA) {
        const next = Math.min(end, at + this.#size);
        sink?.(chunk, at, next);
        this.#payloadBytes += next - at;
        this.#size -= next - at;
        if (this.#size === 0) this.#state = DATA_CR;
        at = next;
      } else {
        this.#step(chunk[at]!);
        at++;
      }
    }
    return at;
  }

  #step(byte: number): void {
    switch (this.#state) {
      case SIZE:
        this.#sizeByte(byte);
        break;
      case EXTENSION:
        this.#extensionByte(byte);
        break;
      case SIZE_LF:
        this.#expect(byte, LF, "the chunk size");
        this.#digits = 0;
        this.#state = this.#size === 0 ? TRAILER_LINE : DATA;
        break;
      case DATA_CR:
        this.#expect(byte, CR, "the chunk data");
        this.#state = DATA_LF;
        break;
      case DATA_LF:
        this.#expect(byte, LF, "the chunk data");
        this.#state = SIZE;
        break;
      case TRAILER_LINE:
        this.#trailerByte(byte);
        break;
      case TRAILER_LF:
        this.#expect(byte, LF, "a trailer line");
        this.#countTrailerByte();
        this.#endTrailerLine();
        break;
    }
  }

  #sizeByte(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== -1) {
      this.#size = 16 * this.#size + digit;
      this.#digits++;
      if (this.#digits > MAX_SIZE_DIGITS || this.#size > Number.MAX_SAFE_INTEGER) {
        throw this.#fault("a chunk size beyond 2^53");
      }
      return;
    }
    if (this.#digits === 0) throw this.#fault("a chunk size without a hexadecimal digit");
    if (byte === CR) this.#state = SIZE_LF;
    else {
      this.#state = EXTENSION;
      this.#extensionByte(byte);
    }
  }

  #extensionByte(byte: number): void {
    if (byte === CR) {
      if (!EXTENSIONS.test(this.#line)) {
        throw this.#fault(`${quoted(this.#line)} behind a chunk size`);
      }
      this.#line = "";
      this.#state = SIZE_LF;
      return;
    }
    if (isControl(byte)) throw this.#fault("a control character behind a chunk size");
    if (this.#line.length === MAX_EXTENSION_BYTES) {
      throw this.#fault(`chunk extensions of more than ${MAX_EXTENSION_BYTES} bytes`);
    }
    this.#line += String.fromCharCode(byte);
  }

  #trailerByte(byte: number): void {
    this.#countTrailerByte();
    if (byte === CR) this.#state = TRAILER_LF;
    else if (isControl(byte)) throw this.#fault("a control character in a trailer");
    else this.#line += String.fromCharCode(byte);
  }

  #countTrailerByte(): void {
    if (++this.#trailerBytes > this.#limits.trailerBytes) {
      throw this.#fault(`trailers of more than ${this.#limits.trailerBytes} bytes`);
    }
  }

  /** Each line is judged as it ends, so that no complete line of a bad trailer is ever forwarded. */
  #endTrailerLine(): void {
    if (this.#line === "") {
      this.#state = DONE;
      return;
    }
    const name = TRAILER.exec(this.#line)?.[1];
    if (name === undefined) throw this.#fault(`the trailer line ${quoted(this.#line)}`);
    if (isForbiddenTrailer(name.toLowerCase()))
      throw this.#fault(`${quoted(name)} in the trailers`);
    if (++this.#trailers > this.#limits.headerCount) {
      throw this.#fault(`more than ${this.#limits.headerCount} trailers`);
    }
    this.#trailerText += `${this.#line}\r\n`;
    this.#line = "";
    this.#state = TRAILER_LINE;
  }

  #expect(byte: number, wanted: number, behind: string): void {
    if (byte !== wanted) throw this.#fault(`no CRLF behind ${behind}`);
  }

  #fault(detail: string): MeshError {
    return malformed(this.#side, detail);
  }
}

/** Value of a hexadecimal digit, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function isControl(byte: number): boolean {
  return (byte < 0x20 && byte !== 0x09) || byte === 0x7f;
}
