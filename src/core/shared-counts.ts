/** One cache line on x64 and most arm64 machines. */
const LINE_BYTES = 64;
const LINE_INTS = LINE_BYTES / 4;

/** Rounds up to whole cache lines, the unit in which sections of shared memory are laid out. */
export function alignToLine(bytes: number): number {
  return Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;
}

/** What a view of shared counts must know; all views of one region give the same first three. */
export interface SharedCountsShape {
  readonly slots: number;
  /** Counters per slot, at most 16: they share one cache line. */
  readonly kinds: number;
  readonly workers: number;
  /** Index of the thread that uses this view; -1 is the main thread, which reads and releases only. */
  readonly worker: number;
}

/**
 * Counters that several threads keep together: `kinds` of them per slot, each exact over all workers.
 * Besides the shared total, every worker notes in a plane of its own what it holds, so that the main
 * thread can take back exactly that after the worker died.
 *
 * A worker can be terminated at any time, and its own note must agree with the total even then. V8 stops
 * a thread only at a function entry or a loop's back edge; so in every method here the change of the
 * total and the note follow each other with neither in between.
 *
 * Layout: one cache line of totals per slot (no false sharing between slots), then one plane per worker.
 */
export class SharedCounts {
  readonly #shape: SharedCountsShape;
  readonly #kinds: number;
  readonly #totals: Int32Array;
  readonly #own: Int32Array;
  readonly #planes: readonly Int32Array[];

  static bytesFor(slots: number, kinds: number, workers: number): number {
    return slots * LINE_BYTES + workers * alignToLine(slots * kinds * 4);
  }

  /** Throws RangeError for a shape or an offset that cannot be laid out. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, shape: SharedCountsShape) {
    const { slots, kinds, workers, worker } = shape;
    if (byteOffset % LINE_BYTES !== 0) throw new RangeError(`offset ${byteOffset} is not aligned`);
    if (kinds < 1 || kinds > LINE_INTS) throw new RangeError(`${kinds} counters per slot`);
    if (worker < -1 || worker >= workers) throw new RangeError(`worker ${worker} of ${workers}`);
    this.#shape = shape;
    this.#kinds = kinds;
    this.#totals = new Int32Array(buffer, byteOffset, slots * LINE_INTS);
    const planeBytes = alignToLine(slots * kinds * 4);
    const firstPlane = byteOffset + slots * LINE_BYTES;
    this.#planes = Array.from(
      { length: workers },
      (_, index) => new Int32Array(buffer, firstPlane + index * planeBytes, slots * kinds),
    );
    this.#own = this.#planes[worker] ?? new Int32Array(0);
  }

  /** Over all workers. */
  total(slot: number, kind: number): number {
    return Atomics.load(this.#totals, slot * LINE_INTS + kind);
  }

  /** Is nothing of the slot held by anybody? */
  isIdle(slot: number): boolean {
    for (let kind = 0; kind < this.#kinds; kind++) if (this.total(slot, kind) !== 0) return false;
    return true;
  }

  /** Counts one up. Throws RangeError on the main thread's view and beyond the last slot. */
  add(slot: number, kind: number): void {
    const at = slot * this.#kinds + kind;
    const held = this.#own[at];
    if (held === undefined) throw this.#notOurs(slot);
    Atomics.add(this.#totals, slot * LINE_INTS + kind, 1);
    this.#own[at] = held + 1;
  }

  /** Counts one up unless the total is `max` already; the total never exceeds it, whoever races. */
  tryAdd(slot: number, kind: number, max: number): boolean {
    const at = slot * this.#kinds + kind;
    const held = this.#own[at];
    if (held === undefined) throw this.#notOurs(slot);
    const total = slot * LINE_INTS + kind;
    for (;;) {
      const seen = Atomics.load(this.#totals, total);
      if (seen >= max) return false;
      if (Atomics.compareExchange(this.#totals, total, seen, seen + 1) === seen) {
        this.#own[at] = held + 1;
        return true;
      }
    }
  }

  /** Counts one down. Throws RangeError where this worker holds none: the caller ended something twice. */
  remove(slot: number, kind: number): void {
    const at = slot * this.#kinds + kind;
    const held = this.#own[at];
    if (held === undefined) throw this.#notOurs(slot);
    if (held === 0) throw new RangeError(`slot ${slot} was given back more often than taken`);
    Atomics.sub(this.#totals, slot * LINE_INTS + kind, 1);
    this.#own[at] = held - 1;
  }

  /**
   * Adds an amount; negative: gives it back. Throws RangeError where this worker does not hold as much.
   */
  change(slot: number, kind: number, amount: number): void {
    const at = slot * this.#kinds + kind;
    const held = this.#own[at];
    if (held === undefined) throw this.#notOurs(slot);
    if (held + amount < 0) throw new RangeError(`slot ${slot} was given back more than taken`);
    Atomics.add(this.#totals, slot * LINE_INTS + kind, amount);
    this.#own[at] = held + amount;
  }

  /** Takes back all that a worker held. Only after its thread has ended, and before its successor starts. */
  releaseWorker(index: number): void {
    const plane = this.#planes[index];
    if (plane === undefined) throw new RangeError(`worker ${index} of ${this.#shape.workers}`);
    for (let slot = 0; slot < this.#shape.slots; slot++) {
      for (let kind = 0; kind < this.#kinds; kind++) {
        const held = Atomics.exchange(plane, slot * this.#kinds + kind, 0);
        if (held !== 0) Atomics.sub(this.#totals, slot * LINE_INTS + kind, held);
      }
    }
  }

  #notOurs(slot: number): RangeError {
    const { slots, worker } = this.#shape;
    return new RangeError(
      worker === -1
        ? "the main thread holds no counts"
        : `slot ${slot} is not one of ${slots} in shared memory`,
    );
  }
}
