import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { Candidates } from "./candidates.ts";
import type { PickRules } from "./pick-rules.ts";

/** What two choices are compared by. */
export interface LoadMetric {
  /** Lower is better. `share` is the endpoint's weight, 1 for the average endpoint of the service. */
  cost(slot: number, share: number, nowMs: number): number;
  /** The endpoint was chosen. */
  chosen(slot: number, nowMs: number): void;
}

/** From this ratio of costs on one endpoint is clearly worse than another; see `P2c`. */
const CLEARLY = 3;

/** Of three endpoints the third is found with a probability of 15/16. */
const THIRD_DRAWS = 4;

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
 *
 * Where one of the two is clearly worse, the other has not been compared with anything: a slow endpoint would
 * win each pair that it shares with a failing one, a third of the requests of three endpoints. So a third
 * draw competes with it.
 */
export class P2c implements Balancer {
  readonly probe = 0;
  readonly #metric: LoadMetric;
  readonly #rules: PickRules;
  readonly #deps: BalancerDeps;
  #candidates: Candidates;

  constructor(
    metric: LoadMetric,
    endpoints: readonly DataEndpoint[],
    rules: PickRules,
    deps: BalancerDeps,
  ) {
    this.#metric = metric;
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
    const nowMs = this.#deps.clock.now();
    const { strict, accrual } = this.#rules;
    const index =
      candidates.size === 1 && !strict && !accrual
        ? 0
        : this.#choose(candidates, request.tried, nowMs);
    if (index === -1) return null;
    this.#metric.chosen(candidates.slotOf(index), nowMs);
    return candidates.endpoints[index]!;
  }

  #choose(candidates: Candidates, tried: readonly DataEndpoint[], nowMs: number): number {
    const first = candidates.draw(tried, nowMs);
    if (first === -1 || candidates.size === 1) return first;
    const varied = candidates.isVaried(nowMs);
    let second = varied ? candidates.draw(tried, nowMs) : first;
    let margin = 1;
    if (second === first) {
      second = candidates.drawOther(first, tried, nowMs);
      if (second === first) return first;
      margin = varied ? CLEARLY : 1;
    }
    const firstCost = this.#costOf(candidates, first, varied, nowMs);
    const secondCost = this.#costOf(candidates, second, varied, nowMs);
    const winner = firstCost <= margin * secondCost ? first : second;
    const cost = winner === first ? firstCost : secondCost;
    if (candidates.size === 2 || Math.max(firstCost, secondCost) < CLEARLY * cost) return winner;
    const third = this.#drawThird(
      candidates,
      winner,
      winner === first ? second : first,
      tried,
      nowMs,
    );
    return this.#costOf(candidates, third, varied, nowMs) < cost ? third : winner;
  }

  /** Another than the two; with a few endpoints and bad luck the winner again. */
  #drawThird(
    candidates: Candidates,
    winner: number,
    loser: number,
    tried: readonly DataEndpoint[],
    nowMs: number,
  ): number {
    let third = winner;
    for (let attempt = 0; attempt < THIRD_DRAWS && third === winner; attempt++) {
      third = candidates.drawOther(loser, tried, nowMs);
    }
    return third === loser ? winner : third;
  }

  #costOf(candidates: Candidates, index: number, varied: boolean, nowMs: number): number {
    const share = varied ? candidates.shareAt(index, nowMs) : 1;
    return this.#metric.cost(candidates.slotOf(index), share, nowMs);
  }
}
