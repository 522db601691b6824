/** Longer blocks are not kept. */
const MAX_BYTES = 512;

const NONE: readonly string[] = [];

/**
 * The block that was encoded last, field by field. Heads that follow each other on a connection mostly begin with the same
 * fields and end with ids of their own: what they share is copied, for as long as the table is as it was.
 */
export class KnownPrefix {
  #fields: readonly string[] = NONE;
  #version = -1;
  /** Texts of `#fields` that are known, and where each pair of them ends in `#bytes`. */
  #count = 0;
  readonly #ends: number[] = [];
  #bytes: Buffer | null = null;

  /** How many texts of the list are known: as many as one pair after the other is the same. */
  match(fields: readonly string[], version: number): number {
    if (version !== this.#version) return 0;
    const most = Math.min(this.#count, fields.length);
    let at = 0;
    while (at < most && this.#isSame(fields, at)) at += 2;
    return at;
  }

  #isSame(fields: readonly string[], at: number): boolean {
    return fields[at] === this.#fields[at] && fields[at + 1] === this.#fields[at + 1];
  }

  /** Writes the block of so many known texts at `to`, and returns the offset behind it. */
  copy(count: number, out: Buffer, to: number): number {
    const size = this.#ends[(count >> 1) - 1]!;
    const bytes = this.#bytes as Buffer;
    for (let at = 0; at < size; at++) out[to + at] = bytes[at]!;
    return to + size;
  }

  /** A list is encoded next, of which so many texts were known. */
  begin(fields: readonly string[], known: number, version: number): void {
    this.#fields = fields;
    this.#count = known;
    this.#version = version;
  }

  /** The next pair became `block[start, end)`, and would become that again. False: what is known ends before it. */
  add(block: Buffer, start: number, end: number): boolean {
    const pair = this.#count >> 1;
    const from = pair === 0 ? 0 : this.#ends[pair - 1]!;
    if (from + end - start > MAX_BYTES) return false;
    this.#bytes ??= Buffer.allocUnsafeSlow(MAX_BYTES);
    for (let at = start; at < end; at++) this.#bytes[from + at - start] = block[at]!;
    this.#ends[pair] = from + end - start;
    this.#count += 2;
    return true;
  }

  /** The table has changed: nothing is known. */
  forget(): void {
    this.#fields = NONE;
    this.#count = 0;
    this.#version = -1;
  }
}
