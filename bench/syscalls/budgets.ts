import type { CaseName, PerRequest } from "./cases.ts";
import type { Kind } from "./summary.ts";

/** The most calls of a worker thread. */
export interface Budget {
  readonly read: number;
  readonly write: number;
  /** epoll: a turn of libuv's loop asks twice where nothing was ready, once without and once with waiting. */
  readonly wait: number;
  /** Everything else: epoll_ctl, futex, memory. */
  readonly rest: number;
  readonly why: string;
}

/**
 * The most calls of the worker for one request. Each is what the work needs, and a margin that is smaller than the
 * smallest mistake that is worth finding: one more call for each request.
 */
export const BUDGETS: Readonly<Record<CaseName, Budget>> = {
  small: {
    ...{ read: 2.1, write: 2.1, wait: 1.5, rest: 0.3 },
    why: "request and answer are read once and written once; connections and buffers are kept, so nothing else is called; how many are ready in one turn depends on the machine",
  },
  alone: {
    ...{ read: 2.1, write: 2.1, wait: 4.2, rest: 0.3 },
    why: "one turn for the request and one for its answer, and each asks epoll twice; a timer for each request would be two more",
  },
  medium: {
    ...{ read: 2.2, write: 2.1, wait: 1.5, rest: 0.3 },
    why: "10 KiB fit a read buffer of 64 KiB, and the head goes out with them in one write",
  },
  large: {
    ...{ read: 5, write: 5, wait: 3, rest: 0.5 },
    why: "one read and write for the request; 100 KiB are two of 64 KiB where the sender is faster, and more where the proxy finds a part",
  },
  stream: {
    ...{ read: 24, write: 24, wait: 12, rest: 2 },
    why: "1 MiB is sixteen buffers of 64 KiB and the question; half as many again for buffers that were not full. Buffers of 16 KiB would need 64",
  },
};

/**
 * The most calls of a worker for one second, whatever it carries: deadlines are looked at ten times a second, and
 * the main thread asks five times whether it still answers. Added to each budget for the time that the case took.
 */
export const IDLE_WORKER: Budget = {
  ...{ read: 8, write: 8, wait: 45, rest: 15 },
  why: "ten ticks and five questions a second, each a turn of the loop, and nothing for connections that are idle",
};

/** The most calls of the whole daemon, guardian and main thread and worker together, for one idle second. */
export const IDLE_DAEMON: Budget = {
  ...{ read: 25, write: 25, wait: 150, rest: 60 },
  why: "the worker's, beats between the processes, and the event loop's delay, which is sampled ten times a second (two calls each)",
};

const REST: readonly Kind[] = ["epollCtl", "futex", "memory", "other"];

/**
 * What is above its budget, as sentences; empty: nothing.
 * @param secondsEach how long one unit of `calls` took, for what the worker does by itself meanwhile
 */
export function excesses(calls: PerRequest, budget: Budget, secondsEach = 0): string[] {
  const rest = REST.reduce((sum, kind) => sum + calls[kind], 0);
  const used = { read: calls.read, write: calls.write, wait: calls.wait, rest };
  return (["read", "write", "wait", "rest"] as const).flatMap((kind) => {
    const most = budget[kind] + IDLE_WORKER[kind] * secondsEach;
    if (used[kind] <= most) return [];
    return [`${kind}: ${used[kind].toFixed(2)} calls, at most ${most.toFixed(2)} (${budget.why})`];
  });
}
