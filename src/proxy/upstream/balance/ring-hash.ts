import type { Candidates } from "./candidates.ts";
import type { HashTable } from "./consistent-hash.ts";
import { hashOf, mix32 } from "./hash.ts";

/**
 * Points of the lightest endpoint. The spread of its share is about one over the square root: 6 %. With four
 * endpoints the ring is as large as Envoy's smallest.
 */
const POINTS_OF_LIGHTEST = 256;
/** Bounds what a rebuild costs; with more endpoints than 256, or very unequal ones, each has fewer points. */
const MAX_POINTS = 65_536;
/** Room for an index below a point's 32 bits in one double: 32 + 21 = 53 bits. */
const INDEX_RANGE = 2 ** 21;

/**
 * The ring of consistent hashing (Karger et al., "Consistent Hashing and Random Trees", STOC 1997):
 * every endpoint has points on a circle in proportion to its weight, a hash belongs to the next point
 * clockwise. When an endpoint leaves only its own hashes move, and to all others. O(log n) per lookup.
 */
export class RingHash implements HashTable {
  readonly #points: Uint32Array;
  readonly #owners: Uint32Array;

  constructor(candidates: Candidates) {
    const keys = ringOf(candidates).sort();
    this.#points = Uint32Array.from(keys, (key) => Math.floor(key / INDEX_RANGE));
    this.#owners = Uint32Array.from(keys, (key) => key % INDEX_RANGE);
  }

  lookup(hash: number, attempt: number): number {
    const points = this.#points;
    let low = 0;
    let high = points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (points[middle]! < hash) low = middle + 1;
      else high = middle;
    }
    return this.#owners[(low + attempt) % points.length]!;
  }
}

/** All points, unsorted, each with its owner in the low bits. */
function ringOf({ endpoints, weights, size }: Candidates): Float64Array {
  const perWeight = pointsPerWeight(weights);
  const counts = Uint32Array.from(weights, (weight) => Math.max(1, Math.round(weight * perWeight)));
  const keys = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  let at = 0;
  for (let index = 0; index < size; index++) {
    // Two hashes per endpoint: with one of 32 bits, two of 10,000 endpoints might well share every point.
    const start = hashOf(endpoints[index]!.id);
    // Odd, so that no point comes twice.
    const step = hashOf(endpoints[index]!.id, 1) | 1;
    for (let point = 0; point < counts[index]!; point++) {
      keys[at++] = mix32(start + Math.imul(point, step)) * INDEX_RANGE + index;
    }
  }
  return keys;
}

/**
 * How many points an endpoint has must not depend on how many others there are, or each that comes or goes
 * would move keys of all. So the bound is kept by halving, which few changes bring about.
 */
function pointsPerWeight(weights: Float64Array): number {
  let total = 0;
  let lightest = Number.POSITIVE_INFINITY;
  for (const weight of weights) {
    total += weight;
    lightest = Math.min(lightest, weight);
  }
  const wanted = (total / lightest) * POINTS_OF_LIGHTEST;
  const halvings = Math.max(0, Math.ceil(Math.log2(wanted / MAX_POINTS)));
  return POINTS_OF_LIGHTEST / lightest / 2 ** halvings;
}
