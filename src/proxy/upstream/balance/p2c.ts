import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { Candidates } from "./candidates.ts";

/** What two choices are compared by. */
export interface LoadMetric {
  /** Lower is better. `share` is the endpoint's weight, 1 for the average endpoint of the service. */
  cost(slot: number, share: number, nowMs: number): number;
  /** The endpoint was chosen. */
  chosen(slot: number, nowMs: number): void;
}

/** How many times dearer a lone choice must be before it is given up for another; see `P2c`. */
const CLEARLY = 3;

/**
 * The power of two choices: of two random endpoints take the one with the lower load (Mitzenmacher, "The
 * Power of Two Choices in Randomized Load Balancing", IEEE TPDS 2001). The largest queue then grows with
 * log log n where a single random choice gives log n / log log n, and unlike a search for the minimum it
 * does not send a herd to whoever was least loaded a moment ago.
 *
 * With equal weights the two are distinct and uniform, as in Finagle and linkerd. With unequal weights
 * (or in slow start) both are drawn independently by weight, for only then does each endpoint get its
 * share when loads are alike: with two distinct draws a pair of endpoints would be split evenly whatever
 * their weights. Where both draws are the same endpoint, it is kept unless another is clearly cheaper.
 */
export class P2c implements Balancer {
  readonly #metric: LoadMetric;
  readonly #slowStartMs: number;
  readonly #deps: BalancerDeps;
  #candidates: Candidates;

  constructor(
    metric: LoadMetric,
    endpoints: readonly DataEndpoint[],
    slowStartMs: number,
    deps: BalancerDeps,
  ) {
    this.#metric = metric;
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
    const nowMs = this.#deps.clock.now();
    const index = candidates.size === 1 ? 0 : this.#choose(candidates, request.tried, nowMs);
    this.#metric.chosen(candidates.slotOf(index), nowMs);
    return candidates.endpoints[index]!;
  }

  #choose(candidates: Candidates, tried: readonly DataEndpoint[], nowMs: number): number {
    const first = candidates.draw(tried, nowMs);
    if (!candidates.isVaried(nowMs)) {
      const second = candidates.drawOther(first, tried, nowMs);
      if (second === first) return first;
      const cost = this.#metric.cost(candidates.slotOf(first), 1, nowMs);
      return cost <= this.#metric.cost(candidates.slotOf(second), 1, nowMs) ? first : second;
    }
    let second = candidates.draw(tried, nowMs);
    let margin = 1;
    if (second === first) {
      second = candidates.drawOther(first, tried, nowMs);
      margin = CLEARLY;
    }
    const cost = this.#costOf(candidates, first, nowMs);
    return cost <= margin * this.#costOf(candidates, second, nowMs) ? first : second;
  }

  #costOf(candidates: Candidates, index: number, nowMs: number): number {
    const share = candidates.shareAt(index, nowMs);
    return this.#metric.cost(candidates.slotOf(index), share, nowMs);
  }
}
