import { readFile } from "node:fs/promises";
import { allProcesses, goneIsEmpty, type ProcessTimes, sumTree } from "../lib/cpu-time.ts";

/** What processes hold at one moment. */
export interface Memory {
  /** Proportional set size: what is shared counts in parts, so that a sum over processes is right. */
  readonly pssBytes: number;
  readonly rssBytes: number;
  readonly pids: readonly number[];
}

/** PSS and RSS of the trees of these processes. Rejects where a root has ended, or belongs to somebody else. */
export async function readMemory(roots: readonly number[]): Promise<Memory> {
  const pids = await treePids(roots);
  let pssBytes = 0;
  let rssBytes = 0;
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(goneIsEmpty);
    pssBytes += kilobytes(text, "Pss");
    rssBytes += kilobytes(text, "Rss");
  }
  return { pssBytes, rssBytes, pids };
}

/**
 * As {@link readMemory}, for processes that run on Node as the bench does. It shares the program's text with them, which
 * halves their PSS of it and more; here that text counts as if they were the only ones on the machine: once, as large as
 * the largest of them has it.
 */
export async function readMemoryWithoutBench(roots: readonly number[]): Promise<Memory> {
  const memory = await readMemory(roots);
  let shared = 0;
  let largest = 0;
  for (const pid of memory.pids) {
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(goneIsEmpty);
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(goneIsEmpty);
    shared += kilobytes(rollup, "Pss_File");
    largest = Math.max(largest, kilobytes(status, "RssFile"));
  }
  return { ...memory, pssBytes: memory.pssBytes + Math.max(0, largest - shared) };
}

/** The processes and all their descendants, in ascending order. Rejects where one of the roots has ended. */
export async function treePids(roots: readonly number[]): Promise<number[]> {
  return forest(roots, await allProcesses()).map(({ pid }) => pid);
}

/** The trees of several roots without counting anybody twice: one root may be the child of another. */
export function forest(roots: readonly number[], all: readonly ProcessTimes[]): ProcessTimes[] {
  const wanted = new Set(roots.flatMap((root) => sumTree(root, all).pids));
  return all.filter(({ pid }) => wanted.has(pid)).sort((a, b) => a.pid - b.pid);
}

/** The bytes of a line of /proc/PID/smaps_rollup or status (proc(5)); 0 where the process has ended meanwhile. */
export function kilobytes(text: string, name: "Pss" | "Rss" | "Pss_File" | "RssFile"): number {
  const value = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1];
  if (value === undefined && text !== "") throw new Error(`/proc does not tell ${name}`);
  return Number(value ?? 0) * 1_024;
}

/** Adds up the two lines of context switches of /proc/PID/status (proc(5)). */
export function parseSwitches(text: string): number {
  const lines = text.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)$/gm);
  return [...lines].reduce((sum, [, value]) => sum + Number(value), 0);
}
