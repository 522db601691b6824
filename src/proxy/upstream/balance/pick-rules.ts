import type { BalancerConfig } from "../../../core/model.ts";

/** What holds for the choice among the endpoints of a service besides the policy itself. */
export interface PickRules {
  /** Length of the slow-start ramp; 0: none. */
  readonly slowStartMs: number;
  /** Where the ramp begins, as a share of the weight. */
  readonly rampMin: number;
  /** The ramp is the elapsed share of its time to the power of this: 1 / aggression. */
  readonly rampExponent: number;
  /** Below this share of healthy endpoints, in percent, ejections do not count; 0: only when all are ejected. */
  readonly minHealthPercent: number;
  /** May endpoints be shut by failure accrual? They are never chosen while they are. */
  readonly accrual: boolean;
  /** Rather none than one that is ejected, full or tried: there are other places to look. */
  readonly strict: boolean;
  /** Most requests in flight at an endpoint over all workers; one that has them is chosen only when all have. Null: no limit. */
  readonly limitOf: ((slot: number) => number) | null;
}

/** Envoy's `min_weight_percent` and `aggression`. */
const RAMP_MIN_PERCENT = 10;
const AGGRESSION = 1;

/** The rules that a service's balancer asks for. */
export function pickRules(
  { slowStartMs, slowStartMinPercent, slowStartAggression }: BalancerConfig,
  over: Partial<PickRules> = {},
): PickRules {
  const percent = Math.min(100, Math.max(0, slowStartMinPercent ?? RAMP_MIN_PERCENT));
  const aggression = slowStartAggression ?? AGGRESSION;
  return {
    slowStartMs,
    // Envoy does not let an endpoint start at nothing either.
    rampMin: Math.max(0.01, percent / 100),
    rampExponent: aggression > 0 ? 1 / aggression : 1,
    ...{ minHealthPercent: 0, accrual: false, strict: false, limitOf: null },
    ...over,
  };
}
