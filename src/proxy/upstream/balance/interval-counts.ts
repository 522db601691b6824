import { alignToLine } from "../../../core/shared-counts.ts";

/** Groups whose intervals are claimed; two of the same cell may both be looked at by several workers. */
const CLAIMS = 4_096;
const CLAIM_BYTES = CLAIMS * 4;
// One cache line per slot: two buckets, of the even and of the odd intervals.
const LINE_DOUBLES = 8;
const LINE_INTS = 16;
const BUCKET_DOUBLES = 3;
const BUCKET_INTS = 6;
const MEAN = 0;
const EPOCH = 2;
const REQUESTS = 3;
const SUCCESSES = 4;
/** Epoch of a bucket that is just being emptied; what is counted in this instant is lost. */
const BUSY = -1;
const EPOCHS = 2 ** 30;

/** The interval of a time. Intervals of the same length begin at the same time everywhere. */
export function intervalAt(intervalMs: number, nowMs: number): number {
  return (Math.floor(nowMs / Math.max(1, intervalMs)) % EPOCHS) + 1;
}

/**
 * Results per endpoint and interval, over all workers: requests, successes and the mean latency of these. What was
 * counted in one interval stays until the next one is over, so that several groups to which an endpoint belongs (subsets)
 * may read it. An endpoint in groups with intervals of different length is counted for one of them only.
 */
export class IntervalCounts {
  readonly #claims: Int32Array;
  readonly #means: Float64Array;
  readonly #ints: Int32Array;

  static bytesFor(slots: number): number {
    return alignToLine(CLAIM_BYTES) + slots * LINE_DOUBLES * 8;
  }

  constructor(buffer: SharedArrayBuffer, byteOffset: number, slots: number) {
    const lines = byteOffset + alignToLine(CLAIM_BYTES);
    this.#claims = new Int32Array(buffer, byteOffset, CLAIMS);
    this.#means = new Float64Array(buffer, lines, slots * LINE_DOUBLES);
    this.#ints = new Int32Array(buffer, lines, slots * LINE_INTS);
  }

  /** Has nobody claimed the interval of this group yet, or was it so long ago that the cell is another's? */
  isUnclaimed(group: number, interval: number): boolean {
    return Atomics.load(this.#claims, group % CLAIMS) !== claimOf(group, interval);
  }

  /** True for exactly one worker. Groups are told apart by a hash (unsigned, 32 bits). */
  tryClaim(group: number, interval: number): boolean {
    const claim = claimOf(group, interval);
    const found = Atomics.load(this.#claims, group % CLAIMS);
    if (found === claim) return false;
    return Atomics.compareExchange(this.#claims, group % CLAIMS, found, claim) === found;
  }

  count(slot: number, interval: number, success: boolean, latencyMs: number): void {
    const at = slot * LINE_INTS + (interval & 1) * BUCKET_INTS;
    const meanAt = slot * LINE_DOUBLES + (interval & 1) * BUCKET_DOUBLES + MEAN;
    const found = Atomics.load(this.#ints, at + EPOCH);
    if (found !== interval) {
      const emptied =
        found !== BUSY && Atomics.compareExchange(this.#ints, at + EPOCH, found, BUSY) === found;
      if (!emptied) return;
      Atomics.store(this.#ints, at + REQUESTS, 0);
      Atomics.store(this.#ints, at + SUCCESSES, 0);
      this.#means[meanAt] = 0;
      Atomics.store(this.#ints, at + EPOCH, interval);
    }
    Atomics.add(this.#ints, at + REQUESTS, 1);
    if (!success) return;
    const successes = Atomics.add(this.#ints, at + SUCCESSES, 1) + 1;
    // Not locked: of two samples at the same instant one may be lost, which a mean can bear.
    const mean = this.#means[meanAt]!;
    this.#means[meanAt] = mean + (latencyMs - mean) / successes;
  }

  requests(slot: number, interval: number): number {
    return this.#read(slot, interval, REQUESTS);
  }

  successes(slot: number, interval: number): number {
    return this.#read(slot, interval, SUCCESSES);
  }

  /** Mean latency of the successes; 0 without any. */
  meanLatencyMs(slot: number, interval: number): number {
    if (this.successes(slot, interval) === 0) return 0;
    return this.#means[slot * LINE_DOUBLES + (interval & 1) * BUCKET_DOUBLES + MEAN]!;
  }

  /** A new endpoint gets the slot. Memory that was never written is left so. */
  reset(slot: number): void {
    for (const at of [slot * LINE_INTS + EPOCH, slot * LINE_INTS + BUCKET_INTS + EPOCH]) {
      // Intervals begin at 1: nothing is counted to 0.
      if (Atomics.load(this.#ints, at) !== 0) Atomics.store(this.#ints, at, 0);
    }
  }

  #read(slot: number, interval: number, field: number): number {
    const at = slot * LINE_INTS + (interval & 1) * BUCKET_INTS;
    return Atomics.load(this.#ints, at + EPOCH) === interval
      ? Atomics.load(this.#ints, at + field)
      : 0;
  }
}

/** Never 0, which is a cell that nobody has claimed. */
function claimOf(group: number, interval: number): number {
  return Math.imul(group ^ Math.imul(interval, 0x9e3779b1), 0x85ebca6b) | 1;
}
