import { quantileMs } from "../telemetry/buckets.ts";
import type { Counts } from "./host-report.ts";
import type { Figures } from "./mesh-report.ts";

/** Counts of several hosts added up. Their windows differ in length, so rates are added and not counts. */
export class Tally {
  requests = 0;
  failures = 0;
  requestBytes = 0;
  responseBytes = 0;
  recent = 0;
  recentFailures = 0;
  #rps = 0;
  #bytesPerSecond = 0;
  /** Fine buckets from the first that is used to the last: a large mesh has many tallies, and most durations lie close together. */
  #fine: Float64Array = NONE;
  #first = 0;

  /** `windowMs` is the length of the window that the recent counts are of. */
  add(counts: Counts, windowMs: number): void {
    this.requests += counts.requests;
    this.failures += counts.failures;
    this.requestBytes += counts.requestBytes;
    this.responseBytes += counts.responseBytes;
    this.recent += counts.recent;
    this.recentFailures += counts.recentFailures;
    if (windowMs > 0) {
      this.#rps += (counts.recent * 1000) / windowMs;
      this.#bytesPerSecond += (counts.recentBytes * 1000) / windowMs;
    }
    this.#addFine(counts.fine);
  }

  /** What another tally has added up so far. */
  addTally(other: Tally): void {
    this.requests += other.requests;
    this.failures += other.failures;
    this.requestBytes += other.requestBytes;
    this.responseBytes += other.responseBytes;
    this.recent += other.recent;
    this.recentFailures += other.recentFailures;
    this.#rps += other.#rps;
    this.#bytesPerSecond += other.#bytesPerSecond;
    if (other.#fine.length === 0) return;
    this.#reach(other.#first, other.#first + other.#fine.length - 1);
    const shift = other.#first - this.#first;
    for (const [at, count] of other.#fine.entries()) {
      this.#fine[shift + at] = (this.#fine[shift + at] ?? 0) + count;
    }
  }

  figures(): Figures {
    const { requests, failures, requestBytes, responseBytes, recent, recentFailures } = this;
    return {
      ...{ requests, failures, requestBytes, responseBytes },
      rps: rounded(this.#rps),
      bytesPerSecond: rounded(this.#bytesPerSecond),
      success: recent > 0 ? Math.max(0, 1 - recentFailures / recent) : null,
      p50Ms: this.#quantileMs(0.5),
      p95Ms: this.#quantileMs(0.95),
      p99Ms: this.#quantileMs(0.99),
    };
  }

  #addFine(pairs: readonly number[]): void {
    if (pairs.length === 0) return;
    let lowest = Number.POSITIVE_INFINITY;
    let highest = 0;
    for (let at = 0; at + 1 < pairs.length; at += 2) {
      lowest = Math.min(lowest, pairs[at] ?? 0);
      highest = Math.max(highest, pairs[at] ?? 0);
    }
    this.#reach(lowest, highest);
    for (let at = 0; at + 1 < pairs.length; at += 2) {
      const bucket = (pairs[at] ?? 0) - this.#first;
      this.#fine[bucket] = (this.#fine[bucket] ?? 0) + (pairs[at + 1] ?? 0);
    }
  }

  /** Makes room for these buckets. */
  #reach(lowest: number, highest: number): void {
    const isEmpty = this.#fine.length === 0;
    const first = isEmpty ? lowest : Math.min(lowest, this.#first);
    const last = isEmpty ? highest : Math.max(highest, this.#first + this.#fine.length - 1);
    if (last - first < this.#fine.length) return;
    const wider = new Float64Array(last - first + 1);
    wider.set(this.#fine, isEmpty ? 0 : this.#first - first);
    this.#fine = wider;
    this.#first = first;
  }

  #quantileMs(share: number): number | null {
    const value = quantileMs(this.#fine, share, this.#first);
    return value === null ? null : rounded(value);
  }
}

const NONE = new Float64Array(0);

/** Three decimals: whole microseconds of a time in ms. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
