import type { Random } from "../../src/core/random.ts";

/** Longest input: enough for every limit of a codec to be met, and short enough to be tried often. */
export const MAX_INPUT_BYTES = 8_192;

/** Makes another input of one that is there; `others` is where parts may be taken from. */
export type Mutator = (input: Buffer, others: readonly Buffer[], random: Random) => Buffer;

/** What is fuzzed. */
export interface Target {
  /** Also the folder of its inputs below `corpus/`. */
  readonly name: string;
  /** Inserts and changes what makes sense for this format. */
  readonly mutate: Mutator;
  /**
   * Throws where the codec breaks a promise. Else it returns in a few words what the codec made of the input: an input with
   * a new answer is mutated further, which takes the place of coverage. Whatever is done by chance in here has to follow
   * from the input (`randomOf`), so that an input can be replayed.
   */
  run(input: Buffer): string | Promise<string>;
}
