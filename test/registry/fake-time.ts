import type { Clock } from "../../src/core/clock.ts";
import type { Timers } from "../../src/registry/timers.ts";

interface Due {
  readonly atMs: number;
  readonly task: () => void;
}

/** A clock and its timers, moved by hand. */
export class FakeTime implements Clock, Timers {
  #nowMs = 0;
  readonly #due = new Set<Due>();

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const due = { atMs: this.#nowMs + delayMs, task };
    this.#due.add(due);
    return () => this.#due.delete(due);
  }

  pending(): number {
    return this.#due.size;
  }

  /** Runs what falls due on the way, in order. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#due]
        .filter((due) => due.atMs <= end)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#due.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.task();
    }
    this.#nowMs = end;
  }
}
