import { performance } from "node:perf_hooks";

/** A monotonic clock in milliseconds. All threads of one process that use `processClock` agree on it. */
export interface Clock {
  now(): number;
}

/**
 * `performance.now()` counts from the start of its own thread. Shared memory holds times that several
 * threads compare, so each thread shifts its reading to the process-wide monotonic clock once.
 */
const shift = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now();

export const processClock: Clock = { now: () => performance.now() + shift };

/** Time of day in ms since the epoch, for what is compared with dates of the world: certificates, tokens. */
export const wallClock: Clock = { now: () => Date.now() };

/** A clock that moves only when told to, for tests. */
export class FakeClock implements Clock {
  #nowMs: number;

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }
}
