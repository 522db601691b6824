import type { LocalityRule } from "../../../core/locality-rule.ts";
import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { Candidates } from "./candidates.ts";
import { type Here, levelsOf } from "./locality.ts";
import type { PickRules } from "./pick-rules.ts";
import { SideLoad } from "./spill.ts";

/** Envoy's overprovisioning factor: a side with 72 % of its endpoints healthy still takes all its requests. */
const OVERPROVISIONING = 1.4;
/** How often health and queues are looked at. */
const LOOK_MS = 100;

export interface LocalitySettings {
  readonly rule: LocalityRule;
  readonly here: Here;
  readonly rules: PickRules;
}

type Make = (endpoints: readonly DataEndpoint[], over?: Partial<PickRules>) => Balancer;

/** The endpoints of one level, with a balancer that picks none rather than one that is no good. */
interface Side {
  readonly balancer: Balancer;
  readonly candidates: Candidates;
  readonly slots: Int32Array;
  /** Given share; 0: by health. */
  readonly share: number;
  readonly load: SideLoad;
  /** Part of all requests that begins here. */
  part: number;
  isHealthy: boolean;
}

/**
 * Near endpoints first: same host, zone, region, the rest (see `levelsOf`). A request goes further where
 * - too few of a side are healthy: the side gets `1.4 * healthy / all` of the requests, the next side the rest (Envoy's
 *   priority levels);
 * - the side is busy (see `SideLoad`);
 * - it has no endpoint for this very request: all were tried, ejected or are full.
 * With given shares (`distribute`) a side's share is scaled by its health in the same way, and queues have no say.
 */
export class LocalityBalancer implements Balancer {
  readonly probe = 0;
  readonly #make: Make;
  readonly #settings: LocalitySettings;
  readonly #deps: BalancerDeps;
  #sides: readonly Side[] = [];
  /** All of them, for when no side has one that is good for a request. */
  #any: Balancer;
  /** Is the part of healthy ones below the panic threshold? */
  #isPanic = false;
  #lookMs = Number.NEGATIVE_INFINITY;

  constructor(
    make: Make,
    endpoints: readonly DataEndpoint[],
    settings: LocalitySettings,
    deps: BalancerDeps,
  ) {
    this.#make = make;
    this.#settings = settings;
    this.#deps = deps;
    this.#any = make([]);
    this.update(endpoints);
  }

  update(endpoints: readonly DataEndpoint[]): void {
    const { rule, here, rules } = this.#settings;
    const before = this.#sides;
    const levels = levelsOf(endpoints, rule, here);
    this.#sides = levels.map((level, at) => {
      const candidates = new Candidates(level.endpoints, rules, this.#deps);
      return {
        balancer: this.#make(level.endpoints, { strict: true, minHealthPercent: 0 }),
        candidates,
        slots: Int32Array.from(candidates.endpoints, ({ slot }) => slot),
        share: level.share,
        // What is known of the queues lives on where the levels are as many as before.
        load: levels.length === before.length ? before[at]!.load : new SideLoad(),
        ...{ part: 0, isHealthy: false },
      };
    });
    this.#any = this.#make(levels.flatMap((level) => level.endpoints));
    this.#lookMs = Number.NEGATIVE_INFINITY;
  }

  pick(request: PickRequest): DataEndpoint | null {
    const nowMs = this.#deps.clock.now();
    if (nowMs >= this.#lookMs) this.#look(nowMs);
    if (this.#isPanic) return this.#any.pick(request);
    const sides = this.#sides;
    const first = this.#choose();
    for (let step = 0; step <= sides.length; step++) {
      // The chosen side, then all from the nearest on.
      const at = step === 0 ? first : step - 1;
      if (at === -1 || (step > 0 && at === first)) continue;
      const endpoint = sides[at]!.balancer.pick(request);
      if (endpoint !== null) return endpoint;
    }
    return this.#any.pick(request);
  }

  /** Index of the side where the request shall go; -1: none is healthy. */
  #choose(): number {
    const sides = this.#sides;
    let left = sides.length > 1 ? this.#deps.random() : 0;
    let at = -1;
    for (let index = 0; index < sides.length; index++) {
      const { part } = sides[index]!;
      if (part === 0) continue;
      at = index;
      left -= part;
      if (left < 0) break;
    }
    for (let next = at; next !== -1; next = this.#healthyAfter(at)) {
      at = next;
      const { spill } = sides[at]!.load;
      if (spill === 0 || this.#deps.random() >= spill) break;
    }
    return at;
  }

  #healthyAfter(index: number): number {
    const sides = this.#sides;
    for (let at = index + 1; at < sides.length; at++) if (sides[at]!.isHealthy) return at;
    return -1;
  }

  #look(nowMs: number): void {
    this.#lookMs = nowMs + LOOK_MS;
    const { minHealthPercent } = this.#settings.rules;
    let known = 0;
    let healthy = 0;
    let left = 1;
    let total = 0;
    for (const side of this.#sides) {
      const share = side.candidates.healthyShare(nowMs);
      const healthyHere = share * side.candidates.known;
      known += side.candidates.known;
      healthy += healthyHere;
      side.isHealthy = share > 0;
      side.load.observe(this.#deps.state, side.slots, healthyHere);
      const available = Math.min(1, OVERPROVISIONING * share);
      side.part = side.share > 0 ? side.share * available : Math.min(left, available);
      left -= side.share > 0 ? 0 : side.part;
      total += side.part;
    }
    for (const side of this.#sides) if (total > 0) side.part /= total;
    this.#isPanic = minHealthPercent > 0 && healthy * 100 < minHealthPercent * known;
    this.#settle();
  }

  /** From the far end, so that a side knows how it is with the one after it. */
  #settle(): void {
    let next: SideLoad | null = null;
    for (let at = this.#sides.length - 1; at >= 0; at--) {
      const side = this.#sides[at]!;
      side.load.settle(side.share > 0 ? null : next);
      if (side.isHealthy) next = side.load;
    }
  }
}
