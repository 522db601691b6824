/** Batches that must bring nothing before the code counts as warm. */
const PATIENCE = 8;
/** Smaller gains than this are noise. */
const GAIN = 0.95;

/**
 * Tells when batches of equal work have stopped becoming cheaper. The compilers of V8 work in tiers with pauses
 * in between, so one batch that is no cheaper says nothing: several in a row must fail to beat the best by 5 %.
 */
export class Settling {
  #best = Number.POSITIVE_INFINITY;
  #idle = 0;

  /** Takes the cost of one more batch, in any unit; true when it is settled. */
  add(cost: number): boolean {
    if (cost < this.#best * GAIN) {
      this.#best = cost;
      this.#idle = 0;
      return false;
    }
    this.#idle += 1;
    return this.#idle >= PATIENCE;
  }
}
