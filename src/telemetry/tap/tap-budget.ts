/**
 * What all workers of a host may tell of one tap, in memory that they share: a bucket of tokens that the main thread fills
 * ten times a second, and the count of what found none.
 */
export type TapBudget = SharedArrayBuffer;

const TOKENS = 0;
const SKIPPED = 1;
const WORDS = 2;
export const REFILLS_PER_SECOND = 10;

export function newBudget(): TapBudget {
  return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** A worker asks for one event. */
export function takeToken(words: Int32Array): boolean {
  if (Atomics.sub(words, TOKENS, 1) > 0) return true;
  Atomics.add(words, TOKENS, 1);
  Atomics.add(words, SKIPPED, 1);
  return false;
}

/** The main thread gives so many tokens, as far as no more than `capacity` are there then. */
export function refill(words: Int32Array, tokens: number, capacity: number): void {
  const room = capacity - Atomics.load(words, TOKENS);
  if (room > 0) Atomics.add(words, TOKENS, Math.min(tokens, room));
}

/** How many events found no token since this was asked last. */
export function takeSkipped(words: Int32Array): number {
  return Atomics.exchange(words, SKIPPED, 0);
}
