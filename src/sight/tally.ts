import { FINE_BUCKETS, quantileMs } from "../telemetry/buckets.ts";
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
  /** Most label sets are idle, and have none. */
  #fine: Float64Array | null = null;

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
    if (other.#fine === null) return;
    this.#fine ??= new Float64Array(FINE_BUCKETS);
    for (let bucket = 0; bucket < FINE_BUCKETS; bucket += 1) {
      this.#fine[bucket] = (this.#fine[bucket] ?? 0) + (other.#fine[bucket] ?? 0);
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
    this.#fine ??= new Float64Array(FINE_BUCKETS);
    for (let at = 0; at + 1 < pairs.length; at += 2) {
      const bucket = pairs[at] ?? 0;
      this.#fine[bucket] = (this.#fine[bucket] ?? 0) + (pairs[at + 1] ?? 0);
    }
  }

  #quantileMs(share: number): number | null {
    const value = this.#fine === null ? null : quantileMs(this.#fine, share);
    return value === null ? null : rounded(value);
  }
}

/** Three decimals: whole microseconds of a time in ms. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
