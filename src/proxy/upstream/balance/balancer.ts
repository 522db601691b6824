import type { Clock } from "../../../core/clock.ts";
import type { LocalityRule } from "../../../core/locality-rule.ts";
import type { BalancerConfig } from "../../../core/model.ts";
import type { Random } from "../../../core/random.ts";
import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { FailureAccrual } from "../../../core/traffic.ts";
import { AccrualBalancer } from "./accrual-balancer.ts";
import { ConsistentHash } from "./consistent-hash.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { LeastRequest } from "./least-request.ts";
import type { Here } from "./locality.ts";
import { LocalityBalancer } from "./locality-balancer.ts";
import { Maglev } from "./maglev.ts";
import { P2c } from "./p2c.ts";
import { PeakEwma } from "./peak-ewma.ts";
import { type PickRules, pickRules } from "./pick-rules.ts";
import { RandomChoice } from "./random-choice.ts";
import { RingHash } from "./ring-hash.ts";
import { RoundRobin } from "./round-robin.ts";

/** What a balancer may know of one request. May be reused: nothing of it is kept. */
export interface PickRequest {
  /** Unsigned 32 bits (`hashOf`) of what the service hashes on; -1: nothing, the pick is random. */
  readonly hash: number;
  /** Endpoints to avoid on a retry; chosen again only when no other is left. */
  readonly tried: readonly DataEndpoint[];
}

/** Chooses an endpoint of one service (or service port). Each worker has its own, over shared state. */
export interface Balancer {
  /** One endpoint; null when none has a weight above 0 and is not critical, or all are shut. Allocates nothing. */
  pick(request: PickRequest): DataEndpoint | null;
  /** The endpoints as they are now; replaces all earlier ones. */
  update(endpoints: readonly DataEndpoint[]): void;
  /**
   * Of the last pick: it is the probe of a shut endpoint, and this goes into the `TryResult` (or, where there is no
   * result, to `Outlier.abandon`). 0: an ordinary request.
   */
  readonly probe: number;
}

export interface BalancerDeps {
  readonly state: EndpointState;
  readonly clock: Clock;
  readonly random: Random;
}

/** What a service's traffic policy adds to the choice. Absent fields: nothing. */
export interface BalanceOptions {
  /** Where the calls come from. */
  readonly here: Here;
  /** Nearer endpoints first. Has no effect on hashing policies, under which a key has one place. */
  readonly locality?: LocalityRule;
  /** Below this share of healthy endpoints, in percent, ejections do not count; 0: only when all are ejected. */
  readonly minHealthPercent?: number;
  /** Endpoints may be shut (see `FailureAccruals`): never chosen, but for one probe after each pause. */
  readonly accrual?: FailureAccrual;
  /** Most requests in flight at an endpoint (a slot) over all workers; a full one is chosen only when all are full. */
  readonly concurrency?: (slot: number) => number;
}

/** Makes the balancer that a service asks for. */
export function createBalancer(
  config: BalancerConfig,
  endpoints: readonly DataEndpoint[],
  deps: BalancerDeps,
  options?: BalanceOptions,
): Balancer {
  const { accrual, locality, here } = options ?? {};
  if (accrual === undefined) reopenAll(endpoints, deps.state);
  const rules = pickRules(config, {
    minHealthPercent: options?.minHealthPercent ?? 0,
    accrual: accrual !== undefined,
    limitOf: options?.concurrency ?? null,
  });
  const make = (those: readonly DataEndpoint[], over: Partial<PickRules> = {}) =>
    createPolicy(config, those, { ...rules, ...over }, deps);
  const isHashing = config.policy === "ring-hash" || config.policy === "maglev";
  const isLocal = locality?.enabled === true && here !== undefined && !isHashing;
  const balancer = isLocal
    ? new LocalityBalancer(make, endpoints, { rule: locality, here, rules }, deps)
    : make(endpoints);
  return accrual === undefined ? balancer : new AccrualBalancer(balancer, endpoints, deps);
}

/** A policy that shut endpoints is gone, or another holds for these callers: nobody would send their probes. */
function reopenAll(endpoints: readonly DataEndpoint[], { accrual }: EndpointState): void {
  if (accrual.version === 0) return;
  for (const { slot } of endpoints) if (accrual.isShut(slot)) accrual.reopen(slot);
}

function createPolicy(
  config: BalancerConfig,
  endpoints: readonly DataEndpoint[],
  rules: PickRules,
  deps: BalancerDeps,
): Balancer {
  switch (config.policy) {
    case "peak-ewma":
      return new P2c(new PeakEwma(deps.state), endpoints, rules, deps);
    case "least-request":
      return new P2c(new LeastRequest(deps.state), endpoints, rules, deps);
    case "round-robin":
      return new RoundRobin(endpoints, rules, deps);
    case "random":
      return new RandomChoice(endpoints, rules, deps);
    case "ring-hash":
      return new ConsistentHash((candidates) => new RingHash(candidates), endpoints, rules, deps);
    case "maglev":
      return new ConsistentHash((candidates) => new Maglev(candidates), endpoints, rules, deps);
  }
}
