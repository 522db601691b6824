import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { HammerTask } from "./policy-hammer.ts";

const PROGRAM = new URL("./policy-hammer.ts", import.meta.url);

/** What each thread reports, after all of them have hammered on the same memory at the same time. */
export async function hammer(tasks: readonly HammerTask[]): Promise<number[][]> {
  const threads = startThreads(tasks);
  try {
    const messages = await Promise.all(threads.map((thread) => once(thread, "message")));
    return messages.map(([figures]) => figures as number[]);
  } finally {
    for (const thread of threads) await thread.terminate();
  }
}

/** The threads, which start together; the caller terminates them. */
export function startThreads(tasks: readonly HammerTask[]): Worker[] {
  const gate = new SharedArrayBuffer(4);
  return tasks.map((task) => {
    const workerData = { ...task, gate, threads: tasks.length };
    return new Worker(PROGRAM, { workerData });
  });
}
