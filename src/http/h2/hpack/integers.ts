import { COMPRESSION_ERROR } from "../codes.ts";
import { ConnectionError } from "../errors.ts";

/** Most octets that an integer needs from us: a prefix, and five for what is below 2^31. */
export const INTEGER_BYTES = 6;

/** RFC 7541 section 5.1 lets a receiver set limits: five octets carry 35 bits, of which we take 31. */
const MAX_CONTINUATIONS = 5;
const MAX_INTEGER = 0x7fff_ffff;

const EMPTY = Buffer.alloc(0);

/**
 * Writes an integer behind the bits of a representation (RFC 7541 section 5.1): `mask` covers its prefix, `bits` are
 * what stands above it. Returns the offset behind it.
 */
export function writeInteger(
  out: Buffer,
  at: number,
  bits: number,
  mask: number,
  value: number,
): number {
  if (value < mask) {
    out[at] = bits | value;
    return at + 1;
  }
  out[at] = bits | mask;
  let next = at + 1;
  let rest = value - mask;
  while (rest >= 0x80) {
    out[next++] = rest | 0x80;
    rest >>>= 7;
  }
  out[next] = rest;
  return next + 1;
}

/** A place in a block, and how to read the integers there. Kept and used again. */
export class IntegerReader {
  block: Buffer = EMPTY;
  at = 0;
  end = 0;

  reset(block: Buffer, start: number, end: number): void {
    this.block = block;
    this.at = start;
    this.end = end;
  }

  /** Lets go of the block. */
  release(): void {
    this.block = EMPTY;
  }

  /**
   * Reads the integer whose prefix is what `mask` covers of the octet at the place (RFC 7541 section 5.1). Throws
   * COMPRESSION_ERROR for more than five further octets, for 2^31 and more, and where the block ends inside it.
   */
  read(mask: number): number {
    const prefix = this.block[this.at++]! & mask;
    return prefix < mask ? prefix : this.#continued(prefix);
  }

  #continued(prefix: number): number {
    const { block, end } = this;
    let value = prefix;
    let unit = 1;
    for (let count = 0; count < MAX_CONTINUATIONS; count++) {
      if (this.at >= end) throw compressionError("the block ends inside an integer");
      const octet = block[this.at++]!;
      // No shift, which would drop what is beyond 32 bits.
      value += (octet & 0x7f) * unit;
      if (octet < 0x80) {
        if (value > MAX_INTEGER) throw compressionError("an integer of 2^31 or more");
        return value;
      }
      unit *= 0x80;
    }
    throw compressionError(`an integer of more than ${MAX_CONTINUATIONS} continuation octets`);
  }
}

/** A block that cannot be decoded ends the connection, for the state of its table is lost (RFC 9113 section 4.3). */
export function compressionError(detail: string): ConnectionError {
  return new ConnectionError(COMPRESSION_ERROR, `HPACK: ${detail}`);
}
