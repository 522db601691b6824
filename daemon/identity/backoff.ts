import type { Random } from "../../src/core/random.ts";

const FIRST_MS = 500;
const LONGEST_MS = 150_000;
const JITTER = 0.2;

/**
 * Pause after so many failures in a row (1: the first), in ms: it doubles from 0.5 s to 150 s, and chance moves it by a
 * fifth either way. These are ztunnel's figures (src/identity/manager.rs).
 */
export function backoffMs(failures: number, random: Random): number {
  const doubled = FIRST_MS * 2 ** Math.min(30, Math.max(0, failures - 1));
  const spread = 1 - JITTER + 2 * JITTER * random();
  return Math.min(LONGEST_MS, doubled * spread);
}
