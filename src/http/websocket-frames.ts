import { randomBytes } from "node:crypto";

const CLOSE = 8;
const FINAL = 0x80;
const MASKED = 0x80;
const MASK_BYTES = 4;
/** Lengths that stand for one in the two, or in the eight, octets behind them. */
const LENGTH_16 = 126;
const LENGTH_64 = 127;
/** Header without length and mask: flags, opcode, short length. */
const SHORTEST_BYTES = 2;

/**
 * Follows the frames of one direction of a WebSocket (RFC 6455 section 5.2) by their headers alone, so that something can
 * be put between two of them. What a frame says is the ends' affair: only its length is looked at, and whether it is a Close.
 */
export class WebSocketFrames {
  /** Has a Close frame begun? */
  sawClose = false;
  /** Bytes of the header that have come. */
  #at = 0;
  /** Bytes of the whole header, as far as is known yet. */
  #headerBytes = SHORTEST_BYTES;
  /** Where the length ends within the header. */
  #lengthEnd = SHORTEST_BYTES;
  #length = 0;
  /** Bytes of the payload that are to come. */
  #left = 0;

  /** Is the next byte the first one of a frame? */
  get isBetween(): boolean {
    return this.#left === 0 && this.#at === 0;
  }

  /** Follows `chunk[start, end)`; `isOne`: no further than to where a frame may begin. Returns how far. */
  follow(chunk: Buffer, start: number, end: number, isOne: boolean): number {
    let at = start;
    while (at < end && !(isOne && this.isBetween)) {
      if (this.#left === 0) this.#header(chunk[at++]!);
      else {
        const size = Math.min(this.#left, end - at);
        this.#left -= size;
        at += size;
      }
    }
    return at;
  }

  #header(byte: number): void {
    const at = this.#at++;
    if (at === 0) this.sawClose ||= (byte & 0x0f) === CLOSE;
    else if (at === 1) this.#begin(byte);
    else if (at < this.#lengthEnd) this.#length = this.#length * 256 + byte;
    if (this.#at < this.#headerBytes) return;
    this.#left = this.#length;
    this.#at = 0;
    this.#headerBytes = SHORTEST_BYTES;
  }

  #begin(byte: number): void {
    const length = byte & ~MASKED;
    const more = length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0;
    this.#length = more === 0 ? length : 0;
    this.#lengthEnd = SHORTEST_BYTES + more;
    this.#headerBytes = this.#lengthEnd + ((byte & MASKED) === 0 ? 0 : MASK_BYTES);
  }
}

/**
 * A Close frame (RFC 6455 section 5.5.1) as latin1. `isMasked`: as a client sends it, with a mask that nobody can foresee
 * (section 5.3). `reason`: ASCII, 123 characters at most.
 */
export function closeFrame(code: number, reason: string, isMasked: boolean): string {
  const payload = Buffer.from(`\0\0${reason}`, "latin1");
  payload.writeUInt16BE(code);
  const head = Buffer.of(FINAL | CLOSE, payload.length | (isMasked ? MASKED : 0));
  if (!isMasked) return Buffer.concat([head, payload]).toString("latin1");
  const mask = randomBytes(MASK_BYTES);
  for (let at = 0; at < payload.length; at++) payload[at]! ^= mask[at % MASK_BYTES]!;
  return Buffer.concat([head, mask, payload]).toString("latin1");
}
