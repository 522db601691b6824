import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { Candidates } from "./candidates.ts";
import type { PickRules } from "./pick-rules.ts";

/** Each pick at random, in proportion to weight. */
export class RandomChoice implements Balancer {
  readonly probe = 0;
  readonly #rules: PickRules;
  readonly #deps: BalancerDeps;
  #candidates: Candidates;

  constructor(endpoints: readonly DataEndpoint[], rules: PickRules, deps: BalancerDeps) {
    this.#rules = rules;
    this.#deps = deps;
    this.#candidates = new Candidates(endpoints, rules, deps);
  }

  update(endpoints: readonly DataEndpoint[]): void {
    this.#candidates = new Candidates(endpoints, this.#rules, this.#deps);
  }

  pick(request: PickRequest): DataEndpoint | null {
    const candidates = this.#candidates;
    if (candidates.size === 0) return null;
    const drawn = candidates.draw(request.tried, this.#deps.clock.now());
    return drawn === -1 ? null : candidates.endpoints[drawn]!;
  }
}
