import type { LoggedCommit } from "./layout.ts";

export interface LogLimits {
  /** Changed records, and bytes of text, that the log holds; what is older is dropped. */
  readonly maxLogEntries: number;
  readonly maxLogBytes: number;
}

/** Dropped at once is a tenth more than must be, so that it happens seldom. */
const KEEP = 0.9;

/** What this process knows of the log: which commits are there, and from where on it is whole. */
export class LogWindow {
  readonly #limits: LogLimits;
  #commits: LoggedCommit[];
  #floor: number;
  #changes = 0;
  #bytes = 0;

  constructor(limits: LogLimits, floor: number, commits: readonly LoggedCommit[]) {
    this.#limits = limits;
    this.#floor = floor;
    this.#commits = [...commits];
    this.#count();
  }

  floor(): number {
    return this.#floor;
  }

  /** The floor that a commit brings along: it rises where the log would become too long by it. */
  floorWith(next: LoggedCommit): number {
    const { maxLogEntries, maxLogBytes } = this.#limits;
    if (this.#changes + next.changes <= maxLogEntries && this.#bytes + next.bytes <= maxLogBytes) {
      return this.#floor;
    }
    let changes = 0;
    let bytes = 0;
    for (const commit of [next, ...this.#commits.toReversed()]) {
      changes += commit.changes;
      bytes += commit.bytes;
      if (commit.revision <= this.#floor) return this.#floor;
      if (changes > maxLogEntries * KEEP || bytes > maxLogBytes * KEEP) return commit.revision;
    }
    return this.#floor;
  }

  /**
   * Takes a commit in. Returns those that leave the log with it: not what is below the new floor, but what was below the
   * one before, so that a registry that is a little behind still finds what it lacks.
   */
  take(commit: LoggedCommit, floor: number): readonly LoggedCommit[] {
    this.#commits.push(commit);
    if (floor === this.#floor) {
      this.#changes += commit.changes;
      this.#bytes += commit.bytes;
      return [];
    }
    const before = this.#floor;
    const dropped = this.#commits.filter(({ revision }) => revision <= before);
    this.#commits = this.#commits.filter(({ revision }) => revision > before);
    this.#floor = floor;
    this.#count();
    return dropped;
  }

  #count(): void {
    const counted = this.#commits.filter(({ revision }) => revision > this.#floor);
    this.#changes = counted.reduce((sum, { changes }) => sum + changes, 0);
    this.#bytes = counted.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
