import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { Candidates } from "./candidates.ts";
import { DeadlineHeap } from "./deadline-heap.ts";
import type { PickRules } from "./pick-rules.ts";

/** Turns that may fall to endpoints which are not eligible before the candidates are looked through. */
const MAX_TURNS = 32;

/**
 * In turn. With equal weights a plain rotation from a random start, so that workers do not march in step.
 * With unequal weights (or in slow start) earliest deadline first, as Envoy does it: an endpoint of weight
 * w has its turn every 1/w of a round, so a heavy endpoint's turns are spread over the round instead of
 * coming in a run, at O(log n) where nginx's smooth form costs O(n). Endpoints of the same weight are
 * staggered evenly over their period for the same reason.
 */
export class RoundRobin implements Balancer {
  readonly probe = 0;
  readonly #rules: PickRules;
  readonly #deps: BalancerDeps;
  #candidates: Candidates;
  #next: number;
  #schedule: DeadlineHeap | null = null;

  constructor(endpoints: readonly DataEndpoint[], rules: PickRules, deps: BalancerDeps) {
    this.#rules = rules;
    this.#deps = deps;
    this.#candidates = new Candidates(endpoints, rules, deps);
    this.#next = Math.floor(deps.random() * this.#candidates.size);
  }

  update(endpoints: readonly DataEndpoint[]): void {
    this.#candidates = new Candidates(endpoints, this.#rules, this.#deps);
    this.#next = Math.floor(this.#deps.random() * this.#candidates.size);
    this.#schedule = null;
  }

  pick(request: PickRequest): DataEndpoint | null {
    const candidates = this.#candidates;
    if (candidates.size === 0) return null;
    const nowMs = this.#deps.clock.now();
    let index = 0;
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      index = candidates.isVaried(nowMs) ? this.#turn(nowMs) : this.#rotate();
      if (candidates.isEligible(index, request.tried, nowMs)) return candidates.endpoints[index]!;
    }
    const best = candidates.scan(index, request.tried, nowMs);
    return best === -1 ? null : candidates.endpoints[best]!;
  }

  #rotate(): number {
    // A schedule that slow start needed is of no use after it.
    this.#schedule = null;
    const index = this.#next;
    this.#next = index + 1 < this.#candidates.size ? index + 1 : 0;
    return index;
  }

  #turn(nowMs: number): number {
    this.#schedule ??= this.#newSchedule(nowMs);
    const index = this.#schedule.top();
    this.#schedule.postpone(1 / this.#candidates.weightAt(index, nowMs));
    return index;
  }

  #newSchedule(nowMs: number): DeadlineHeap {
    const { weights, size } = this.#candidates;
    const members = new Map<number, number>();
    for (const weight of weights) members.set(weight, (members.get(weight) ?? 0) + 1);
    const placed = new Map<number, number>();
    const offset = this.#deps.random();
    const deadlines = new Float64Array(size);
    for (let index = 0; index < size; index++) {
      const weight = weights[index]!;
      const before = placed.get(weight) ?? 0;
      placed.set(weight, before + 1);
      const phase = (offset + (before + 0.5) / members.get(weight)!) % 1;
      deadlines[index] = phase / this.#candidates.weightAt(index, nowMs);
    }
    return new DeadlineHeap(deadlines);
  }
}
