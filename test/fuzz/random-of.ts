import { crc32 } from "node:zlib";
import { type Random, seeded } from "../../src/core/random.ts";

/** A random source that depends on the input and nothing else: it gives the same splits when the input is replayed. */
export function randomOf(input: Buffer): Random {
  return seeded(crc32(input));
}

/** A whole number below the limit. */
export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[below(random, from.length)]!;
}
