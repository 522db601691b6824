import { ENHANCE_YOUR_CALM } from "./codes.ts";
import { ConnectionError } from "./errors.ts";

/** A block that comes in pieces is first given so much, however much is announced. */
const FIRST_BYTES = 512;

const EMPTY: Buffer = Buffer.alloc(0);

/** A field block that comes in pieces, as far as it has come (RFC 9113 section 4.3). */
export class BlockBuffer {
  readonly #limitBytes: number;
  #buffer: Buffer = EMPTY;
  #length = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** What was kept is `bytes[0, length)`. */
  get bytes(): Buffer {
    return this.#buffer;
  }

  get length(): number {
    return this.#length;
  }

  /** Throws `ConnectionError` where so many more bytes would be too many: checked before they come. */
  mustHold(more: number): void {
    if (this.#length + more <= this.#limitBytes) return;
    const detail = `a field block of more than ${this.#limitBytes} bytes`;
    throw new ConnectionError(ENHANCE_YOUR_CALM, detail);
  }

  keep(chunk: Buffer, start: number, end: number): void {
    const needed = this.#length + end - start;
    if (needed > this.#buffer.length) {
      const size = Math.max(needed, 2 * this.#buffer.length, FIRST_BYTES);
      const grown = Buffer.allocUnsafe(Math.max(needed, Math.min(size, this.#limitBytes)));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    chunk.copy(this.#buffer, this.#length, start, end);
    this.#length = needed;
  }

  /** Lets the memory go: the next block that comes in pieces may never come. */
  clear(): void {
    this.#buffer = EMPTY;
    this.#length = 0;
  }
}
