import type { DataEndpoint } from "../../../core/snapshot.ts";
import { AliasTable } from "./alias-table.ts";
import type { BalancerDeps } from "./balancer.ts";
import type { PickRules } from "./pick-rules.ts";

/** How long a count of healthy endpoints is used. */
const HEALTH_COUNT_MS = 100;
/** Random draws before the candidates are looked through in order. */
const MAX_DRAWS = 32;
// What speaks against an endpoint, the worst with the most weight.
const FULL = 1;
const TRIED = 2;
const EJECTED = 4;
/** Never chosen. */
const SHUT = 8;

/** May the endpoint be chosen at all? Whether it is ejected changes by the moment and is asked at the pick. */
export function isCandidate(endpoint: DataEndpoint): boolean {
  return endpoint.weight > 0 && endpoint.health !== "critical";
}

/**
 * The endpoints of a service that can be chosen, by index, made anew on every update. Knows what holds for
 * every policy: who is eligible for one pick, who is still in slow start, and what to do when nobody is
 * eligible. In order of preference: not ejected, not tried and not full; not ejected but full, then tried;
 * when all are ejected, or too many (panic), as if none was. One that failure accrual has shut is never chosen.
 */
export class Candidates {
  readonly endpoints: readonly DataEndpoint[];
  readonly size: number;
  readonly weights: Float64Array;
  /** Those with a weight, critical ones too: the share of healthy ones is taken of them. */
  readonly known: number;
  readonly #deps: BalancerDeps;
  readonly #slots: Int32Array;
  readonly #rules: PickRules;
  /** Is more to be asked than whether an endpoint is ejected or was tried? */
  readonly #restricted: boolean;
  readonly #equal: boolean;
  readonly #meanWeight: number;
  #alias: AliasTable | null = null;
  #rampFromMs = Number.NEGATIVE_INFINITY;
  #rampUntilMs = Number.NEGATIVE_INFINITY;
  #panicUntilMs = 0;
  #countedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(endpoints: readonly DataEndpoint[], rules: PickRules, deps: BalancerDeps) {
    this.endpoints = endpoints.filter(isCandidate);
    this.known = endpoints.reduce((sum, { weight }) => sum + (weight > 0 ? 1 : 0), 0);
    this.size = this.endpoints.length;
    this.weights = Float64Array.from(this.endpoints, (endpoint) => endpoint.weight);
    this.#slots = Int32Array.from(this.endpoints, (endpoint) => endpoint.slot);
    this.#deps = deps;
    this.#rules = rules;
    this.#restricted = rules.accrual || rules.limitOf !== null;
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

  /** Neither ejected nor shut, tried or full. */
  isEligible(index: number, tried: readonly DataEndpoint[], nowMs: number): boolean {
    const slot = this.#slots[index]!;
    if (
      nowMs >= this.#panicUntilMs &&
      this.#deps.state.isEjected(slot, nowMs) &&
      !this.#isPanic(nowMs)
    ) {
      // It will come back with a ramp, and no update will say so.
      this.#expectRamp(this.#deps.state.ejectedUntil(slot), nowMs);
      return false;
    }
    if (this.#restricted && this.#isShutOrFull(slot)) return false;
    return tried.length === 0 || !wasTried(slot, tried);
  }

  #isShutOrFull(slot: number): boolean {
    const { accrual, limitOf } = this.#rules;
    const { state } = this.#deps;
    if (accrual && state.accrual.isShut(slot)) return true;
    return limitOf !== null && state.inFlight(slot) >= limitOf(slot);
  }

  /** The part of the endpoints that can be chosen now: 0 to 1. */
  healthyShare(nowMs: number): number {
    const { state } = this.#deps;
    const { accrual } = this.#rules;
    let healthy = 0;
    for (const slot of this.#slots) {
      if (state.isEjected(slot, nowMs) || (accrual && state.accrual.isShut(slot))) continue;
      healthy++;
    }
    return this.known === 0 ? 0 : healthy / this.known;
  }

  /**
   * A random eligible endpoint in proportion to weight and ramp; the best of the others if there is none, and -1 where
   * the rules allow none of them.
   */
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

  /** Looks through all from `start` on for the best; -1 where the rules allow none. */
  scan(start: number, tried: readonly DataEndpoint[], nowMs: number): number {
    let best = -1;
    let bestRank = this.#rules.strict ? 1 : SHUT;
    let firstReturnMs = Number.POSITIVE_INFINITY;
    for (let step = 0, index = start; step < this.size; step++, index++) {
      if (index >= this.size) index = 0;
      const rank = this.#rankOf(index, tried, nowMs);
      if (rank === 0) return index;
      if (rank >= SHUT) continue;
      if (rank < bestRank) {
        best = index;
        bestRank = rank;
      }
      const untilMs = this.#deps.state.ejectedUntil(this.#slots[index]!);
      if (untilMs < firstReturnMs) firstReturnMs = untilMs;
    }
    // All are ejected: until the first comes back the policy chooses among all, without another search.
    if (best !== -1 && bestRank >= EJECTED) this.#panicUntilMs = firstReturnMs;
    return best;
  }

  /** What speaks against an endpoint: 0 is nothing. */
  #rankOf(index: number, tried: readonly DataEndpoint[], nowMs: number): number {
    const slot = this.#slots[index]!;
    const { state } = this.#deps;
    if (this.#rules.accrual && state.accrual.isShut(slot)) return SHUT;
    const isEjected = nowMs >= this.#panicUntilMs && state.ejectedUntil(slot) > nowMs;
    const isFull = this.#restricted && this.#isShutOrFull(slot);
    return (isEjected ? EJECTED : 0) + (wasTried(slot, tried) ? TRIED : 0) + (isFull ? FULL : 0);
  }

  /** Are so few healthy that ejections do not count? Counted at most every tenth of a second. */
  #isPanic(nowMs: number): boolean {
    const { minHealthPercent } = this.#rules;
    if (minHealthPercent <= 0 || nowMs < this.#countedUntilMs) return false;
    this.#countedUntilMs = nowMs + HEALTH_COUNT_MS;
    if (this.healthyShare(nowMs) * 100 >= minHealthPercent) return false;
    this.#panicUntilMs = this.#countedUntilMs;
    return true;
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
    const { slowStartMs, rampMin, rampExponent } = this.#rules;
    const elapsed = (nowMs - this.#deps.state.servingSince(this.#slots[index]!)) / slowStartMs;
    if (elapsed >= 1) return 1;
    // Envoy's slow start: max(min, elapsed^(1/aggression)).
    return Math.max(rampMin, rampExponent === 1 ? elapsed : Math.max(0, elapsed) ** rampExponent);
  }

  #isRamping(nowMs: number): boolean {
    return nowMs < this.#rampUntilMs && nowMs >= this.#rampFromMs;
  }

  /** One endpoint ramps from `fromMs` on. One span covers all ramps: between two of them nothing is wrong. */
  #expectRamp(fromMs: number, nowMs: number): void {
    const untilMs = fromMs + this.#rules.slowStartMs;
    if (untilMs <= nowMs || untilMs === this.#rampUntilMs) return;
    if (this.#rampUntilMs <= nowMs || fromMs < this.#rampFromMs) this.#rampFromMs = fromMs;
    if (untilMs > this.#rampUntilMs) this.#rampUntilMs = untilMs;
  }

  /**
   * Endpoints that start together, within the part of the window in which the ramp is flat (a tenth), need no
   * ramp against each other: the shares that result are the same.
   */
  #findRamp(): void {
    const { slowStartMs, rampMin, rampExponent } = this.#rules;
    if (slowStartMs <= 0) return;
    let oldest = Number.POSITIVE_INFINITY;
    let newest = Number.NEGATIVE_INFINITY;
    for (const slot of this.#slots) {
      const sinceMs = this.#deps.state.servingSince(slot);
      if (sinceMs < oldest) oldest = sinceMs;
      if (sinceMs > newest) newest = sinceMs;
    }
    if (newest - oldest <= slowStartMs * rampMin ** (1 / rampExponent)) return;
    const nowMs = this.#deps.clock.now();
    for (const slot of this.#slots) this.#expectRamp(this.#deps.state.servingSince(slot), nowMs);
  }
}

/** By slot and not by object: an update between two attempts brings new objects for the same endpoints. */
function wasTried(slot: number, tried: readonly DataEndpoint[]): boolean {
  for (let at = 0; at < tried.length; at++) if (tried[at]!.slot === slot) return true;
  return false;
}
