import type { Random } from "../../../core/random.ts";
import type { FailureAccrual } from "../../../core/traffic.ts";
import type { AccrualState } from "./accrual-state.ts";
import type { EndpointState } from "./endpoint-state.ts";
import type { TryResult } from "./outlier.ts";

const FIRST_FAILURE_STATUS = 500;
const TOO_MANY_REQUESTS = 429;
/** Linkerd's floor for a pause. */
const MIN_PAUSE_MS = 10;

/**
 * Linkerd's failure accrual. An endpoint is shut after `maxFailures` failures in a row, or (unified mode) when the share
 * of successes of late is below a threshold; after a pause of `minPenaltyMs * 2^n`, at most `maxPenaltyMs`, and a random
 * part of up to `jitterRatio` of it more, exactly one request over all workers probes it: its success reopens the
 * endpoint, its failure begins the next pause. Everything else that arrives while it is shut was sent before, and is no
 * news. There is no limit to how many endpoints are shut: a service without an open one fails fast.
 *
 * With a success rate, 429 counts in the rate and fails a probe, but is no failure in a row.
 */
export class FailureAccruals {
  readonly #state: EndpointState;
  readonly #accrual: AccrualState;
  readonly #random: Random;

  constructor(state: EndpointState, random: Random) {
    this.#state = state;
    this.#accrual = state.accrual;
    this.#random = random;
  }

  /** True when an open endpoint is thereby shut: over all workers for exactly one call. */
  onResult(rule: FailureAccrual, slot: number, result: TryResult, nowMs: number): boolean {
    const { status, local, probe = 0 } = result;
    const accrual = this.#accrual;
    const failed = local || status === 0 || status >= FIRST_FAILURE_STATUS;
    const throttled = status === TOO_MANY_REQUESTS && isRated(rule);
    if (accrual.isShut(slot)) {
      this.#probed(rule, slot, probe, failed || throttled, nowMs);
      return false;
    }
    if (probe !== 0) accrual.release(slot, probe);
    if (rule.successRate !== undefined && isRated(rule)) {
      accrual.count(slot, !failed && !throttled, rule.successRate, nowMs);
    }
    if (!failed && !throttled) {
      accrual.clearFailures(slot);
      return false;
    }
    if (failed) accrual.addFailure(slot);
    return this.#isDue(rule, slot, nowMs) && this.#shut(rule, slot, nowMs);
  }

  #isDue(rule: FailureAccrual, slot: number, nowMs: number): boolean {
    if (rule.maxFailures > 0 && this.#accrual.failures(slot) >= rule.maxFailures) return true;
    const { successRate } = rule;
    return (
      successRate !== undefined &&
      isRated(rule) &&
      this.#accrual.isRateLow(slot, successRate, nowMs)
    );
  }

  #shut(rule: FailureAccrual, slot: number, nowMs: number): boolean {
    // Another worker is deciding: the next failure asks again.
    if (!this.#state.tryLockEjections()) return false;
    try {
      // Another worker may have shut it, or seen it succeed, since the failure was counted.
      if (this.#accrual.isShut(slot) || !this.#isDue(rule, slot, nowMs)) return false;
      this.#accrual.shut(slot, nowMs + this.#pauseMs(rule, 0));
      return true;
    } finally {
      this.#state.unlockEjections();
    }
  }

  #probed(rule: FailureAccrual, slot: number, probe: number, failed: boolean, nowMs: number): void {
    // A probe that took so long that another was sent is still good news, but no bad ones.
    if (!failed && this.#accrual.isLateProbe(slot, probe)) this.#accrual.reopen(slot);
    if (!failed || !this.#accrual.isProbe(slot, probe)) return;
    const pauseMs = this.#pauseMs(rule, this.#accrual.shuts(slot));
    this.#accrual.shutAgain(slot, probe, nowMs + pauseMs);
  }

  #pauseMs(rule: FailureAccrual, pausesBefore: number): number {
    const longestMs = Math.max(MIN_PAUSE_MS, rule.maxPenaltyMs);
    const doubledMs = Math.max(MIN_PAUSE_MS, rule.minPenaltyMs) * 2 ** Math.min(30, pausesBefore);
    const pauseMs = Math.min(longestMs, doubledMs);
    return pauseMs + pauseMs * Math.max(0, rule.jitterRatio) * this.#random();
  }
}

/** Is the success rate watched (Linkerd's unified mode)? */
function isRated({ successRate }: FailureAccrual): boolean {
  return successRate !== undefined && successRate.threshold > 0;
}
