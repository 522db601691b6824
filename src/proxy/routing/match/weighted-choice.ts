import type { Random } from "../../../core/random.ts";

/** 1 / golden ratio: its multiples are spread evenly over [0, 1), however many there are. */
const STEP = 0.618_033_988_749_894_8;
/** Weights that are no integers count to so many parts of one. */
const FRACTION = 10_000;

/**
 * Chooses among weighted places in turn: stride scheduling (Waldspurger and Weihl 1995; Envoy's EDF scheduler). In a
 * cycle of length 1 a place of quota q has its turns at (k + phase) / q for k = 0 ... q - 1, so its share is spread
 * evenly, and any window as long as a cycle holds it exactly, from the very first choice on. Nothing adds up from turn
 * to turn, so large weights are as exact as small ones.
 *
 * Every instance enters the cycle at a random turn: workers do not move in step, and one that is made anew
 * for each change of the configuration still begins with each place as often as its weight says.
 */
export class WeightedChoice {
  readonly #places: Int32Array;
  readonly #quotas: Float64Array;
  readonly #phases: Float64Array;
  /** Turns taken in this cycle. */
  readonly #taken: Float64Array;
  /** When the next turn of each is; infinite where it has had its share of this cycle. */
  readonly #next: Float64Array;
  readonly #cycle: number;
  #left: number;

  /** A weight of 0 gets nothing, unless it is the only one. */
  constructor(weights: readonly number[], random: Random) {
    const shares = weights.length === 1 ? [1] : integers(weights);
    const places = shares.flatMap((share, place) => (share > 0 ? [place] : []));
    const divisor = places.reduce((common, place) => gcd(common, shares[place]!), 0);
    this.#places = Int32Array.from(places);
    this.#quotas = Float64Array.from(places, (place) => shares[place]! / divisor);
    this.#cycle = this.#quotas.reduce((sum, quota) => sum + quota, 0);
    this.#phases = entryPhases(this.#quotas, Math.floor(random() * this.#cycle));
    this.#taken = new Float64Array(places.length);
    this.#next = new Float64Array(places.length);
    this.#left = 0;
  }

  /** Index of a weight; -1 where there is none to choose. */
  pick(): number {
    const next = this.#next;
    if (next.length <= 1) return next.length === 0 ? -1 : this.#places[0]!;
    if (this.#left === 0) this.#beginCycle();
    let first = 0;
    for (let at = 1; at < next.length; at++) if (next[at]! < next[first]!) first = at;
    this.#left -= 1;
    const taken = this.#taken[first]! + 1;
    const quota = this.#quotas[first]!;
    this.#taken[first] = taken;
    next[first] =
      taken === quota ? Number.POSITIVE_INFINITY : (taken + this.#phases[first]!) / quota;
    return this.#places[first]!;
  }

  #beginCycle(): void {
    this.#left = this.#cycle;
    this.#taken.fill(0);
    for (let at = 0; at < this.#next.length; at++) {
      this.#next[at] = this.#phases[at]! / this.#quotas[at]!;
    }
  }
}

/**
 * Phases as they are seen from the turn with the given number, counted place by place: that turn is the first one. In
 * the whole cycle the phases of the places are multiples of the golden ratio, so that turns of places with the same
 * quota do not fall together.
 */
function entryPhases(quotas: Float64Array, turn: number): Float64Array {
  let entered = 0;
  let rest = turn;
  while (entered < quotas.length - 1 && rest >= quotas[entered]!) rest -= quotas[entered++]!;
  const begin = (rest + fractionOf(entered * STEP)) / (quotas[entered] ?? 1);
  return quotas.map((quota, at) =>
    at === entered ? 0 : fractionOf(fractionOf(at * STEP) - fractionOf(begin * quota) + 1),
  );
}

function fractionOf(value: number): number {
  return value - Math.floor(value);
}

function integers(weights: readonly number[]): number[] {
  const scale = weights.every((weight) => Number.isInteger(weight)) ? 1 : FRACTION;
  return weights.map((weight) => (weight > 0 ? Math.max(1, Math.round(weight * scale)) : 0));
}

function gcd(a: number, b: number): number {
  let [left, right] = [a, b];
  while (right !== 0) [left, right] = [right, left % right];
  return left;
}
