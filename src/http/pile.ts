import { COPY_BYTES, copyBuffers } from "./buffers.ts";

/** Bytes of small pieces, copied into one buffer of the pool so that they leave in one write. */
export class Pile {
  #buffer: Buffer | null = null;
  #used = 0;

  get bytes(): number {
    return this.#used;
  }

  /** Copies what there is room for; returns where it has stopped. */
  add(chunk: Buffer, start: number, end: number): number {
    this.#buffer ??= copyBuffers.take();
    const next = Math.min(end, start + COPY_BYTES - this.#used);
    this.#used += chunk.copy(this.#buffer, this.#used, start, next);
    return next;
  }

  /** A latin1 text; false, and nothing of it is taken: there is no room for it. */
  addText(text: string): boolean {
    if (this.#used + text.length > COPY_BYTES) return false;
    this.#buffer ??= copyBuffers.take();
    this.#used += this.#buffer.write(text, this.#used, "latin1");
    return true;
  }

  /** The buffer with all of it, `bytes` from its begin; it is the caller's, who gives it back to the pool. */
  empty(): Buffer {
    const buffer = this.#buffer ?? copyBuffers.take();
    this.#buffer = null;
    this.#used = 0;
    return buffer;
  }
}
