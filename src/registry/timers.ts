/** Delayed work, injected so that tests move time by hand. */
export interface Timers {
  /** Runs `task` once after `delayMs`; the result cancels it and may be called at any time. */
  after(delayMs: number, task: () => void): () => void;
}

/** Node's limit: a longer delay would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** The timers of this process. */
export const processTimers: Timers = {
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(Math.max(0, delayMs), LONGEST_MS));
    return () => clearTimeout(timer);
  },
};
