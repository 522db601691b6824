import type { Clock } from "../../../core/clock.ts";
import type { RetryBudgetRule } from "../../../core/traffic.ts";

const LINE_BYTES = 64;
/** Int32 of one slot: three cache lines. */
const INTS = 48;
const NET = 0;
/** 64 bits. */
const RESERVE_TAT = 2;
const TAGS = 16;
const STARTS = 32;

/** Parts of the window; a request counts for at least 9 and at most 10 of them. */
const SLICES = 10;
/** Places for the begins of slices: a power of two above `SLICES`. */
const RING = 16;
/** What a request adds: a whole number for every ratio, where 1 and truncation turn a ratio of 0.7 into 1. */
const DEPOSIT = 1_000;
/** A window must stay within 31 bits. Beyond 190,000 requests in a tenth of it the rest adds nothing. */
const MOST_PER_SLICE = Math.floor(2 ** 31 / (SLICES + 1)) - DEPOSIT;
/** Deposits that a thread keeps to itself, at most. */
const MOST_NOTED = 64;
const NS_PER_MS = 1e6;
const NS_PER_S = 1e9;

/**
 * Budgets of retries (Finagle's RetryBudget, tower's TpsBudget), one for each slot, exact over all workers. Within the
 * window of `ttlMs` retries are at most `ratio` of the requests, and `minPerSecond` besides. What is done otherwise:
 *
 * - A deposit is 1000 and a withdrawal round(1000 / ratio), so that a ratio is what it says: tower truncates 1/ratio,
 *   by which 0.7 means 1 and 0.3 means 0.33.
 * - The reserve is a rate, by the generic cell rate algorithm: at most `minPerSecond` at once, and never more than
 *   minPerSecond * (t + 1) within t seconds. Tower hands out `minPerSecond * ttl` at once.
 *
 * `NET` is all that was ever deposited less all that was withdrawn, modulo 2^32; what it was at the begin of each slice
 * is remembered, and the balance is the difference to the oldest begin within the window. So a withdrawal is one
 * compare and swap, and there is nothing that a terminated worker could leave half done.
 */
export class RetryBudgets {
  readonly #ints: Int32Array;
  readonly #tats: BigInt64Array;
  readonly #slots: number;
  readonly #clock: Clock;
  /** Deposits of this thread that only it knows of yet, and by which rule they count. */
  readonly #noted: Int32Array;
  readonly #rules = new Map<number, RetryBudgetRule>();

  static bytesFor(slots: number): number {
    return slots * INTS * 4;
  }

  /** Throws RangeError for an offset that is not aligned to a cache line. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, slots: number, clock: Clock) {
    if (byteOffset % LINE_BYTES !== 0) throw new RangeError(`offset ${byteOffset} is not aligned`);
    this.#ints = new Int32Array(buffer, byteOffset, slots * INTS);
    this.#tats = new BigInt64Array(buffer, byteOffset, (slots * INTS) / 2);
    this.#slots = slots;
    this.#noted = new Int32Array(slots);
    this.#clock = clock;
  }

  /**
   * A request of the service began: its first try, not a retry. Throws RangeError beyond the last slot. It is noted for a
   * moment before the other workers see it (see `flush`), because every request does it and few are ever retried: so
   * less may be granted than there is, and never more.
   */
  deposit(slot: number, rule: RetryBudgetRule): void {
    const noted = this.#noted[slot];
    if (noted === undefined) throw this.#beyond(slot);
    if (noted === 0) this.#rules.set(slot, rule);
    this.#noted[slot] = noted + 1;
    if (noted + 1 >= MOST_NOTED) this.#settle(slot, rule);
  }

  /** Puts what this thread has noted where all see it; to be called about ten times a second. */
  flush(): void {
    for (const [slot, rule] of this.#rules) this.#settle(slot, rule);
  }

  #settle(slot: number, { ttlMs }: RetryBudgetRule): void {
    const noted = this.#noted[slot]!;
    this.#noted[slot] = 0;
    this.#rules.delete(slot);
    const base = this.#baseOf(slot);
    const epoch = epochOf(this.#clock.now(), ttlMs);
    this.#begin(base, epoch);
    const started = Atomics.load(this.#ints, base + STARTS + (epoch & (RING - 1)));
    const inSlice = (Atomics.load(this.#ints, base + NET) - started) | 0;
    const room = Math.floor((MOST_PER_SLICE - inSlice) / DEPOSIT);
    if (room > 0) Atomics.add(this.#ints, base + NET, DEPOSIT * Math.min(noted, room));
  }

  /**
   * Takes one retry, where the budget has one. `active`: retries of the service under way, this one counted in already
   * (`ServiceLimits.tryRetry` comes first); up to `minConcurrent` of them are free. Counted in that order, no more than
   * `minConcurrent` are ever free at the same time, whoever races.
   */
  tryWithdraw(slot: number, rule: RetryBudgetRule, active: number): boolean {
    if (active <= (rule.minConcurrent ?? 0)) return true;
    const base = this.#baseOf(slot);
    if (this.#noted[slot] !== 0) this.#settle(slot, rule);
    const nowMs = this.#clock.now();
    return this.#fromRatio(base, rule, nowMs) || this.#fromReserve(base, rule, nowMs);
  }

  /** Another service gets the slot. Only while nobody uses it. */
  reset(slot: number): void {
    const base = this.#baseOf(slot);
    for (let at = base; at < base + INTS; at++) Atomics.store(this.#ints, at, 0);
  }

  #fromRatio(base: number, { ratio, ttlMs }: RetryBudgetRule, nowMs: number): boolean {
    if (!(ratio > 0)) return false;
    const cost = Math.min(Math.max(1, Math.round(DEPOSIT / ratio)), 2 ** 31 - 1);
    const epoch = epochOf(nowMs, ttlMs);
    this.#begin(base, epoch);
    for (;;) {
      const seen = Atomics.load(this.#ints, base + NET);
      const balance = (seen - this.#windowStart(base, epoch)) | 0;
      if (balance < cost) return false;
      const next = (seen - cost) | 0;
      if (Atomics.compareExchange(this.#ints, base + NET, seen, next) === seen) return true;
    }
  }

  /**
   * Notes what `NET` is at the begin of a slice. Where several threads do so the last value stays: the begin is a little
   * later then, and still what is withdrawn after a begin was deposited after it.
   */
  #begin(base: number, epoch: number): void {
    const at = base + (epoch & (RING - 1));
    const tag = Atomics.load(this.#ints, at + TAGS);
    if (tag === tagOf(epoch)) return;
    Atomics.store(this.#ints, at + STARTS, Atomics.load(this.#ints, base + NET));
    Atomics.compareExchange(this.#ints, at + TAGS, tag, tagOf(epoch));
  }

  /** `NET` at the oldest begin within the window. A slice without one had neither requests nor retries. */
  #windowStart(base: number, epoch: number): number {
    for (let age = SLICES - 1; age > 0; age--) {
      const at = base + ((epoch - age) & (RING - 1));
      if (Atomics.load(this.#ints, at + TAGS) === tagOf(epoch - age)) {
        return Atomics.load(this.#ints, at + STARTS);
      }
    }
    return Atomics.load(this.#ints, base + STARTS + (epoch & (RING - 1)));
  }

  #fromReserve(base: number, { minPerSecond }: RetryBudgetRule, nowMs: number): boolean {
    if (!(minPerSecond > 0)) return false;
    const at = (base + RESERVE_TAT) / 2;
    const nowNs = Math.floor(nowMs * NS_PER_MS);
    const intervalNs = Math.max(1, Math.ceil(NS_PER_S / minPerSecond));
    const allowanceNs = intervalNs * Math.max(1, Math.floor(minPerSecond));
    for (;;) {
      const seen = Atomics.load(this.#tats, at);
      const tat = Math.max(Number(seen), nowNs) + intervalNs;
      if (tat - nowNs > allowanceNs) return false;
      if (Atomics.compareExchange(this.#tats, at, seen, BigInt(tat)) === seen) return true;
    }
  }

  #baseOf(slot: number): number {
    if (slot >= 0 && slot < this.#slots) return slot * INTS;
    throw this.#beyond(slot);
  }

  #beyond(slot: number): RangeError {
    return new RangeError(`slot ${slot} is not one of ${this.#slots} budgets`);
  }
}

function epochOf(nowMs: number, ttlMs: number): number {
  return Math.floor((nowMs * SLICES) / Math.max(SLICES, ttlMs));
}

const tagOf = (epoch: number) => epoch | 0;
