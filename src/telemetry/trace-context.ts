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
const SPAN_LENGTH = 16;
/**
 * By the last 56 bits of a trace id, which level 2 of Trace Context makes random, all who sample at the same rate decide
 * alike (OpenTelemetry's consistent probability sampling). Their first 32 bits are enough: here is the byte where they begin.
 */
const RANDOMNESS_AT = 9;
const RANDOMNESS_RANGE = 2 ** 32;
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
  /** Traces whose 32 random bits are this or more are sampled. */
  readonly #threshold: number;
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

  /** `rate`: share of the traces that begin here without anybody's decision which is sampled, from 0 to 1. */
  constructor(fill: FillRandom = (buffer) => void randomFillSync(buffer), rate = 0) {
    this.#fill = fill;
    this.#threshold = Math.round((1 - rate) * RANDOMNESS_RANGE);
  }

  /**
   * The `traceparent` to send on: the same trace and flags, always in version 00, as W3C Trace Context section 3.2 asks of a
   * participant, with a span id of our own; `keepsSpan`: with the caller's, for whoever records no span. Null when the header is
   * invalid: then start a trace, and drop `tracestate` (section 3.3).
   */
  continueTrace(header: string, keepsSpan = false): string | null {
    const flags = parseTraceparent(header, this.#trace);
    if (flags === null) return null;
    const known = flags & (SAMPLED | RANDOM);
    if (!keepsSpan) return this.#finish(known);
    this.#trace.write(header.slice(36, 52), 36, SPAN_LENGTH, "latin1");
    writeByte(this.#trace, 53, known);
    return this.#trace.toString("latin1");
  }

  /** A `traceparent` of a trace that begins here; `decision`: whether it is sampled, where somebody has decided that. */
  newTrace(decision?: boolean): string {
    return this.#finish(this.#begin(decision));
  }

  /** A span id of its own. */
  newSpanId(): string {
    this.#writeId(36, 8);
    return this.#trace.toString("latin1", 36, 52);
  }

  /** Is a trace sampled about which nobody has decided? `traceId`: 32 digits. */
  samples(traceId: string): boolean {
    const at = 2 * RANDOMNESS_AT;
    return Number.parseInt(traceId.slice(at, at + 8), 16) >= this.#threshold;
  }

  /** Writes a new trace id; returns the flags. Its ids are random, which level 2 has a flag for. */
  #begin(decision: boolean | undefined): number {
    this.#writeId(3, 16);
    const sampled = decision ?? this.#drawn();
    return sampled ? SAMPLED | RANDOM : RANDOM;
  }

  /** As `samples` says it of the trace id that was just written, whose bytes are the last that were taken. */
  #drawn(): boolean {
    const at = this.#next - 16 + RANDOMNESS_AT;
    const pool = this.#pool;
    const bits =
      ((pool[at] ?? 0) << 24) |
      ((pool[at + 1] ?? 0) << 16) |
      ((pool[at + 2] ?? 0) << 8) |
      (pool[at + 3] ?? 0);
    return bits >>> 0 >= this.#threshold;
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
  newLines(decision?: boolean): string {
    this.#writeUuid();
    this.#writeSpan(this.#begin(decision));
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
