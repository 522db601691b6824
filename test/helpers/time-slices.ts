import { existsSync, readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";

const FIRST = [6, 12] as const;
const SLICE = /^(?:se\.)?slice\s*:\s*(\d+)$/m;

/** Can a thread choose its time slice here, and does the kernel tell of it? */
export function hasChosenSlices(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const isNew = major > FIRST[0] || (major === FIRST[0] && minor >= FIRST[1]);
  return process.platform === "linux" && isNew && existsSync("/proc/self/sched");
}

/** The threads of this process with their time slices, as /proc/PID/task/TID/sched has them. */
export function slicesOfThreads(): { readonly name: string; readonly nanos: number }[] {
  return readdirSync("/proc/self/task").map((thread) => {
    const read = (file: string) => readFileSync(`/proc/self/task/${thread}/${file}`, "utf8");
    return { name: read("comm").trim(), nanos: Number(SLICE.exec(read("sched"))?.[1]) };
  });
}
