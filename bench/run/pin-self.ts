import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const TIMEOUT_MS = 5_000;

/**
 * Keeps this process, which looks at the proxies while they are measured, off their CPUs. Returns what lifts that again.
 * Does nothing where there are no CPUs to go to.
 */
export async function pinSelf(cpus: readonly number[] | null): Promise<() => Promise<void>> {
  if (cpus === null) return () => Promise.resolve();
  const status = await readFile("/proc/self/status", "utf8");
  const before = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1];
  if (before === undefined) return () => Promise.resolve();
  await moveTo(cpus.join(","));
  return () => moveTo(before);
}

/** All threads: those that exist do not follow the first one. */
async function moveTo(cpus: string): Promise<void> {
  const args = ["-a", "-c", "-p", cpus, String(process.pid)];
  await promisify(execFile)("taskset", args, { timeout: TIMEOUT_MS });
}
