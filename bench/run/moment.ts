import { existsSync, readdirSync, readFileSync } from "node:fs";
import { parseProcessTimes } from "../lib/cpu-time.ts";
import { parseTcpOpens } from "../measure/connections.ts";
import { type CpuClock, parseCpuClock } from "../measure/cpu-shares.ts";
import { parseSwitches } from "../measure/process-reading.ts";

/** What one process has used so far. */
export interface ProcessMoment {
  readonly userMs: number;
  readonly systemMs: number;
  readonly contextSwitches: number;
}

/** One end of a measurement. */
export interface Moment {
  readonly clock: CpuClock;
  readonly processes: ReadonlyMap<number, ProcessMoment>;
  /** TCP connections opened and accepted in the network namespaces of the proxies, by anybody. */
  readonly tcpOpens: number;
}

/**
 * Reads what known processes have used so far; one that has ended is left out. Everything is read at once and in order,
 * since the load runs meanwhile: what came in between would be missing from the counted time.
 */
export function readMoment(pids: readonly number[], namespacePids: readonly number[]): Moment {
  const clock = parseCpuClock(readFileSync("/proc/stat", "utf8"), performance.now());
  const processes = new Map<number, ProcessMoment>();
  for (const pid of pids) {
    const stat = readOrEmpty(`/proc/${pid}/stat`);
    if (stat === "") continue;
    const { userMs, systemMs } = parseProcessTimes(stat);
    processes.set(pid, { userMs, systemMs, contextSwitches: 0 });
  }
  for (const [pid, times] of processes) {
    processes.set(pid, { ...times, contextSwitches: switchesOf(pid) });
  }
  const opens = namespacePids.map((pid) => {
    const text = readOrEmpty(`/proc/${pid}/net/snmp`);
    return text === "" ? 0 : parseTcpOpens(text);
  });
  return { clock, processes, tcpOpens: opens.reduce((sum, one) => sum + one, 0) };
}

/** What a group of processes used between two moments. */
export function used(pids: readonly number[], before: Moment, after: Moment): ProcessMoment {
  const sum = (pick: (one: ProcessMoment) => number) =>
    pids.reduce((total, pid) => {
      const [first, last] = [before.processes.get(pid), after.processes.get(pid)];
      return first === undefined || last === undefined ? total : total + pick(last) - pick(first);
    }, 0);
  return {
    userMs: sum(({ userMs }) => userMs),
    systemMs: sum(({ systemMs }) => systemMs),
    contextSwitches: sum(({ contextSwitches }) => contextSwitches),
  };
}

/** Of the threads that live; one may end while it is looked at. */
function switchesOf(pid: number): number {
  const folder = `/proc/${pid}/task`;
  const threads = existsSync(folder) ? readdirSync(folder) : [];
  return threads.reduce(
    (sum, thread) => sum + parseSwitches(readOrEmpty(`${folder}/${thread}/status`)),
    0,
  );
}

/** Empty where the process has ended. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "ENOENT" || code === "ESRCH") return "";
    throw error;
  }
}
