import { readdirSync, readFileSync } from "node:fs";

/** How often the processes of this machine are looked at. */
const LOOK_MS = 5_000;
/** `USER_HZ`, the unit of times in /proc/PID/stat, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly ageMs: number;
}

/**
 * Ends what a test file has left running for longer than `limitMs`, until the function that it returns is called. The
 * runner of `node:test` gives a file up after its time, but waits for whoever still holds its output: a server that a
 * failed test has left would hold up the whole run. Ours are known by a variable of their environment, and by their
 * age; those below a file's own process are left alone until that one is too old itself. Does nothing where there is
 * no /proc.
 */
export function endStragglers(limitMs: number): () => void {
  const mark = `TEST_RUNNER_PID=${process.pid}`;
  process.env["TEST_RUNNER_PID"] = String(process.pid);
  const timer = setInterval(() => {
    for (const pid of stragglers(mark, limitMs)) kill(pid);
  }, LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Children of this process that are too old, all that stems from them, and the orphans of earlier ones. */
function stragglers(mark: string, limitMs: number): number[] {
  const ours = new Map(marked(mark).map((one) => [one.pid, one]));
  const found: number[] = [];
  for (const { pid, ageMs } of ours.values()) {
    const top = topOf(pid, ours);
    // An orphan's top is not our child: then its own age counts.
    const judged = top.parent === process.pid ? top.ageMs : ageMs;
    if (judged > limitMs) found.push(pid);
  }
  return found;
}

function topOf(pid: number, ours: ReadonlyMap<number, Process>): Process {
  let top = ours.get(pid);
  for (;;) {
    const parent = top === undefined ? undefined : ours.get(top.parent);
    if (top === undefined || parent === undefined) break;
    top = parent;
  }
  return top ?? { pid, parent: 0, ageMs: 0 };
}

function marked(mark: string): Process[] {
  const found: Process[] = [];
  for (const name of entries()) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const environment = readFileSync(`/proc/${name}/environ`, "latin1").split("\0");
      if (environment.includes(mark)) found.push(describe(pid));
    } catch {
      // It is gone, or somebody else's.
    }
  }
  return found;
}

function entries(): string[] {
  try {
    return readdirSync("/proc");
  } catch {
    return [];
  }
}

/** From proc_pid_stat(5): the parent is field 4, the start in ticks since boot field 22; the name in field 2 may hold anything. */
function describe(pid: number): Process {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const startedMs = (Number(fields[19]) / TICKS_PER_SECOND) * 1_000;
  const upMs = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]) * 1_000;
  return { pid, parent: Number(fields[1]), ageMs: upMs - startedMs };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
