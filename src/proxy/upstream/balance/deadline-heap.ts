/**
 * Whose turn is it? Every index has a deadline; the earliest is on top, equal ones by index. A binary heap
 * of fixed size for earliest-deadline-first schedules: after its turn the top is moved to a later deadline.
 */
export class DeadlineHeap {
  readonly #deadlines: Float64Array;
  readonly #heap: Uint32Array;

  /** Takes over `deadlines`, one per index; there must be at least one. */
  constructor(deadlines: Float64Array) {
    this.#deadlines = deadlines;
    this.#heap = Uint32Array.from(deadlines, (_, index) => index);
    for (let at = (deadlines.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** The index whose turn it is. */
  top(): number {
    return this.#heap[0]!;
  }

  /** Ends the turn of the top; its next comes `by` later. */
  postpone(by: number): void {
    const top = this.#heap[0]!;
    this.#deadlines[top] = this.#deadlines[top]! + by;
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const moved = heap[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#isBefore(heap[child]!, moved)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moved;
  }

  #isBefore(a: number, b: number): boolean {
    const difference = this.#deadlines[a]! - this.#deadlines[b]!;
    return difference === 0 ? a < b : difference < 0;
  }
}
