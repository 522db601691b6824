import { type Random, seeded } from "../../src/core/random.ts";
import { type Failure, writeFailure } from "./failures.ts";
import { HangWatch } from "./hang-watch.ts";
import { below, pick } from "./random-of.ts";
import { MAX_INPUT_BYTES, type Target } from "./target.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly ms: number;
  /** Ends it sooner; for tests that have to be exact. */
  readonly maxInputs?: number;
  /** For one input; the process ends behind it. The slowest takes milliseconds, and a machine may be busy. */
  readonly hangMs?: number;
}

export interface FuzzReport {
  readonly inputs: number;
  /** Different answers that the codec gave. */
  readonly outcomes: number;
  readonly ms: number;
  /** The first input that failed, made shorter. */
  readonly failure: Failure | null;
}

/** Inputs that are mutated: those of the corpus, and such that the codec had a new answer to. */
const MAX_POOL = 4_000;

/** CPU time of one input. All of them are short, so that anything near it is no longer in proportion. */
const SLOW_MS = 400;

const HANG_MS = 15_000;

/** Attempts to make a failing input shorter, and how long they may take. */
const MAX_CUTS = 2_000;
const CUT_MS = 3_000;

/**
 * Runs a target with the corpus, then with mutations of it, until the time is over or an input fails. The same seed, corpus
 * and target give the same inputs in the same order.
 */
export async function fuzz(
  target: Target,
  corpus: readonly Buffer[],
  { seed, ms, maxInputs = Number.POSITIVE_INFINITY, hangMs = HANG_MS }: FuzzOptions,
): Promise<FuzzReport> {
  const started = performance.now();
  const random = seeded(seed);
  const inputs = new Inputs(target, corpus, random);
  const outcomes = new Set<string>();
  const watch = new HangWatch(target.name, hangMs);
  let count = 0;
  let failure: Failure | null = null;
  while (failure === null && count < maxInputs) {
    if (count >= corpus.length && performance.now() - started >= ms) break;
    const input = inputs.next();
    watch.begin(input);
    count += 1;
    try {
      const outcome = await timed(target, input);
      if (outcomes.has(outcome)) continue;
      outcomes.add(outcome);
      inputs.keep(input);
    } catch (error) {
      failure = await shortened(target, input, error, watch);
    }
  }
  await watch.close();
  return { inputs: count, outcomes: outcomes.size, ms: performance.now() - started, failure };
}

/** First the corpus, then mutations. */
class Inputs {
  readonly #target: Target;
  readonly #pool: Buffer[];
  readonly #corpusSize: number;
  readonly #random: Random;
  #given = 0;

  constructor(target: Target, corpus: readonly Buffer[], random: Random) {
    this.#target = target;
    this.#pool = [...corpus];
    this.#corpusSize = corpus.length;
    this.#random = random;
  }

  next(): Buffer {
    const pool = this.#pool;
    if (this.#given < this.#corpusSize) return pool[this.#given++]!;
    const input = this.#target.mutate(pick(this.#random, pool), pool, this.#random);
    // A copy of its own: the pool must not hold on to the longer ones that it was cut from.
    return Buffer.from(input.subarray(0, MAX_INPUT_BYTES));
  }

  keep(input: Buffer): void {
    const pool = this.#pool;
    if (pool.length < MAX_POOL) pool.push(input);
    else pool[this.#corpusSize + below(this.#random, pool.length - this.#corpusSize)] = input;
  }
}

/** Runs it; what takes long is run again, to tell a slow codec from a busy machine. */
async function timed(target: Target, input: Buffer): Promise<string> {
  const before = performance.now();
  // Most targets need no turn of the event loop, and are several times as fast without.
  const answer = target.run(input);
  const outcome = typeof answer === "string" ? answer : await answer;
  if (performance.now() - before < SLOW_MS) return outcome;
  const cpu = process.threadCpuUsage();
  await target.run(input);
  const { user, system } = process.threadCpuUsage(cpu);
  const usedMs = (user + system) / 1_000;
  if (usedMs >= SLOW_MS) throw new Error(`${usedMs} ms of CPU time`);
  return outcome;
}

/** Takes parts out of a failing input while what is left still fails. */
async function shortened(
  target: Target,
  input: Buffer,
  first: unknown,
  watch: HangWatch,
): Promise<Failure> {
  const endMs = performance.now() + CUT_MS;
  let shortest = input;
  let error = first;
  let cuts = 0;
  for (let size = input.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at + size <= shortest.length && cuts < MAX_CUTS; cuts++) {
      if (performance.now() > endMs) break;
      const less = Buffer.concat([shortest.subarray(0, at), shortest.subarray(at + size)]);
      watch.begin(less);
      try {
        await timed(target, less);
        at += size;
      } catch (thrown) {
        shortest = less;
        error = thrown;
      }
    }
  }
  return writeFailure(target.name, shortest, error);
}
