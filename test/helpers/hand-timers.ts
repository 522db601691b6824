import type { StartTimer } from "../../src/core/alarms.ts";
import { FakeClock } from "../../src/core/clock.ts";

/** A clock with timers that both move only when told to. */
export class HandTimers {
  readonly clock = new FakeClock(1_000_000);
  readonly #pending = new Map<object, { readonly atMs: number; readonly action: () => void }>();

  readonly start: StartTimer = (delayMs, action) => {
    const key = {};
    this.#pending.set(key, { atMs: this.clock.now() + delayMs, action });
    return () => this.#pending.delete(key);
  };

  /** How many are set. */
  get size(): number {
    return this.#pending.size;
  }

  /** How long until the first one, in ms. */
  get nextMs(): number {
    return Math.min(...[...this.#pending.values()].map(({ atMs }) => atMs)) - this.clock.now();
  }

  /** Moves the clock, and stops on the way for every timer that is due. */
  advance(ms: number): void {
    const untilMs = this.clock.now() + ms;
    for (;;) {
      const [first] = [...this.#pending].sort(([, a], [, b]) => a.atMs - b.atMs);
      if (first === undefined || first[1].atMs > untilMs) break;
      this.#pending.delete(first[0]);
      this.clock.advance(Math.max(0, first[1].atMs - this.clock.now()));
      first[1].action();
    }
    this.clock.advance(untilMs - this.clock.now());
  }
}
