import type { DataEndpoint } from "../../../core/snapshot.ts";
import { isCandidate } from "./candidates.ts";
import type { EndpointState } from "./endpoint-state.ts";

/** When endpoints are ejected; the settings of the same names in `balance`. */
export interface OutlierSettings {
  /** 0: never. */
  readonly consecutiveFailures: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
}

/** Healthy time that takes one off the number of ejections in a row: Envoy's analysis interval. */
const FORGIVE_MS = 10_000;

/**
 * Passive ejection after failures in a row, as Envoy's outlier detection: for `baseEjectionMs` times the
 * number of ejections in a row, at most `maxEjectionMs`. Nothing has to end it: it is a time, and a request
 * is the probe. Unlike Envoy's, which with its default of 10 % never ejects one of fewer than 10 endpoints,
 * it may always eject one while another remains, and never the last one.
 */
export class Outlier {
  readonly #state: EndpointState;
  readonly #settings: OutlierSettings;

  constructor(state: EndpointState, settings: OutlierSettings) {
    this.#state = state;
    this.#settings = settings;
  }

  /**
   * One result of `endpoint`, which is one of `endpoints` of its service. True when it is thereby ejected:
   * over all workers exactly one call returns true for one ejection.
   */
  onResult(
    endpoints: readonly DataEndpoint[],
    endpoint: DataEndpoint,
    failed: boolean,
    nowMs: number,
  ): boolean {
    const state = this.#state;
    const { slot } = endpoint;
    if (!failed) {
      state.clearFailures(slot);
      return false;
    }
    const limit = this.#settings.consecutiveFailures;
    // What fails while it is ejected was sent before, or in panic: no news.
    if (limit === 0 || state.isEjected(slot, nowMs)) return false;
    if (state.addFailure(slot) < limit) return false;
    // Another worker is deciding on an ejection: the next failure asks again.
    if (!state.tryLockEjections()) return false;
    try {
      return this.#decide(endpoints, slot, nowMs);
    } finally {
      state.unlockEjections();
    }
  }

  /** Under the lock. */
  #decide(endpoints: readonly DataEndpoint[], slot: number, nowMs: number): boolean {
    const state = this.#state;
    const { consecutiveFailures, baseEjectionMs } = this.#settings;
    // Another worker may have ejected it, or seen it succeed, since the failure was counted.
    if (state.isEjected(slot, nowMs) || state.failures(slot) < consecutiveFailures) return false;
    if (!this.#mayEjectOneOf(endpoints, nowMs)) {
      // Counting starts again, so that a service that fails as a whole is not searched at every failure.
      state.clearFailures(slot);
      return false;
    }
    const longestMs = Math.max(this.#settings.maxEjectionMs, baseEjectionMs);
    const healthyMs = nowMs - state.ejectedUntil(slot);
    const forgiven = Math.floor(healthyMs / FORGIVE_MS);
    const most = Math.ceil(longestMs / Math.max(1, baseEjectionMs));
    const inRow = Math.min(most, Math.max(0, state.ejections(slot) - forgiven) + 1);
    state.eject(slot, nowMs + Math.min(baseEjectionMs * inRow, longestMs), inRow);
    return true;
  }

  #mayEjectOneOf(endpoints: readonly DataEndpoint[], nowMs: number): boolean {
    let candidates = 0;
    let ejected = 0;
    for (const endpoint of endpoints) {
      if (!isCandidate(endpoint)) continue;
      candidates++;
      if (this.#state.isEjected(endpoint.slot, nowMs)) ejected++;
    }
    const allowed = Math.max(1, Math.floor((candidates * this.#settings.maxEjectionPercent) / 100));
    return ejected < allowed && candidates - ejected >= 2;
  }
}
