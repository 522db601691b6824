import { execFile } from "node:child_process";
import { cpus, loadavg, release } from "node:os";
import { promisify } from "node:util";

/** Under what circumstances figures were taken. */
export interface Machine {
  readonly cpus: number;
  readonly cpuModel: string;
  readonly kernel: string;
  readonly node: string;
  /** Commit of the checkout, with `-dirty` where the measured code differs from it; else `unknown`. */
  readonly commit: string;
  /** Load average of the minute before the start. */
  readonly loadAverage: number;
  readonly date: string;
}

/** A machine at rest stays below it. */
const REST = 0.3;

export async function describeMachine(root: string): Promise<Machine> {
  return {
    cpus: cpus().length,
    cpuModel: cpus()[0]?.model ?? "unknown",
    kernel: release(),
    node: process.version,
    commit: await commitOf(root),
    loadAverage: loadavg()[0] ?? 0,
    date: new Date().toISOString(),
  };
}

/** A sentence where the machine had other work at the start, else null. */
export function busyNote(loadAverage: number): string | null {
  if (loadAverage < REST) return null;
  return `the machine was busy at the start (load average ${loadAverage.toFixed(2)}): figures are preliminary`;
}

async function commitOf(root: string): Promise<string> {
  const git = async (...args: string[]) =>
    (await promisify(execFile)("git", args, { cwd: root, timeout: 5_000 })).stdout.trim();
  try {
    const commit = await git("rev-parse", "--short=12", "HEAD");
    const changes = await git("status", "--porcelain", "--", "src", "daemon");
    return changes === "" ? commit : `${commit}-dirty`;
  } catch {
    // A copy without git or without a repository can be measured just the same.
    return "unknown";
  }
}
