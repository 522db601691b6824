import { alignToLine } from "../../../core/shared-counts.ts";
import type { FailureAccrual } from "../../../core/traffic.ts";

type SuccessRate = NonNullable<FailureAccrual["successRate"]>;

const HEADER_BYTES = 64;
// One cache line per slot.
const DOUBLES = 8;
const SHUT_UNTIL = 0;
const CLAIMED_AT = 1;
const INTS = 16;
const SHUTS = 4;
const PROBE = 5;
const FAILURES = 6;
const PROBED_BEFORE = 7;
// Two further lines per slot, touched only where a success rate is watched: buckets of three Int32 each.
const BUCKETS = 10;
const WINDOW_INTS = 32;
const EPOCH = 0;
const TOTAL = 1;
const SUCCESSES = 2;
const BUCKET_INTS = 3;
/** Epoch of a bucket that is just being emptied; what is counted in this instant is lost. */
const BUSY = -1;
const EPOCHS = 2 ** 30;

/** The low bits of `PROBE` name the worker that holds the probe, the others count the probes. */
const HOLDER = 1_023;
const PROBE_STEP = HOLDER + 1;

/** A probe without a result for this long is given up for lost, and another one may be sent. */
const LEASE_MS = 60_000;

/**
 * The shared side of failure accrual, per endpoint: is it shut, until when, who holds its one probe, and how it did of
 * late. No method allocates.
 *
 * A probe is claimed by one compare-and-exchange of a word that also counts the probes. Whatever a claim was decided on
 * is read after that word, and every transition changes it last: so of all workers exactly one gets the probe of a pause,
 * and a result is known to be the probe's by the word that was in force when it was sent.
 */
export class AccrualState {
  readonly #version: Int32Array;
  readonly #times: Float64Array;
  readonly #ints: Int32Array;
  readonly #window: Int32Array;
  readonly #slots: number;
  readonly #worker: number;

  static bytesFor(slots: number): number {
    return HEADER_BYTES + slots * (DOUBLES * 8 + WINDOW_INTS * 4);
  }

  constructor(buffer: SharedArrayBuffer, byteOffset: number, slots: number, worker: number) {
    const lines = byteOffset + HEADER_BYTES;
    this.#version = new Int32Array(buffer, byteOffset, 1);
    this.#times = new Float64Array(buffer, lines, slots * DOUBLES);
    this.#ints = new Int32Array(buffer, lines, slots * INTS);
    const windows = lines + alignToLine(slots * DOUBLES * 8);
    this.#window = new Int32Array(buffer, windows, slots * WINDOW_INTS);
    this.#slots = slots;
    this.#worker = worker;
  }

  /** Changes whenever an endpoint is shut or a probe ends; 0: none ever was shut. */
  get version(): number {
    return Atomics.load(this.#version, 0);
  }

  isShut(slot: number): boolean {
    return this.shuts(slot) !== 0;
  }

  /** Pauses in a row, the current one included; 0: open. */
  shuts(slot: number): number {
    return Atomics.load(this.#ints, slot * INTS + SHUTS);
  }

  /** When the next probe of a shut endpoint may be sent. */
  dueAt(slot: number): number {
    const held = Atomics.load(this.#ints, slot * INTS + PROBE);
    return this.#dueAt(slot, held);
  }

  /** Takes the probe of a shut endpoint whose pause is over. A token for its result; 0: it is another's, or not yet time. */
  claimProbe(slot: number, nowMs: number): number {
    const at = slot * INTS + PROBE;
    const held = Atomics.load(this.#ints, at);
    if (!this.isShut(slot) || nowMs < this.#dueAt(slot, held)) return 0;
    // Written before the claim, so that nobody who sees the claim sees an older time. Losers write about the same.
    this.#times[slot * DOUBLES + CLAIMED_AT] = nowMs;
    const token = nextToken(held, this.#worker);
    return Atomics.compareExchange(this.#ints, at, held, token) === held ? token : 0;
  }

  /** Is `token` of the probe that is under way? */
  isProbe(slot: number, token: number): boolean {
    return token !== 0 && Atomics.load(this.#ints, slot * INTS + PROBE) === token;
  }

  /** Is `token` of a probe that was sent since the endpoint was shut, though another may have been sent since? */
  isLateProbe(slot: number, token: number): boolean {
    const before = Atomics.load(this.#ints, slot * INTS + PROBED_BEFORE);
    return token !== 0 && (((token & ~HOLDER) - before) | 0) > 0;
  }

  /** Gives up a probe that will have no result: another one may be sent at once. */
  release(slot: number, token: number): void {
    const at = slot * INTS + PROBE;
    const free = token & ~HOLDER;
    if (Atomics.compareExchange(this.#ints, at, token, free) === token) {
      Atomics.add(this.#version, 0, 1);
    }
  }

  /** Shuts an open endpoint; only under the lock of `EndpointState.tryLockEjections`. */
  shut(slot: number, untilMs: number): void {
    const at = slot * INTS;
    const held = Atomics.load(this.#ints, at + PROBE);
    Atomics.compareExchange(this.#ints, at + PROBE, held, held & ~HOLDER);
    Atomics.store(this.#ints, at + PROBED_BEFORE, held & ~HOLDER);
    this.#times[slot * DOUBLES + SHUT_UNTIL] = untilMs;
    Atomics.store(this.#ints, at + FAILURES, 0);
    Atomics.store(this.#ints, at + SHUTS, 1);
    Atomics.add(this.#version, 0, 1);
  }

  /** The probe failed: another pause. */
  shutAgain(slot: number, token: number, untilMs: number): void {
    this.#times[slot * DOUBLES + SHUT_UNTIL] = untilMs;
    Atomics.add(this.#ints, slot * INTS + SHUTS, 1);
    this.release(slot, token);
  }

  /** A probe succeeded: the endpoint takes traffic again, and starts with a clean record. */
  reopen(slot: number): void {
    const at = slot * INTS;
    Atomics.store(this.#ints, at + FAILURES, 0);
    this.#clearWindow(slot);
    Atomics.store(this.#ints, at + SHUTS, 0);
    this.release(slot, Atomics.load(this.#ints, at + PROBE));
    Atomics.add(this.#version, 0, 1);
  }

  /** Counts one more failure in a row and returns their number. */
  addFailure(slot: number): number {
    return Atomics.add(this.#ints, slot * INTS + FAILURES, 1) + 1;
  }

  failures(slot: number): number {
    return Atomics.load(this.#ints, slot * INTS + FAILURES);
  }

  clearFailures(slot: number): void {
    if (this.failures(slot) !== 0) Atomics.store(this.#ints, slot * INTS + FAILURES, 0);
  }

  /** Counts one result in the window of ten buckets. */
  count(slot: number, success: boolean, { windowMs }: SuccessRate, nowMs: number): void {
    const epoch = epochAt(windowMs, nowMs);
    const at = slot * WINDOW_INTS + (epoch % BUCKETS) * BUCKET_INTS;
    const found = Atomics.load(this.#window, at + EPOCH);
    if (found !== epoch) {
      const emptied =
        found !== BUSY && Atomics.compareExchange(this.#window, at + EPOCH, found, BUSY) === found;
      if (!emptied) return;
      Atomics.store(this.#window, at + TOTAL, 0);
      Atomics.store(this.#window, at + SUCCESSES, 0);
      Atomics.store(this.#window, at + EPOCH, epoch);
    }
    Atomics.add(this.#window, at + TOTAL, 1);
    if (success) Atomics.add(this.#window, at + SUCCESSES, 1);
  }

  /** Is the share of successes in the window below the threshold, with enough results to tell? */
  isRateLow(
    slot: number,
    { windowMs, threshold, minRequests }: SuccessRate,
    nowMs: number,
  ): boolean {
    const epoch = epochAt(windowMs, nowMs);
    let total = 0;
    let successes = 0;
    for (let age = 0; age < BUCKETS && age < epoch; age++) {
      const at = slot * WINDOW_INTS + ((epoch - age) % BUCKETS) * BUCKET_INTS;
      if (Atomics.load(this.#window, at + EPOCH) !== epoch - age) continue;
      total += Atomics.load(this.#window, at + TOTAL);
      successes += Atomics.load(this.#window, at + SUCCESSES);
    }
    return total >= Math.max(1, minRequests) && successes < threshold * total;
  }

  /** A new endpoint gets the slot. Memory that was never written is left so. */
  reset(slot: number): void {
    const at = slot * INTS;
    if (this.version === 0 && this.failures(slot) === 0) {
      this.#clearWindow(slot);
      return;
    }
    if (this.failures(slot) !== 0) Atomics.store(this.#ints, at + FAILURES, 0);
    if (this.isShut(slot)) Atomics.store(this.#ints, at + SHUTS, 0);
    // A new number, so that no result of the former endpoint's probe is taken for one of this.
    const held = Atomics.load(this.#ints, at + PROBE);
    if (held !== 0) Atomics.store(this.#ints, at + PROBE, nextToken(held, -1));
    this.#clearWindow(slot);
  }

  /** Takes back the probes that a worker held; the main thread calls it once the worker's thread has ended. */
  releaseWorker(index: number): void {
    if (this.version === 0) return;
    for (let slot = 0; slot < this.#slots; slot++) {
      const held = Atomics.load(this.#ints, slot * INTS + PROBE);
      if ((held & HOLDER) === index + 1) this.release(slot, held);
    }
  }

  #dueAt(slot: number, held: number): number {
    const at = slot * DOUBLES;
    const isHeld = (held & HOLDER) !== 0;
    return isHeld ? this.#times[at + CLAIMED_AT]! + LEASE_MS : this.#times[at + SHUT_UNTIL]!;
  }

  #clearWindow(slot: number): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const at = slot * WINDOW_INTS + bucket * BUCKET_INTS + EPOCH;
      // Epochs begin at 1: nothing is counted to 0.
      if (Atomics.load(this.#window, at) !== 0) Atomics.store(this.#window, at, 0);
    }
  }
}

function nextToken(held: number, worker: number): number {
  return ((held & ~HOLDER) + PROBE_STEP + worker + 1) | 0;
}

function epochAt(windowMs: number, nowMs: number): number {
  return (Math.floor((nowMs * BUCKETS) / Math.max(BUCKETS, windowMs)) % EPOCHS) + 1;
}
