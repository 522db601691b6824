import type { Clock } from "../core/clock.ts";
import { COMMIT_BOUNDS_S } from "../core/commit-bounds.ts";

export interface CommitFigures {
  /** Commits by their duration, not cumulative; the last bucket has no bound. */
  readonly buckets: readonly number[];
  readonly sumMs: number;
  /** Not taken by the store, for another reason than that somebody else wrote in between. */
  readonly failed: number;
}

/** How long the store takes for a commit. */
export class CommitTimes {
  readonly #clock: Clock;
  readonly #buckets: number[] = Array.from({ length: COMMIT_BOUNDS_S.length + 1 }, () => 0);
  #sumMs = 0;
  #failed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async measure<T>(commit: () => Promise<T>): Promise<T> {
    const startMs = this.#clock.now();
    const done = await commit();
    const tookMs = this.#clock.now() - startMs;
    const found = COMMIT_BOUNDS_S.findIndex((bound) => tookMs <= bound * 1_000);
    const index = found === -1 ? COMMIT_BOUNDS_S.length : found;
    this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
    this.#sumMs += tookMs;
    return done;
  }

  failed(): void {
    this.#failed++;
  }

  figures(): CommitFigures {
    return { buckets: [...this.#buckets], sumMs: this.#sumMs, failed: this.#failed };
  }
}
