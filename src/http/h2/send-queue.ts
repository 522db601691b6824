import type { Share } from "../../core/share.ts";

/** Copies of what a stream could not send at once, in order; they count as memory of the connection's source. */
export class SendQueue {
  readonly #share: Share | null;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(share: Share | null) {
    this.#share = share;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Copies `chunk[start, end)`. */
  push(chunk: Buffer, start: number, end: number): void {
    if (start === end) return;
    this.#pieces.push(Buffer.from(chunk.subarray(start, end)));
    this.#count(end - start);
  }

  /** The first piece; there must be one. */
  peek(): Buffer {
    return this.#pieces[0] as Buffer;
  }

  /** Drops `size` bytes of the first piece. */
  take(size: number): void {
    const piece = this.peek();
    if (size === piece.length) this.#pieces.shift();
    else this.#pieces[0] = piece.subarray(size);
    this.#count(-size);
  }

  clear(): void {
    this.#pieces.length = 0;
    this.#count(-this.#bytes);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#share?.keep(bytes);
  }
}
