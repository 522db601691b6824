/** The begin of a head, and the fields that it became. */
export interface KnownStart {
  readonly text: string;
  readonly fields: readonly string[];
}

/** A power of two. */
const SLOTS = 64;
/** Of longer heads nothing is kept: all slots together hold a quarter of a megabyte at most. */
const MAX_LENGTH = 4_096;

/**
 * Begins of heads that were translated lately. A program's heads are the same but for their ids, which the proxy puts
 * last, and these are always as long: so the length of a head says where the begin of the one before is kept.
 */
export class KnownStarts {
  readonly #slots: (KnownStart | null)[] = new Array<KnownStart | null>(SLOTS).fill(null);

  /** What the head begins with, if that is known. */
  find(head: string): KnownStart | null {
    const known = this.#slots[head.length & (SLOTS - 1)]!;
    if (known === null) return null;
    // Not `startsWith`, which compares one character after the other.
    return head.slice(0, known.text.length) === known.text ? known : null;
  }

  /** Keeps the first `length` characters of a head, and what they became. */
  keep(head: string, length: number, fields: readonly string[]): void {
    if (head.length > MAX_LENGTH) return;
    this.#slots[head.length & (SLOTS - 1)] = { text: head.slice(0, length), fields };
  }
}
