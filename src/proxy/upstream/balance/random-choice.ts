import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { Candidates } from "./candidates.ts";

/** Each pick at random, in proportion to weight. */
export class RandomChoice implements Balancer {
  readonly #slowStartMs: number;
  readonly #deps: BalancerDeps;
  #candidates: Candidates;

  constructor(endpoints: readonly DataEndpoint[], slowStartMs: number, deps: BalancerDeps) {
    this.#slowStartMs = slowStartMs;
    this.#deps = deps;
    this.#candidates = new Candidates(endpoints, slowStartMs, deps);
  }

  update(endpoints: readonly DataEndpoint[]): void {
    this.#candidates = new Candidates(endpoints, this.#slowStartMs, this.#deps);
  }

  pick(request: PickRequest): DataEndpoint | null {
    const candidates = this.#candidates;
    if (candidates.size === 0) return null;
    return candidates.endpoints[candidates.draw(request.tried, this.#deps.clock.now())]!;
  }
}
