import type { DataEndpoint } from "../../../core/snapshot.ts";
import { AliasTable } from "./alias-table.ts";
import type { BalancerDeps } from "./balancer.ts";

/** A new endpoint starts with this part of its share. Envoy's `min_weight_percent`. */
const MIN_RAMP = 0.1;
/** Random draws before the candidates are looked through in order. */
const MAX_DRAWS = 32;

/** May the endpoint be chosen at all? Whether it is ejected changes by the moment and is asked at the pick. */
export function isCandidate(endpoint: DataEndpoint): boolean {
  return endpoint.weight > 0 && endpoint.health !== "critical";
}

/** Where the ramp of an endpoint stands: Envoy's slow start with aggression 1, from 10 % to 100 %. */
function rampAt(sinceMs: number, nowMs: number, slowStartMs: number): number {
  const elapsedMs = nowMs - sinceMs;
  return elapsedMs >= slowStartMs ? 1 : Math.max(MIN_RAMP, elapsedMs / slowStartMs);
}

/**
 * The endpoints of a service that can be chosen, by index, made anew on every update. Knows what holds for
 * every policy: who is eligible for one pick, who is still in slow start, and what to do when nobody is
 * eligible. In order of preference: not ejected and not tried; not ejected but tried; when all are ejected
 * (panic) as if none was.
 */
export class Candidates {
  readonly endpoints: readonly DataEndpoint[];
  readonly size: number;
  readonly weights: Float64Array;
  readonly #deps: BalancerDeps;
  readonly #slots: Int32Array;
  readonly #slowStartMs: number;
  readonly #equal: boolean;
  readonly #meanWeight: number;
  #alias: AliasTable | null = null;
  #rampFromMs = Number.NEGATIVE_INFINITY;
  #rampUntilMs = Number.NEGATIVE_INFINITY;
  #panicUntilMs = 0;

  /** `slowStartMs` 0: no slow start. */
  constructor(endpoints: readonly DataEndpoint[], slowStartMs: number, deps: BalancerDeps) {
    this.endpoints = endpoints.filter(isCandidate);
    this.size = this.endpoints.length;
    this.weights = Float64Array.from(this.endpoints, (endpoint) => endpoint.weight);
    this.#slots = Int32Array.from(this.endpoints, (endpoint) => endpoint.slot);
    this.#deps = deps;
    this.#slowStartMs = slowStartMs;
    this.#equal = this.weights.every((weight) => weight === this.weights[0]);
    this.#meanWeight = this.weights.reduce((sum, weight) => sum + weight, 0) / this.size;
    this.#findRamp();
  }

  slotOf(index: number): number {
    return this.#slots[index]!;
  }

  /** Do shares differ at this moment, by weight or by slow start? */
  isVaried(nowMs: number): boolean {
    return !this.#equal || this.#isRamping(nowMs);
  }

  /** The weight as slow start leaves it. */
  weightAt(index: number, nowMs: number): number {
    const weight = this.weights[index]!;
    return this.#isRamping(nowMs) ? weight * this.#ramp(index, nowMs) : weight;
  }

  /** The weight as slow start leaves it, with 1 for the average endpoint. */
  shareAt(index: number, nowMs: number): number {
    return this.weightAt(index, nowMs) / this.#meanWeight;
  }

  /** Neither ejected nor tried. */
  isEligible(index: number, tried: readonly DataEndpoint[], nowMs: number): boolean {
    const slot = this.#slots[index]!;
    if (nowMs >= this.#panicUntilMs && this.#deps.state.isEjected(slot, nowMs)) {
      // It will come back with a ramp, and no update will say so.
      this.#expectRamp(this.#deps.state.ejectedUntil(slot), nowMs);
      return false;
    }
    return tried.length === 0 || !wasTried(slot, tried);
  }

  /** A random eligible endpoint in proportion to weight and ramp; the best of the others if there is none. */
  draw(tried: readonly DataEndpoint[], nowMs: number): number {
    const ramping = this.#isRamping(nowMs);
    for (let attempt = 0; attempt < MAX_DRAWS; attempt++) {
      const index = this.#sample();
      if (!this.isEligible(index, tried, nowMs)) continue;
      if (!ramping || this.#deps.random() < this.#ramp(index, nowMs)) return index;
    }
    return this.scan(this.#uniform(), tried, nowMs);
  }

  /** A random eligible endpoint other than `first`, all alike; `first` again when a few draws find none. */
  drawOther(first: number, tried: readonly DataEndpoint[], nowMs: number): number {
    const attempts = Math.min(this.size, 8);
    for (let attempt = 0; attempt < attempts; attempt++) {
      const among = Math.floor(this.#deps.random() * (this.size - 1));
      const index = among < first ? among : among + 1;
      if (this.isEligible(index, tried, nowMs)) return index;
    }
    return first;
  }

  /** Looks through all from `start` on for the best; never fails while there is a candidate. */
  scan(start: number, tried: readonly DataEndpoint[], nowMs: number): number {
    let best = start;
    let bestRank = 4;
    let firstReturnMs = Number.POSITIVE_INFINITY;
    for (let step = 0, index = start; step < this.size; step++, index++) {
      if (index >= this.size) index = 0;
      const slot = this.#slots[index]!;
      const untilMs = this.#deps.state.ejectedUntil(slot);
      const rank = (untilMs > nowMs ? 2 : 0) + (wasTried(slot, tried) ? 1 : 0);
      if (rank === 0) return index;
      if (rank < bestRank) {
        best = index;
        bestRank = rank;
      }
      if (untilMs < firstReturnMs) firstReturnMs = untilMs;
    }
    // All are ejected: until the first comes back the policy chooses among all, without another search.
    if (bestRank >= 2) this.#panicUntilMs = firstReturnMs;
    return best;
  }

  #uniform(): number {
    return Math.floor(this.#deps.random() * this.size);
  }

  #sample(): number {
    if (this.#equal) return this.#uniform();
    this.#alias ??= new AliasTable(this.weights);
    return this.#alias.draw(this.#deps.random);
  }

  #ramp(index: number, nowMs: number): number {
    return rampAt(this.#deps.state.servingSince(this.#slots[index]!), nowMs, this.#slowStartMs);
  }

  #isRamping(nowMs: number): boolean {
    return nowMs < this.#rampUntilMs && nowMs >= this.#rampFromMs;
  }

  /** One endpoint ramps from `fromMs` on. One span covers all ramps: between two of them nothing is wrong. */
  #expectRamp(fromMs: number, nowMs: number): void {
    const untilMs = fromMs + this.#slowStartMs;
    if (untilMs <= nowMs || untilMs === this.#rampUntilMs) return;
    if (this.#rampUntilMs <= nowMs || fromMs < this.#rampFromMs) this.#rampFromMs = fromMs;
    if (untilMs > this.#rampUntilMs) this.#rampUntilMs = untilMs;
  }

  /**
   * Endpoints that start together, within the tenth of the window in which the ramp is flat, need no ramp
   * against each other: the shares that result are the same.
   */
  #findRamp(): void {
    if (this.#slowStartMs <= 0) return;
    let oldest = Number.POSITIVE_INFINITY;
    let newest = Number.NEGATIVE_INFINITY;
    for (const slot of this.#slots) {
      const sinceMs = this.#deps.state.servingSince(slot);
      if (sinceMs < oldest) oldest = sinceMs;
      if (sinceMs > newest) newest = sinceMs;
    }
    if (newest - oldest <= this.#slowStartMs * MIN_RAMP) return;
    const nowMs = this.#deps.clock.now();
    for (const slot of this.#slots) this.#expectRamp(this.#deps.state.servingSince(slot), nowMs);
  }
}

/** By slot and not by object: an update between two attempts brings new objects for the same endpoints. */
function wasTried(slot: number, tried: readonly DataEndpoint[]): boolean {
  for (let at = 0; at < tried.length; at++) if (tried[at]!.slot === slot) return true;
  return false;
}
