import { readdir, readFile } from "node:fs/promises";

/** Length of a tick of /proc/PID/stat: USER_HZ is 100 on Linux (proc(5), sysconf(_SC_CLK_TCK)). */
const TICK_MS = 10;

/** What /proc/PID/stat says of a process, all its threads together. */
export interface ProcessTimes {
  readonly pid: number;
  readonly parent: number;
  readonly userMs: number;
  readonly systemMs: number;
}

/** CPU time of a process and all its descendants at one moment. */
export interface TreeTimes {
  readonly userMs: number;
  readonly systemMs: number;
  /** The processes that were counted, in ascending order. */
  readonly pids: readonly number[];
}

/** Parses /proc/PID/stat (proc(5)). The command's name may hold blanks and brackets, so its last bracket counts. */
export function parseProcessTimes(text: string): ProcessTimes {
  const end = text.lastIndexOf(")");
  const fields = text.slice(end + 2).split(" ");
  // Fields are numbered from 1 in proc(5); the slice begins with the third.
  const field = (number: number) => Number(fields[number - 3]);
  const times = {
    pid: Number.parseInt(text, 10),
    parent: field(4),
    userMs: field(14) * TICK_MS,
    systemMs: field(15) * TICK_MS,
  };
  if (end === -1 || Object.values(times).some((value) => !Number.isInteger(value))) {
    throw new Error(`not a line of /proc/PID/stat: ${text.slice(0, 80)}`);
  }
  return times;
}

/** Adds up a process and its descendants; throws where the process itself is not in the list. */
export function sumTree(root: number, all: readonly ProcessTimes[]): TreeTimes {
  const counted: ProcessTimes[] = all.filter(({ pid }) => pid === root);
  if (counted.length === 0) throw new Error(`process ${root} has ended`);
  // The list grows while it is walked: children of children are found in their turn.
  for (const { pid: parent } of counted) {
    counted.push(...all.filter((one) => one.parent === parent));
  }
  return {
    userMs: counted.reduce((sum, { userMs }) => sum + userMs, 0),
    systemMs: counted.reduce((sum, { systemMs }) => sum + systemMs, 0),
    pids: counted.map(({ pid }) => pid).sort((a, b) => a - b),
  };
}

/** Reads the CPU time of a process and its descendants. Rejects where it has ended. */
export async function treeTimes(root: number): Promise<TreeTimes> {
  return sumTree(root, await allProcesses());
}

/** Every process of this machine that is visible from here. */
export async function allProcesses(): Promise<ProcessTimes[]> {
  const all: ProcessTimes[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, "utf8").catch(goneIsEmpty);
    if (text !== "") all.push(parseProcessTimes(text));
  }
  return all;
}

/** For what is read of a process: it may end between the listing and the reading. */
export function goneIsEmpty(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT" || error.code === "ESRCH") return "";
  throw error;
}
