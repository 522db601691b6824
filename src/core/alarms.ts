import type { Clock } from "./clock.ts";
import { LONGEST_TIMER_MS } from "./durations.ts";

/** Something that waits for one moment at a time. */
export interface Sleeper {
  /** The moment has come. It may set another one. */
  onAlarm(nowMs: number): void;
}

/** Starts a timer and returns what stops it. */
export type StartTimer = (delayMs: number, action: () => void) => () => void;

const startTimer: StartTimer = (delayMs, action) => {
  const timer = setTimeout(action, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};

/**
 * Moments that are met to the millisecond, for the few requests that have limits of their own (`Deadlines` is for what
 * all have). One timer serves all, set to the earliest; setting a later moment than that costs one entry in a map.
 */
export class Alarms {
  readonly #clock: Clock;
  readonly #start: StartTimer;
  readonly #moments = new Map<Sleeper, number>();
  #nextMs = Number.POSITIVE_INFINITY;
  #stop: (() => void) | null = null;

  constructor(clock: Clock, start: StartTimer = startTimer) {
    this.#clock = clock;
    this.#start = start;
  }

  /** Replaces an earlier moment of the same sleeper; Infinity takes it back. */
  set(sleeper: Sleeper, atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY) {
      this.#moments.delete(sleeper);
      return;
    }
    this.#moments.set(sleeper, atMs);
    if (atMs < this.#nextMs) this.#arm(atMs);
  }

  get size(): number {
    return this.#moments.size;
  }

  #arm(atMs: number): void {
    this.#stop?.();
    this.#nextMs = atMs;
    // Rounded up: Node cuts off fractions, and an alarm that comes early would find nothing due.
    const delayMs = Math.max(1, Math.ceil(atMs - this.#clock.now()));
    this.#stop = this.#start(Math.min(delayMs, LONGEST_TIMER_MS), () => this.ring());
  }

  /** Wakes who is due. The timer calls it; tests call it after moving their clock. */
  ring(): void {
    this.#stop?.();
    this.#stop = null;
    this.#nextMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.now();
    let earliestMs = Number.POSITIVE_INFINITY;
    const due: Sleeper[] = [];
    for (const [sleeper, atMs] of this.#moments) {
      if (atMs <= nowMs) due.push(sleeper);
      else if (atMs < earliestMs) earliestMs = atMs;
    }
    for (const sleeper of due) this.#moments.delete(sleeper);
    if (earliestMs < this.#nextMs) this.#arm(earliestMs);
    for (const sleeper of due) sleeper.onAlarm(nowMs);
  }

  close(): void {
    this.#stop?.();
    this.#stop = null;
    this.#moments.clear();
  }
}
