import type { Random } from "../../../core/random.ts";
import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { FailureAccrual, OutlierPolicy } from "../../../core/traffic.ts";
import { isCandidate } from "./candidates.ts";
import type { EndpointState, FailureKind } from "./endpoint-state.ts";
import { FailureAccruals } from "./failure-accruals.ts";
import { mix32 } from "./hash.ts";
import { analysesIntervals, outliersOf } from "./interval-analysis.ts";
import { intervalAt } from "./interval-counts.ts";

/** When endpoints are ejected; the settings of the same names in `balance`. */
export interface OutlierSettings {
  /** 0: never. */
  readonly consecutiveFailures: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** Random time that is added to an ejection, in percent of it. */
  readonly ejectionJitterPercent?: number;
}

/** How one try ended. May be reused: nothing of it is kept. */
export interface TryResult {
  /** Of the response; 0: there was none. */
  readonly status: number;
  /** It failed without a response: connect failure, reset, timeout. */
  readonly local: boolean;
  /** To the first byte of the response, or to the failure. */
  readonly latencyMs: number;
  /** `Balancer.probe` of the pick; 0 or absent: the try was no probe. */
  readonly probe?: number;
}

/** Endpoints that are judged together: a cluster. */
export interface OutlierGroup {
  readonly endpoints: readonly DataEndpoint[];
  /** Null: the settings' detector, unless there is `accrual`. */
  readonly outlier: OutlierPolicy | null;
  readonly accrual: FailureAccrual | null;
}

const FIRST_FAILURE_STATUS = 500;
const UNREACHABLE = 503;
/** Envoy's analysis interval, in which a healthy endpoint is forgiven one ejection. */
const INTERVAL_MS = 10_000;
const NONE: readonly DataEndpoint[] = [];

/**
 * Passive ejection, as Envoy's outlier detection: for `baseEjectionMs` times the number of ejections in a row, at most
 * `maxEjectionMs`, and a random part more. Nothing has to end it: it is a time, and a request is the probe. Unlike
 * Envoy's, which with its default of 10 % never ejects one of fewer than 10 endpoints, it may always eject one while
 * another remains, and never the last one. Failure accrual, where a service has it, is judged here too.
 */
export class Outlier {
  readonly #state: EndpointState;
  readonly #defaults: OutlierPolicy;
  readonly #jitter: number;
  readonly #random: Random;
  readonly #accruals: FailureAccruals;
  readonly #onSuppressed: (group: OutlierGroup, endpoint: DataEndpoint) => void;
  readonly #keys = new WeakMap<readonly DataEndpoint[], number>();

  /** `onSuppressed` is told of each ejection that the limits forbid. */
  constructor(
    state: EndpointState,
    settings: OutlierSettings,
    random: Random,
    onSuppressed: (group: OutlierGroup, endpoint: DataEndpoint) => void = () => undefined,
  ) {
    this.#state = state;
    this.#defaults = policyOf(settings);
    this.#jitter = (settings.ejectionJitterPercent ?? 0) / 100;
    this.#random = random;
    this.#accruals = new FailureAccruals(state, random);
    this.#onSuppressed = onSuppressed;
  }

  /**
   * One result of `endpoint`, which is one of the group. True when it is thereby taken out of service, ejected or shut:
   * over all workers exactly one call returns true for one ejection.
   */
  onResult(group: OutlierGroup, endpoint: DataEndpoint, result: TryResult, nowMs: number): boolean {
    const { accrual } = group;
    const isShut =
      accrual !== null && this.#accruals.onResult(accrual, endpoint.slot, result, nowMs);
    const policy = group.outlier ?? (accrual === null ? this.#defaults : null);
    return (policy !== null && this.#judge(group, policy, endpoint, result, nowMs)) || isShut;
  }

  /** A probe ends without a result, for its client went away or no connection was to be had: another may be sent. */
  abandon(endpoint: DataEndpoint, probe: number): void {
    if (probe !== 0) this.#state.accrual.release(endpoint.slot, probe);
  }

  /**
   * Compares the endpoints by what they did in the interval before this one, where the policy says so, and returns those
   * that were ejected for it. May be called at any time and by every worker, about once a second: in each interval one of
   * the calls does the work and the others cost next to nothing.
   */
  analyse(group: OutlierGroup, nowMs: number): readonly DataEndpoint[] {
    const policy = group.outlier;
    if (policy === null || !analysesIntervals(policy)) return NONE;
    const { intervals } = this.#state;
    const interval = intervalAt(policy.intervalMs, nowMs);
    const key = this.#keyOf(group.endpoints);
    // Another worker is deciding: the next call asks again.
    if (!intervals.isUnclaimed(key, interval) || !this.#state.tryLockEjections()) return NONE;
    try {
      if (!intervals.tryClaim(key, interval)) return NONE;
      const judged = group.endpoints.filter(
        (one) => isCandidate(one) && !this.#state.isEjected(one.slot, nowMs),
      );
      const found = outliersOf(judged, policy, intervals, interval - 1);
      return found.filter((endpoint) => this.#tryEject(group, policy, endpoint, nowMs));
    } finally {
      this.#state.unlockEjections();
    }
  }

  /** By the endpoints, so that all workers that know the same ones agree. */
  #keyOf(endpoints: readonly DataEndpoint[]): number {
    let key = this.#keys.get(endpoints);
    if (key === undefined) {
      key = 0;
      for (const { slot } of endpoints) key = mix32(key ^ mix32(slot + 1));
      this.#keys.set(endpoints, key);
    }
    return key;
  }

  #judge(
    group: OutlierGroup,
    policy: OutlierPolicy,
    endpoint: DataEndpoint,
    { status, local, latencyMs }: TryResult,
    nowMs: number,
  ): boolean {
    const { slot } = endpoint;
    const state = this.#state;
    const { splitLocalErrors } = policy;
    const silent = local || status === 0;
    const failed = silent || status >= FIRST_FAILURE_STATUS;
    if (group.outlier !== null && !(silent && splitLocalErrors) && analysesIntervals(policy)) {
      const interval = intervalAt(policy.intervalMs, nowMs);
      state.intervals.count(slot, interval, !failed, latencyMs);
    }
    // What was answered was reached, whatever the answer.
    if (splitLocalErrors && !silent) state.clearFailures(slot, "local");
    if (!failed) {
      state.clearFailures(slot);
      state.clearFailures(slot, "gateway");
      return false;
    }
    // What fails while it is ejected was sent before, or in panic: no news.
    if (state.isEjected(slot, nowMs)) return false;
    return silent && splitLocalErrors
      ? this.#count(group, policy, endpoint, "local", nowMs)
      : this.#failed(group, policy, endpoint, silent ? UNREACHABLE : status, nowMs);
  }

  /** A failure that is not counted apart; one without a response counts as 503. */
  #failed(
    group: OutlierGroup,
    policy: OutlierPolicy,
    endpoint: DataEndpoint,
    status: number,
    nowMs: number,
  ): boolean {
    const isGateway = status >= 502 && status <= 504;
    if (!isGateway) this.#state.clearFailures(endpoint.slot, "gateway");
    const byGateway = isGateway && this.#count(group, policy, endpoint, "gateway", nowMs);
    return byGateway || this.#count(group, policy, endpoint, "any", nowMs);
  }

  /** Counts one more failure in a row; ejects at the limit. */
  #count(
    group: OutlierGroup,
    policy: OutlierPolicy,
    endpoint: DataEndpoint,
    kind: FailureKind,
    nowMs: number,
  ): boolean {
    const state = this.#state;
    const { slot } = endpoint;
    const limit = limitOf(policy, kind);
    if (limit === 0 || state.addFailure(slot, kind) < limit) return false;
    // Another worker is deciding on an ejection: the next failure asks again.
    if (!state.tryLockEjections()) return false;
    try {
      // Another worker may have ejected it, or seen it succeed, since the failure was counted.
      if (state.isEjected(slot, nowMs) || state.failures(slot, kind) < limit) return false;
      // Counting starts again, so that a service that fails as a whole is not searched at every failure.
      state.clearFailures(slot, kind);
      return this.#tryEject(group, policy, endpoint, nowMs);
    } finally {
      state.unlockEjections();
    }
  }

  /** Under the lock. */
  #tryEject(
    group: OutlierGroup,
    policy: OutlierPolicy,
    endpoint: DataEndpoint,
    nowMs: number,
  ): boolean {
    const { slot } = endpoint;
    const state = this.#state;
    if (state.isEjected(slot, nowMs)) return false;
    if (!this.#mayEjectOneOf(group.endpoints, policy.maxEjectionPercent, nowMs)) {
      this.#onSuppressed(group, endpoint);
      return false;
    }
    const { baseEjectionMs, intervalMs } = policy;
    const longestMs = Math.max(policy.maxEjectionMs, baseEjectionMs);
    const healthyMs = nowMs - state.ejectedUntil(slot);
    const forgiven = Math.floor(healthyMs / Math.max(1, intervalMs));
    const most = Math.ceil(longestMs / Math.max(1, baseEjectionMs));
    const inRow = Math.min(most, Math.max(0, state.ejections(slot) - forgiven) + 1);
    const lengthMs = Math.min(baseEjectionMs * inRow, longestMs);
    const jitterMs = this.#jitter === 0 ? 0 : lengthMs * this.#jitter * this.#random();
    state.eject(slot, nowMs + lengthMs + jitterMs, inRow);
    return true;
  }

  #mayEjectOneOf(endpoints: readonly DataEndpoint[], percent: number, nowMs: number): boolean {
    let candidates = 0;
    let ejected = 0;
    for (const endpoint of endpoints) {
      if (!isCandidate(endpoint)) continue;
      candidates++;
      if (this.#state.isEjected(endpoint.slot, nowMs)) ejected++;
    }
    const allowed = Math.max(1, Math.floor((candidates * percent) / 100));
    return ejected < allowed && candidates - ejected >= 2;
  }
}

function limitOf(policy: OutlierPolicy, kind: FailureKind): number {
  if (kind === "any") return policy.consecutive5xx;
  return kind === "gateway" ? policy.consecutiveGateway : policy.consecutiveLocal;
}

function policyOf(settings: OutlierSettings): OutlierPolicy {
  const { consecutiveFailures, baseEjectionMs, maxEjectionMs, maxEjectionPercent } = settings;
  return {
    consecutive5xx: consecutiveFailures,
    ...{ consecutiveGateway: 0, consecutiveLocal: 0, splitLocalErrors: false },
    ...{ intervalMs: INTERVAL_MS, baseEjectionMs, maxEjectionMs, maxEjectionPercent },
    minHealthPercent: 0,
  };
}
