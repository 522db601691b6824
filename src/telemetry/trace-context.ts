import { randomFillSync } from "node:crypto";

/** Fills the buffer with random bytes. */
export type FillRandom = (buffer: Uint8Array) => void;

const POOL_BYTES = 4096;
/** The two characters of each byte, one after the other. */
const HEX = Buffer.from(
  Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0")).join(""),
  "latin1",
);

/** Length of version 00: `00-` trace id `-` parent id `-` flags. */
const LENGTH = 55;
const UUID_LENGTH = 36;
const DASH = 0x2d;
const REQUEST_ID_LINE = "X-Request-Id: ";
const TRACEPARENT_LINE = "\r\nTraceparent: ";
/** Of the flags in a `traceparent`, two hexadecimal digits. */
const FLAGS_AT = 53;
const ZERO = 0x30;
/** Flags that are known: sampled, and random trace id (Trace Context level 2). Others are set to zero. */
const SAMPLED = 0x01;
const RANDOM = 0x02;

/**
 * Identifiers of requests and traces. Random bytes come from a pool that is filled 4 KiB at a time,
 * since one call of the system's generator costs more than all of an identifier. Text is put together in
 * one small buffer, which is less than half the price of joining strings.
 */
export class TraceContext {
  readonly #fill: FillRandom;
  readonly #pool = new Uint8Array(POOL_BYTES);
  #next = POOL_BYTES;
  /** Both fields as lines of a head; the two below are windows into it. */
  readonly #lines = Buffer.from(
    `${REQUEST_ID_LINE}${"-".repeat(UUID_LENGTH)}${TRACEPARENT_LINE}${"00-".padEnd(LENGTH, "-")}\r\n`,
    "latin1",
  );
  readonly #uuid = this.#lines.subarray(
    REQUEST_ID_LINE.length,
    REQUEST_ID_LINE.length + UUID_LENGTH,
  );
  readonly #trace = this.#lines.subarray(-2 - LENGTH, -2);

  constructor(fill: FillRandom = (buffer) => void randomFillSync(buffer)) {
    this.#fill = fill;
  }

  /**
   * The `traceparent` to send on: the same trace and flags with a span id of our own, always in version
   * 00, as W3C Trace Context section 3.2 asks of a participant. Null when the header is invalid: then start a
   * trace, and drop `tracestate` (section 3.3).
   */
  continueTrace(header: string): string | null {
    const flags = parseTraceparent(header, this.#trace);
    return flags === null ? null : this.#finish(flags & (SAMPLED | RANDOM));
  }

  /**
   * A `traceparent` of a trace that begins here. Its ids are random, which level 2 has a flag for;
   * `sampled` says whether the caller records this hop.
   */
  newTrace(sampled: boolean): string {
    this.#writeId(3, 16);
    return this.#finish(sampled ? SAMPLED | RANDOM : RANDOM);
  }

  /** A random UUID (RFC 9562 section 5.4), the usual form of `x-request-id`. */
  newRequestId(): string {
    this.#writeUuid();
    return this.#uuid.toString("latin1");
  }

  /**
   * A new request id and a new trace as the lines `X-Request-Id` and `Traceparent`, each with its CRLF: what
   * most requests need, for the price of one string.
   */
  newLines(sampled: boolean): string {
    this.#writeUuid();
    this.#writeId(3, 16);
    this.#writeSpan(sampled ? SAMPLED | RANDOM : RANDOM);
    return this.#lines.toString("latin1");
  }

  #writeUuid(): void {
    const at = this.#take(16);
    const pool = this.#pool;
    pool[at + 6] = 0x40 | ((pool[at + 6] ?? 0) & 0x0f);
    pool[at + 8] = 0x80 | ((pool[at + 8] ?? 0) & 0x3f);
    const text = this.#uuid;
    let to = 0;
    for (let index = 0; index < 16; index += 1) {
      // The dashes stand already: before bytes 4, 6, 8 and 10.
      if (index === 4 || index === 6 || index === 8 || index === 10) to += 1;
      writeByte(text, to, pool[at + index] ?? 0);
      to += 2;
    }
  }

  #writeSpan(flags: number): void {
    this.#writeId(36, 8);
    writeByte(this.#trace, 53, flags);
  }

  #finish(flags: number): string {
    this.#writeSpan(flags);
    return this.#trace.toString("latin1");
  }

  /** Writes a random id of so many bytes; an id of zeroes only would be invalid. */
  #writeId(to: number, bytes: number): void {
    const at = this.#take(bytes);
    let any = 0;
    for (let index = 0; index < bytes; index += 1) {
      const byte = this.#pool[at + index] ?? 0;
      any |= byte;
      writeByte(this.#trace, to + 2 * index, byte);
    }
    if (any === 0) this.#trace[to + 2 * bytes - 1] = ZERO + 1;
  }

  #take(bytes: number): number {
    if (this.#next + bytes > POOL_BYTES) {
      this.#fill(this.#pool);
      this.#next = 0;
    }
    const at = this.#next;
    this.#next += bytes;
    return at;
  }
}

function writeByte(text: Buffer, to: number, byte: number): void {
  text[to] = HEX[2 * byte] ?? ZERO;
  text[to + 1] = HEX[2 * byte + 1] ?? ZERO;
}

/** Value of each lower-case hex digit by its character code; -1, all bits set, for other characters. */
const DIGITS = Int8Array.from({ length: 256 }, (_, code) =>
  "0123456789abcdef".indexOf(String.fromCharCode(code)),
);

/**
 * Checks a `traceparent` as W3C Trace Context section 3.2 says and returns its flags, or null where it is
 * invalid: version ff, upper-case or other digits, an id of zeroes, version 00 of any other length. A
 * future version may be longer, after a dash, and is read as far as it is known. The trace id is copied to
 * the same place of `into` on the way.
 */
export function parseTraceparent(header: string, into: Uint8Array): number | null {
  if (header.length < LENGTH || !hasDashes(header)) return null;
  const version = hexByte(header, 0);
  if (version < 0 || version === 0xff) return null;
  const longer = header.length > LENGTH;
  if (longer && (version === 0 || header.charCodeAt(LENGTH) !== DASH)) return null;
  if (copyId(header, 36, 52, into) <= 0 || copyId(header, 3, 35, into) <= 0) return null;
  const flags = hexByte(header, 53);
  return flags < 0 ? null : flags;
}

/** The trace id of a valid `traceparent`, and the empty text where there is none. */
export function traceIdOf(traceparent: string): string {
  return traceparent.length >= LENGTH ? traceparent.slice(3, 35) : "";
}

function hasDashes(text: string): boolean {
  return (
    text.charCodeAt(2) === DASH && text.charCodeAt(35) === DASH && text.charCodeAt(52) === DASH
  );
}

/** Copies digits and returns all of them or-ed: zero where all are zero, negative where one is none. */
function copyId(text: string, from: number, to: number, into: Uint8Array): number {
  let bits = 0;
  for (let index = from; index < to; index += 1) {
    const code = text.charCodeAt(index);
    into[index] = code;
    bits |= DIGITS[code] ?? -1;
  }
  return bits;
}

/** Negative where a character is no digit. */
function hexByte(text: string, at: number): number {
  const high = DIGITS[text.charCodeAt(at)] ?? -1;
  const low = DIGITS[text.charCodeAt(at + 1)] ?? -1;
  return (high << 4) | low;
}

/** Lines as `newLines` makes them, of ids that are known already. */
export function identityLines(requestId: string, traceparent: string): string {
  return `${REQUEST_ID_LINE}${requestId}${TRACEPARENT_LINE}${traceparent}\r\n`;
}

/** The request id in such lines. */
export function requestIdIn(lines: string): string {
  return lines.slice(REQUEST_ID_LINE.length, lines.indexOf("\r\n"));
}

/** Is the trace in such lines recorded (W3C Trace Context section 3.2.2.5)? Allocates nothing. */
export function isSampledIn(lines: string): boolean {
  const flags = lines.indexOf("\r\n") + TRACEPARENT_LINE.length + FLAGS_AT;
  return ((DIGITS[lines.charCodeAt(flags + 1)] ?? 0) & 1) === 1;
}

/** The traceparent in such lines. */
export function traceparentIn(lines: string): string {
  return lines.slice(lines.indexOf("\r\n") + TRACEPARENT_LINE.length, -2);
}
