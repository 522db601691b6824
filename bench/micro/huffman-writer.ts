import { HUFFMAN_CODES } from "./huffman-codes.ts";

const CODES = Uint32Array.from(HUFFMAN_CODES, ([code]) => code);
const BITS = Uint8Array.from(HUFFMAN_CODES, ([, bits]) => bits);

/** Codes of more bits do not fit beside what is left of an octet; no ordinary field has them. */
const MAX_BITS = 24;

/**
 * What our encoder leaves out: gives the strings of a finished block in Huffman coding, where that is shorter (RFC 7541
 * section 5.2). It stands for an encoder that would do so at once; because the strings were copied before, the time of
 * both together is an upper bound.
 */
export class HuffmanWriter {
  readonly #out = Buffer.alloc(16_384);
  #block: Buffer = this.#out;
  #at = 0;
  #next = 0;

  /** Recodes `block[0, end)` to a new buffer. */
  recode(block: Buffer, end: number): Buffer {
    return Buffer.from(this.#out.subarray(0, this.rewrite(block, end)));
  }

  /** Recodes into a buffer of its own, and returns how many octets it has. */
  rewrite(block: Buffer, end: number): number {
    this.#block = block;
    this.#at = 0;
    this.#next = 0;
    while (this.#at < end) {
      const first = block[this.#at]!;
      if (first >= 0x80) this.#copyInteger(0x7f);
      else if (first >= 0x40) this.#literal(0x3f);
      else if (first >= 0x20) this.#copyInteger(0x1f);
      else this.#literal(0x0f);
    }
    return this.#next;
  }

  #literal(mask: number): void {
    const isNamed = this.#copyInteger(mask) > 0;
    if (!isNamed) this.#string();
    this.#string();
  }

  /** Copies an integer and returns its value. */
  #copyInteger(mask: number): number {
    const start = this.#at;
    const value = this.#integer(mask);
    for (let at = start; at < this.#at; at++) this.#out[this.#next++] = this.#block[at]!;
    return value;
  }

  #integer(mask: number): number {
    let value = this.#block[this.#at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; ; shift += 7) {
      const octet = this.#block[this.#at++]!;
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) return value;
    }
  }

  #string(): void {
    const block = this.#block;
    const start = this.#at;
    const length = this.#integer(0x7f);
    const from = this.#at;
    const to = from + length;
    this.#at = to;
    let bits = 0;
    for (let at = from; at < to; at++) {
      const of = BITS[block[at]!]!;
      if (of > MAX_BITS) throw new Error("no ordinary text");
      bits += of;
    }
    const bytes = (bits + 7) >> 3;
    if (bytes >= length) {
      this.#next += block.copy(this.#out, this.#next, start, to);
      return;
    }
    if (bytes >= 0x7f + 0x80) throw new Error("no ordinary text");
    this.#out[this.#next++] = 0x80 | Math.min(bytes, 0x7f);
    if (bytes >= 0x7f) this.#out[this.#next++] = bytes - 0x7f;
    this.#code(from, to);
  }

  #code(from: number, to: number): void {
    const block = this.#block;
    const out = this.#out;
    let next = this.#next;
    let left = 0;
    let count = 0;
    for (let at = from; at < to; at++) {
      const octet = block[at]!;
      const bits = BITS[octet]!;
      left = (left << bits) | CODES[octet]!;
      count += bits;
      while (count >= 8) {
        count -= 8;
        out[next++] = left >>> count;
      }
      left &= 0xff;
    }
    if (count > 0) out[next++] = (left << (8 - count)) | (0xff >> count);
    this.#next = next;
  }
}
