import type { Random } from "../../src/core/random.ts";

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

/**
 * Pause in ms before an export is sent again; `failures` of it so far, 1 or more. It doubles from 1 s to 30 s, of which chance
 * takes up to a half, so that hosts do not return together; a Retry-After (RFC 9110 section 10.2.3, in seconds or as a date) goes
 * before.
 */
export function retryPauseMs(
  failures: number,
  retryAfter: string,
  nowMs: number,
  random: Random,
): number {
  if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter) * 1_000;
  const atMs = retryAfter === "" ? Number.NaN : Date.parse(retryAfter);
  if (!Number.isNaN(atMs)) return Math.max(0, atMs - nowMs);
  const doubled = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(10, failures - 1));
  return doubled * (1 - random() / 2);
}
