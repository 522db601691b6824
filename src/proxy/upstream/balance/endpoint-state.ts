import { alignToLine, SharedCounts } from "../../../core/shared-counts.ts";
import { AccrualState } from "./accrual-state.ts";
import { IntervalCounts } from "./interval-counts.ts";

/** How latency is estimated; the settings of the same names in `balance`. */
export interface LatencySettings {
  /** Time constant of the moving average. */
  readonly decayMs: number;
  /** Assumed of an endpoint that was never measured. */
  readonly defaultRttMs: number;
  /** A failure counts as a response that took at least this long. */
  readonly failurePenaltyMs: number;
}

const IN_FLIGHT = 0;
const CONNECTIONS = 1;
const KINDS = 2;

// One cache line per slot: times as Float64, then two Int32 in the bytes that are left.
const DOUBLES = 8;
const LATENCY = 0;
const SAMPLED_AT = 1;
const PICKED_AT = 2;
const ADDED_AT = 3;
const EJECTED_UNTIL = 4;
const MEAN = 6;
const INTS = 16;
const FAILURES = 10;
const EJECTIONS = 11;
const GATEWAY_FAILURES = 14;
const LOCAL_FAILURES = 15;
const HEADER_BYTES = 64;

/** Failures in a row are counted apart by kind: any, those of gateways (502, 503, 504), those without a response. */
export type FailureKind = "any" | "gateway" | "local";
const FAILURE_FIELD = {
  any: FAILURES,
  gateway: GATEWAY_FAILURES,
  local: LOCAL_FAILURES,
} as const satisfies Record<FailureKind, number>;

/** Weight of one sample in the plain mean. */
const MEAN_SHARE = 1 / 16;

/**
 * Time constant with which the assumption about a never-measured endpoint fades. Short, because it is no
 * knowledge: at 1 s an endpoint that joins rivals of 1 ms gets its first request within four seconds and
 * not, as with the constant of real estimates, after half a minute.
 */
const UNKNOWN_DECAY_MS = 1_000;
/** An estimate of zero would make any queue look free. */
const MIN_SAMPLE_MS = 0.01;
const MAX_SAMPLE_MS = 3_600_000;

/**
 * What all workers know of each endpoint, in shared memory: requests in flight, open connections, the
 * latency estimate, and whether it is ejected. Slots are `DataEndpoint.slot`. No method allocates.
 *
 * Counts are exact (see `SharedCounts`). The latency is a peak-sensitive moving average as in Finagle's
 * `PeakEwma`, linkerd and tower: a sample above the estimate becomes the estimate at once, a lower one is
 * averaged in with the weight `1 - e^(-dt/decayMs)`. It is not locked: two workers that observe at the
 * same instant may lose one of the samples, which an average can bear. Its fields are 8-byte aligned,
 * which x64 and arm64 read and write in one piece.
 *
 * A read decays toward 0, not toward the default: whatever happened to an endpoint, it becomes attractive
 * again after a while without traffic and is tried. What the plain form of this does badly is a burst
 * after a pause: one endpoint has been measured again, the others look nearly free and get everything.
 * So the decay counts from the last pick too (`picked`): the discount of a forgotten endpoint buys one
 * request, not a flood.
 */
export class EndpointState {
  /** Which endpoints are shut by failure accrual. */
  readonly accrual: AccrualState;
  /** Results by interval, for the detectors that compare endpoints with each other. */
  readonly intervals: IntervalCounts;
  readonly #counts: SharedCounts;
  readonly #lock: Int32Array;
  readonly #ints: Int32Array;
  readonly #times: Float64Array;
  readonly #worker: number;
  readonly #decayMs: number;
  readonly #defaultRttMs: number;
  readonly #failurePenaltyMs: number;

  static bytesFor(slots: number, workers: number): number {
    return (
      HEADER_BYTES +
      alignToLine(slots * DOUBLES * 8) +
      SharedCounts.bytesFor(slots, KINDS, workers) +
      AccrualState.bytesFor(slots) +
      IntervalCounts.bytesFor(slots)
    );
  }

  /** `worker`: index of the thread that uses this view; -1 for the main thread, which begins nothing. */
  constructor(
    buffer: SharedArrayBuffer,
    byteOffset: number,
    slots: number,
    workers: number,
    worker: number,
    settings: LatencySettings,
  ) {
    const fields = byteOffset + HEADER_BYTES;
    this.#lock = new Int32Array(buffer, byteOffset, 1);
    this.#ints = new Int32Array(buffer, fields, slots * INTS);
    this.#times = new Float64Array(buffer, fields, slots * DOUBLES);
    const counts = fields + alignToLine(slots * DOUBLES * 8);
    this.#counts = new SharedCounts(buffer, counts, { slots, kinds: KINDS, workers, worker });
    const accrual = counts + SharedCounts.bytesFor(slots, KINDS, workers);
    this.accrual = new AccrualState(buffer, accrual, slots, worker);
    const intervals = accrual + AccrualState.bytesFor(slots);
    this.intervals = new IntervalCounts(buffer, intervals, slots);
    this.#worker = worker;
    this.#decayMs = Math.max(1, settings.decayMs);
    this.#defaultRttMs = settings.defaultRttMs;
    this.#failurePenaltyMs = settings.failurePenaltyMs;
  }

  /** A request or tunnel was sent to the endpoint; `end` when its response body or tunnel has ended. */
  begin(slot: number): void {
    this.#counts.add(slot, IN_FLIGHT);
  }

  end(slot: number): void {
    this.#counts.remove(slot, IN_FLIGHT);
  }

  inFlight(slot: number): number {
    return this.#counts.total(slot, IN_FLIGHT);
  }

  /** Takes one connection unless `max` are open over all workers. */
  tryOpenConnection(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, CONNECTIONS, max);
  }

  closeConnection(slot: number): void {
    this.#counts.remove(slot, CONNECTIONS);
  }

  connections(slot: number): number {
    return this.#counts.total(slot, CONNECTIONS);
  }

  /**
   * One result. `latencyMs` is the time to the first byte of the response, or to the failure. A failure
   * counts as at least `failurePenaltyMs`, for an endpoint that fails fast must not look fast.
   */
  observe(slot: number, latencyMs: number, failed: boolean, nowMs: number): void {
    const at = slot * DOUBLES;
    const taken = failed ? Math.max(latencyMs, this.#failurePenaltyMs) : latencyMs;
    const sample = taken > MIN_SAMPLE_MS ? Math.min(taken, MAX_SAMPLE_MS) : MIN_SAMPLE_MS;
    const estimate = this.#times[at + LATENCY]!;
    if (sample >= estimate) {
      // Also the first sample: an endpoint that was never measured has the estimate 0.
      this.#times[at + LATENCY] = sample;
    } else {
      const elapsedMs = Math.max(0, nowMs - this.#times[at + SAMPLED_AT]!);
      const kept = Math.exp(-elapsedMs / this.#decayMs);
      this.#times[at + LATENCY] = estimate * kept + sample * (1 - kept);
    }
    this.#times[at + SAMPLED_AT] = nowMs;
    if (failed) return;
    const mean = this.#times[at + MEAN]!;
    this.#times[at + MEAN] = mean === 0 ? sample : mean + (sample - mean) * MEAN_SHARE;
  }

  /** Mean latency of about the last 16 responses, without peaks, age or failures; 0: there was none. */
  meanLatencyMs(slot: number): number {
    return this.#times[slot * DOUBLES + MEAN]!;
  }

  isMeasured(slot: number): boolean {
    return this.#times[slot * DOUBLES + LATENCY] !== 0;
  }

  /** The estimate as of `nowMs`, decayed since the last sample or pick; changes nothing. */
  latencyAt(slot: number, nowMs: number): number {
    const at = slot * DOUBLES;
    const estimate = this.#times[at + LATENCY]!;
    if (estimate === 0) {
      const ageMs = Math.max(0, nowMs - this.#times[at + ADDED_AT]!);
      return this.#defaultRttMs * Math.exp(-ageMs / UNKNOWN_DECAY_MS);
    }
    const sampledAt = this.#times[at + SAMPLED_AT]!;
    const pickedAt = this.#times[at + PICKED_AT]!;
    const idleMs = nowMs - Math.max(sampledAt, pickedAt);
    return idleMs <= 0 ? estimate : estimate * Math.exp(-idleMs / this.#decayMs);
  }

  /** The endpoint was chosen for its estimate: that estimate counts in full again. */
  picked(slot: number, nowMs: number): void {
    const at = slot * DOUBLES + PICKED_AT;
    // Rewritten only once it is a hundredth of the time constant old, to leave the cache line alone.
    if (nowMs - this.#times[at]! > this.#decayMs / 100) this.#times[at] = nowMs;
  }

  /**
   * A new endpoint gets the slot. Its counts are left alone: what still holds them will give them back.
   * Hand a slot on only when it `isIdle` and every worker has dropped the former endpoint.
   */
  reset(slot: number, nowMs: number): void {
    const at = slot * DOUBLES;
    this.#times[at + LATENCY] = 0;
    this.#times[at + SAMPLED_AT] = nowMs;
    this.#times[at + PICKED_AT] = nowMs;
    this.#times[at + ADDED_AT] = nowMs;
    this.#times[at + EJECTED_UNTIL] = 0;
    this.#times[at + MEAN] = 0;
    this.#clearAllFailures(slot);
    Atomics.store(this.#ints, slot * INTS + EJECTIONS, 0);
    this.accrual.reset(slot);
    this.intervals.reset(slot);
  }

  isIdle(slot: number): boolean {
    return this.inFlight(slot) === 0 && this.connections(slot) === 0;
  }

  isEjected(slot: number, nowMs: number): boolean {
    return this.ejectedUntil(slot) > nowMs;
  }

  /** Neither ejected nor shut by failure accrual. */
  isAvailable(slot: number, nowMs: number): boolean {
    return !this.isEjected(slot, nowMs) && !this.accrual.isShut(slot);
  }

  /** End of the current or last ejection; 0 if there was none. */
  ejectedUntil(slot: number): number {
    return this.#times[slot * DOUBLES + EJECTED_UNTIL]!;
  }

  /** Since when the endpoint takes traffic: it was added, or its last ejection ends. */
  servingSince(slot: number): number {
    const at = slot * DOUBLES;
    return Math.max(this.#times[at + ADDED_AT]!, this.#times[at + EJECTED_UNTIL]!);
  }

  /** Number of ejections in a row, as of the last one. */
  ejections(slot: number): number {
    return Atomics.load(this.#ints, slot * INTS + EJECTIONS);
  }

  /** Failures in a row. */
  failures(slot: number, kind: FailureKind = "any"): number {
    return Atomics.load(this.#ints, slot * INTS + FAILURE_FIELD[kind]);
  }

  /** Counts one more failure in a row and returns their number. */
  addFailure(slot: number, kind: FailureKind = "any"): number {
    return Atomics.add(this.#ints, slot * INTS + FAILURE_FIELD[kind], 1) + 1;
  }

  clearFailures(slot: number, kind: FailureKind = "any"): void {
    // Read first: nearly always it is 0 already, and a write would take the line from other workers.
    const at = slot * INTS + FAILURE_FIELD[kind];
    if (Atomics.load(this.#ints, at) !== 0) Atomics.store(this.#ints, at, 0);
  }

  /** Ejects; only under the lock of `tryLockEjections`. */
  eject(slot: number, untilMs: number, ejections: number): void {
    this.#times[slot * DOUBLES + EJECTED_UNTIL] = untilMs;
    Atomics.store(this.#ints, slot * INTS + EJECTIONS, ejections);
    this.#clearAllFailures(slot);
  }

  /** Ends an ejection early: an active health check has passed again. The endpoint starts slowly. */
  readmit(slot: number, nowMs: number): void {
    if (this.isEjected(slot, nowMs)) this.#times[slot * DOUBLES + EJECTED_UNTIL] = nowMs;
  }

  #clearAllFailures(slot: number): void {
    this.clearFailures(slot, "any");
    this.clearFailures(slot, "gateway");
    this.clearFailures(slot, "local");
  }

  /** One lock for all decisions on ejection, as they weigh the endpoints of a service against each other. */
  tryLockEjections(): boolean {
    return Atomics.compareExchange(this.#lock, 0, 0, this.#worker + 1) === 0;
  }

  unlockEjections(): void {
    Atomics.compareExchange(this.#lock, 0, this.#worker + 1, 0);
  }

  /** Takes back what a worker held; the main thread calls it once the worker's thread has ended. */
  releaseWorker(index: number): void {
    this.#counts.releaseWorker(index);
    Atomics.compareExchange(this.#lock, 0, index + 1, 0);
    this.accrual.releaseWorker(index);
  }
}
