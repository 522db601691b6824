import { readlinkSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { RUNNING, type TickerMemory, WAITING } from "./ticker-memory.ts";

/** The thread that sleeps until the next tick and then wakes the generator. */
const { state, isSeen, schedule } = workerData as TickerMemory;
/** Monotonic milliseconds, the same in all threads, as `performance.now()` is not. */
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

/** Linux lets sleepers wake 50 microseconds late unless they ask for less (prctl(2), PR_SET_TIMERSLACK). */
function wakeExactly(): void {
  try {
    const thread = basename(readlinkSync("/proc/thread-self"));
    writeFileSync(`/proc/${thread}/timerslack_ns`, "1");
  } catch {
    // Not Linux, or /proc is closed: ticks are a little later then, and the result tells how late.
  }
}

wakeExactly();
parentPort?.postMessage("ready");
Atomics.wait(state, 0, WAITING);
const [startMs = 0, stepMs = 1] = schedule;
let next = startMs;
while (Atomics.load(state, 0) === RUNNING) {
  const leftMs = next - monotonicMs();
  if (leftMs > 0) {
    Atomics.wait(state, 0, RUNNING, leftMs);
    continue;
  }
  // What the generator has not yet seen is not told again: it finds everything that is due.
  if (Atomics.exchange(isSeen, 0, 0) === 1) parentPort?.postMessage("tick");
  next += Math.ceil((monotonicMs() - next) / stepMs) * stepMs;
}
