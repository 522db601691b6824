import type { Random } from "../../../core/random.ts";

/**
 * Draws an index with a probability proportional to its weight, in constant time: Walker's alias method
 * as Vose builds it ("A linear algorithm for generating random numbers with a given distribution", 1991).
 * All weights must be above 0.
 */
export class AliasTable {
  readonly #threshold: Float64Array;
  readonly #alias: Uint32Array;

  constructor(weights: Float64Array) {
    const size = weights.length;
    this.#threshold = new Float64Array(size).fill(1);
    this.#alias = new Uint32Array(size);
    const mean = weights.reduce((sum, weight) => sum + weight, 0) / size;
    const scaled = weights.map((weight) => weight / mean);
    const small: number[] = [];
    const large: number[] = [];
    for (let index = 0; index < size; index++) (scaled[index]! < 1 ? small : large).push(index);
    while (small.length > 0 && large.length > 0) {
      const less = small.pop()!;
      const more = large.pop()!;
      this.#threshold[less] = scaled[less]!;
      this.#alias[less] = more;
      scaled[more] = scaled[more]! + scaled[less]! - 1;
      (scaled[more] < 1 ? small : large).push(more);
    }
  }

  draw(random: Random): number {
    const at = random() * this.#threshold.length;
    const index = Math.floor(at);
    return at - index < this.#threshold[index]! ? index : this.#alias[index]!;
  }
}
