import { LONGEST_TIMER_MS } from "../core/durations.ts";

/** Delayed work, injected so that tests move time by hand. */
export interface Timers {
  /** Runs `task` once after `delayMs`; the result cancels it and may be called at any time. */
  after(delayMs: number, task: () => void): () => void;
}

/** The timers of this process. */
export const processTimers: Timers = {
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};
