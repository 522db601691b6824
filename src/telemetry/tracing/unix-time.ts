import type { Clock } from "../../core/clock.ts";

/** Farther than this the two clocks are not let drift apart: about what two hosts with NTP differ by. */
const MAX_DRIFT_MS = 2;

/**
 * Times of the process' clock as times of day. The distance between the two is kept while it holds, as the time of day in whole
 * ms would make spans overlap their parents.
 */
export class UnixTime {
  readonly #clock: Clock;
  readonly #wall: () => number;
  #distanceMs: number;

  constructor(clock: Clock, wall: () => number = Date.now) {
    this.#clock = clock;
    this.#wall = wall;
    this.#distanceMs = wall() - clock.now();
  }

  /** Ms since 1970. */
  of(clockMs: number): number {
    const distanceMs = this.#wall() - this.#clock.now();
    if (Math.abs(distanceMs - this.#distanceMs) > MAX_DRIFT_MS) this.#distanceMs = distanceMs;
    return clockMs + this.#distanceMs;
  }
}
