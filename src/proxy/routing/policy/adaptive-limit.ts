import { MeshError } from "../../../core/errors.ts";
import type { AdaptiveConcurrency } from "../../../core/traffic.ts";

const LINE_BYTES = 64;
/** One cache line per slot: two Float64, then Int32 in the bytes that are left. */
const DOUBLES = 8;
const LIMIT = 0;
const LONG_RTT = 1;
const INTS = 16;
/** Begin of the window, in ms modulo 2^32; 0 only before the first sample. */
const WINDOW = 4;
const SAMPLES = 5;
const SUM_US = 6;
const PEAK = 7;
const DROPS = 8;
const UPDATES = 9;

/** Constants of Netflix's Gradient2Limit and WindowedLimit. */
const INITIAL_LIMIT = 20;
const QUEUE = 4;
const SMOOTHING = 0.2;
const TOLERANCE = 1.5;
const MIN_GRADIENT = 0.5;
const LONG_WINDOWS = 600;
const WARMUP_WINDOWS = 10;
/** Above this share of the short RTT the long one is no baseline any more, and fades. */
const LONG_EXCESS = 2;
const FADE = 0.95;
const WINDOW_MS = 1_000;
const MIN_SAMPLES = 10;
/** Of Netflix's AIMDLimit, which their Gradient2 lacks. */
const DROP_BACKOFF = 0.9;
/** Probes may go beyond the limit, but not without bound: anybody can send what looks like one. */
const PROBE_FACTOR = 2;
/** Keeps the sum of a window within 31 bits. */
const MAX_SAMPLE_US = 2 ** 31 - 1;

/**
 * How many requests one endpoint may have in flight, learnt from its latency (Netflix concurrency-limits, Gradient2), in
 * memory that all workers share. Once a second, of a window with at least 10 samples:
 *
 *     gradient = max(0.5, min(1, 1.5 * longRtt / shortRtt))
 *     limit = 0.8 * limit + 0.2 * (limit * gradient + 4)
 *
 * `shortRtt` is the mean of the window, `longRtt` its moving average over 600 windows. The limit stays while less than
 * half of it is in use, for then the latency says nothing of it, and becomes 0.9 of itself after a window in which
 * requests were dropped. It is an estimate and not locked: samples that end at the same instant as a window may count in
 * neither or in the next, and of two threads exactly one closes a window. Slots are `DataEndpoint.slot`.
 */
export class AdaptiveLimits {
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;

  static bytesFor(slots: number): number {
    return slots * LINE_BYTES;
  }

  /** Throws RangeError for an offset that is not aligned to a cache line. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, slots: number) {
    if (byteOffset % LINE_BYTES !== 0) throw new RangeError(`offset ${byteOffset} is not aligned`);
    this.#ints = new Int32Array(buffer, byteOffset, slots * INTS);
    this.#doubles = new Float64Array(buffer, byteOffset, slots * DOUBLES);
  }

  /** A whole number from `minLimit` to `maxLimit`, at least 1. */
  limitOf(slot: number, settings: AdaptiveConcurrency): number {
    return Math.floor(this.#limitOf(slot, settings));
  }

  /** May the endpoint get one more, with `inFlight` there already? Probes may where others may not. */
  admits(slot: number, inFlight: number, settings: AdaptiveConcurrency, probe: boolean): boolean {
    const limit = this.limitOf(slot, settings);
    return inFlight < (probe ? limit * PROBE_FACTOR : limit);
  }

  /**
   * One result: `rttMs` to the begin of the response, `inFlight` at the endpoint when the request was sent (itself
   * included), `dropped` where it timed out, was reset, or was refused for overload.
   */
  observe(
    slot: number,
    rttMs: number,
    inFlight: number,
    dropped: boolean,
    settings: AdaptiveConcurrency,
    nowMs: number,
  ): void {
    const ints = this.#ints;
    const base = slot * INTS;
    if (dropped) Atomics.add(ints, base + DROPS, 1);
    const sampleUs = Math.max(1, Math.round(rttMs * 1_000));
    // What no longer fits is left out: the mean does not need it.
    if (Atomics.load(ints, base + SUM_US) <= MAX_SAMPLE_US - sampleUs) {
      Atomics.add(ints, base + SUM_US, sampleUs);
      Atomics.add(ints, base + SAMPLES, 1);
    }
    if (inFlight > Atomics.load(ints, base + PEAK)) Atomics.store(ints, base + PEAK, inFlight);
    this.#closeWindow(slot, settings, nowMs);
  }

  /** A new endpoint gets the slot. */
  reset(slot: number): void {
    const base = slot * INTS;
    for (let at = 0; at < INTS; at++) Atomics.store(this.#ints, base + at, 0);
  }

  #limitOf(slot: number, { minLimit, maxLimit }: AdaptiveConcurrency): number {
    const learnt = this.#doubles[slot * DOUBLES + LIMIT]!;
    const floor = Math.max(1, minLimit);
    return Math.max(floor, Math.min(maxLimit, learnt === 0 ? INITIAL_LIMIT : learnt));
  }

  #closeWindow(slot: number, settings: AdaptiveConcurrency, nowMs: number): void {
    const ints = this.#ints;
    const base = slot * INTS;
    const begun = Atomics.load(ints, base + WINDOW);
    // Never 0, which says that there is no window yet.
    const now = Math.floor(nowMs) | 1;
    if (begun !== 0 && ((now - begun) | 0) >= 0 && ((now - begun) | 0) < WINDOW_MS) return;
    if (begun !== 0 && Atomics.load(ints, base + SAMPLES) < MIN_SAMPLES) return;
    if (Atomics.compareExchange(ints, base + WINDOW, begun, now) !== begun || begun === 0) return;
    const samples = Atomics.exchange(ints, base + SAMPLES, 0);
    const sumUs = Atomics.exchange(ints, base + SUM_US, 0);
    const peak = Atomics.exchange(ints, base + PEAK, 0);
    const drops = Atomics.exchange(ints, base + DROPS, 0);
    if (samples > 0) this.#update(slot, settings, sumUs / samples / 1_000, peak, drops);
  }

  #update(
    slot: number,
    settings: AdaptiveConcurrency,
    shortRtt: number,
    peak: number,
    drops: number,
  ): void {
    const doubles = this.#doubles;
    const at = slot * DOUBLES;
    const longRtt = this.#average(slot, shortRtt);
    doubles[at + LONG_RTT] = longRtt / shortRtt > LONG_EXCESS ? longRtt * FADE : longRtt;
    const limit = this.#limitOf(slot, settings);
    let next = limit;
    if (drops > 0) next = limit * DROP_BACKOFF;
    else if (peak >= limit / 2) {
      const gradient = Math.max(MIN_GRADIENT, Math.min(1, (TOLERANCE * longRtt) / shortRtt));
      next = limit * (1 - SMOOTHING) + (limit * gradient + QUEUE) * SMOOTHING;
    }
    const { minLimit, maxLimit } = settings;
    doubles[at + LIMIT] = Math.max(1, minLimit, Math.min(maxLimit, next));
  }

  /** The long RTT with this window: a plain mean at first, then exponential with 2 / (n + 1). */
  #average(slot: number, shortRtt: number): number {
    const before = this.#doubles[slot * DOUBLES + LONG_RTT]!;
    const updates = Atomics.add(this.#ints, slot * INTS + UPDATES, 1);
    if (updates < WARMUP_WINDOWS) return (before * updates + shortRtt) / (updates + 1);
    const weight = 2 / (LONG_WINDOWS + 1);
    return before * (1 - weight) + shortRtt * weight;
  }
}

/** The failure of a request for which no endpoint had room. */
export function shedError(service: string): MeshError {
  return new MeshError("CONCURRENCY_LIMIT", `every endpoint of ${service} is at its limit`);
}
