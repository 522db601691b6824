import { readFile } from "node:fs/promises";

/** Part of the free memory that the bench takes: the rest of the machine goes on. */
const SHARE = 0.8;

/** Memory that can be had without swapping: MemAvailable of /proc/meminfo (proc(5)). */
export function parseAvailableBytes(text: string): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  if (kilobytes === undefined) throw new Error("/proc/meminfo does not tell MemAvailable");
  return Number(kilobytes) * 1_024;
}

/** {@link parseAvailableBytes} of this moment. */
export async function availableBytes(): Promise<number> {
  return parseAvailableBytes(await readFile("/proc/meminfo", "utf8"));
}

/**
 * How many of a kind may run where one runs already and has this PSS. Each further one takes less, as it shares the
 * program's text with the first.
 */
export function mostThatFit(pssOfFirst: number, available: number): number {
  return 1 + Math.floor((available * SHARE) / Math.max(1, pssOfFirst));
}
