import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";

/** A process that can be told from a later one with the same number: its start time goes with it. */
export interface ProcessMark {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat (clock ticks since boot); empty where there is no /proc. */
  readonly startedAt: string;
}

const mark = z.object({ pid: z.number().int().min(2), startedAt: z.string() });
const schema = z.object({ owner: mark, processes: z.array(mark) });

/** What a running demo writes down, so that the next start can clear up after a SIGKILL. */
export type DemoState = z.infer<typeof schema>;

/**
 * Where the state is kept. The names of namespaces are the whole host's, so the state of a privileged demo is
 * too, whatever its data folder; /run is emptied at boot, as the namespaces are.
 */
export function demoStateFile(privileged: boolean, dataDir: string): string {
  return privileged ? "/run/hostmesh-demo.json" : join(dataDir, "demo.json");
}

/** The state that a former demo left, or null. A damaged file counts as none: names and pipes remain. */
export async function readDemoState(file: string): Promise<DemoState | null> {
  try {
    const parsed = schema.safeParse(JSON.parse(await readFile(file, "utf8")));
    return parsed.success ? parsed.data : null;
  } catch (reason) {
    if (reason instanceof SyntaxError || isMissing(reason)) return null;
    throw new Error(`cannot read the demo's state ${file}`, { cause: reason });
  }
}

/** Replaces the state file in one step. */
export async function writeDemoState(file: string, state: DemoState): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export async function removeDemoState(file: string): Promise<void> {
  await rm(file, { force: true });
}

/** Start time out of a line of /proc/PID/stat; the command in it may hold spaces and brackets. */
export function startTimeOf(stat: string): string {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

/** Marks a process that runs now; null when it has ended. */
export async function markProcess(pid: number): Promise<ProcessMark | null> {
  if (process.platform !== "linux") return { pid, startedAt: "" };
  try {
    return { pid, startedAt: startTimeOf(await readFile(`/proc/${pid}/stat`, "utf8")) };
  } catch (reason) {
    if (isMissing(reason)) return null;
    throw reason;
  }
}

/**
 * Does the very process of this mark still run? Without /proc nobody can tell, and the answer is no: better
 * to leave a process that ends by itself than to kill a stranger.
 */
export async function stillRuns(mark: ProcessMark): Promise<boolean> {
  if (mark.startedAt === "") return false;
  return (await markProcess(mark.pid))?.startedAt === mark.startedAt;
}

function isMissing(reason: unknown): boolean {
  const code = reason instanceof Error && "code" in reason ? reason.code : "";
  return code === "ENOENT" || code === "ESRCH";
}
