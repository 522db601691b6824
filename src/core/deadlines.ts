import type { Clock } from "./clock.ts";

/** Something with one time limit at a time. `deadlineMs` is Infinity while nothing is waited for. */
export interface Expirable {
  deadlineMs: number;
  /** Called once the limit has passed; it must set a new limit, or `deadlineMs` stays Infinity. */
  onDeadline(nowMs: number): void;
}

/**
 * One coarse timer for all connections of a thread. Arming a limit is one assignment to `deadlineMs`; a
 * tick looks at every live connection (a few nanoseconds each), which is far cheaper than a timer per
 * request. Limits are met to within one tick, so use it for limits of a second or so and longer.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #items = new Set<Expirable>();
  readonly #timer: NodeJS.Timeout;

  constructor(clock: Clock, tickMs = 100) {
    this.#clock = clock;
    this.#timer = setInterval(() => this.tick(), tickMs);
    this.#timer.unref();
  }

  add(item: Expirable): void {
    this.#items.add(item);
  }

  delete(item: Expirable): void {
    this.#items.delete(item);
  }

  get size(): number {
    return this.#items.size;
  }

  /** Expires what is due. The interval calls it; tests call it after moving their clock. */
  tick(): void {
    const nowMs = this.#clock.now();
    for (const item of this.#items) {
      if (item.deadlineMs > nowMs) continue;
      item.deadlineMs = Number.POSITIVE_INFINITY;
      item.onDeadline(nowMs);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#items.clear();
  }
}

/** The moment `limitMs` from now; a limit of 0 means none. */
export function deadlineAfter(nowMs: number, limitMs: number): number {
  return limitMs === 0 ? Number.POSITIVE_INFINITY : nowMs + limitMs;
}
