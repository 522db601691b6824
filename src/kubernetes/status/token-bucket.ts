import type { Clock } from "../../core/clock.ts";

/** So many at once, and so many in a second from then on. */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledMs: number;

  constructor(clock: Clock, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledMs = clock.now();
  }

  /** Takes one; 0, or how long until there is one, in ms: then none is taken. */
  take(): number {
    const nowMs = this.#clock.now();
    const gained = ((nowMs - this.#filledMs) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#filledMs = nowMs;
    // A little less than one will do: sums of fractions never quite meet.
    if (this.#tokens < 1 - 1e-6) return Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1_000);
    this.#tokens = Math.max(0, this.#tokens - 1);
    return 0;
  }
}
