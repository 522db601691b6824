const WORD_BYTES = 4;

/** Words of the buffer that was looked at last: nearly all reads of a thread go to the same one. */
let lastBuffer: Buffer | null = null;
let lastWords: Int32Array = new Int32Array(0);

/**
 * The bytes of a head that is expected to come again. They are compared word by word in place, which costs a
 * sixth of making a string of the new head and comparing that.
 */
export class HeadPrint {
  readonly #bytes: Buffer;
  readonly #words: Int32Array;

  /** `head` is latin1. */
  constructor(head: string) {
    this.#bytes = Buffer.allocUnsafeSlow(head.length);
    this.#bytes.write(head, "latin1");
    this.#words = new Int32Array(this.#bytes.buffer, 0, Math.floor(head.length / WORD_BYTES));
  }

  /** Does `chunk[start, end)` begin with the head? */
  matches(chunk: Buffer, start: number, end: number): boolean {
    const bytes = this.#bytes;
    if (end - start < bytes.length) return false;
    if (chunk.byteOffset % WORD_BYTES !== 0 || start % WORD_BYTES !== 0) {
      return chunk.compare(bytes, 0, bytes.length, start, start + bytes.length) === 0;
    }
    if (chunk !== lastBuffer) look(chunk);
    const theirs = lastWords;
    const ours = this.#words;
    const first = start / WORD_BYTES;
    for (let at = 0; at < ours.length; at++) {
      if (theirs[first + at] !== ours[at]) return false;
    }
    for (let at = ours.length * WORD_BYTES; at < bytes.length; at++) {
      if (chunk[start + at] !== bytes[at]) return false;
    }
    return true;
  }
}

function look(chunk: Buffer): void {
  lastBuffer = chunk;
  const words = Math.floor(chunk.length / WORD_BYTES);
  lastWords = new Int32Array(chunk.buffer, chunk.byteOffset, words);
}
