/**
 * How a stream came to its end:
 * - `ended`: both sides have sent END_STREAM
 * - `reset-by-peer`
 * - `reset-by-us`: the peer may not know yet, and what it sends meanwhile is ignored
 * - `unknown`: never used, or forgotten
 */
export type Ending = "ended" | "reset-by-peer" | "reset-by-us" | "unknown";

const ENDINGS: readonly Ending[] = ["unknown", "ended", "reset-by-peer", "reset-by-us"];

/** Streams that are remembered, at the begin and at most: powers of two. The latter are 4 KiB, and a busy round trip's. */
const FIRST = 16;
const MOST = 1_024;

/**
 * The last streams that were closed, by id modulo the number that is remembered: enough to tell a frame that was sent
 * before its sender knew of the end from one that must never be (RFC 9113 section 5.1), in memory that is bounded.
 */
export class ClosedStreams {
  /** Ids are odd: the place of the lowest bit and the one above hold the ending. 0 is of no stream. */
  #slots = new Uint32Array(FIRST);

  add(id: number, ending: Ending): void {
    const index = id >>> 1;
    while (index >= this.#slots.length && this.#slots.length < MOST) this.#grow();
    this.#slots[index & (this.#slots.length - 1)] = (index << 2) | ENDINGS.indexOf(ending);
  }

  endingOf(id: number): Ending {
    const index = id >>> 1;
    const slot = this.#slots[index & (this.#slots.length - 1)] as number;
    return slot >>> 2 === index ? (ENDINGS[slot & 3] as Ending) : "unknown";
  }

  /** While it grows no index has wrapped around: all stay where they are. */
  #grow(): void {
    const grown = new Uint32Array(2 * this.#slots.length);
    grown.set(this.#slots);
    this.#slots = grown;
  }
}
