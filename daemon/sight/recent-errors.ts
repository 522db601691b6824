import type { ErrorReport } from "../../src/sight/host-report.ts";

/** What a report names, at most. */
const KEPT = 100;

/** The newest failures of this host. */
export class RecentErrors {
  readonly #ring: ErrorReport[] = [];
  #next = 0;

  add(error: ErrorReport): void {
    this.#ring[this.#next] = error;
    this.#next = (this.#next + 1) % KEPT;
  }

  /** Newest first. */
  list(): ErrorReport[] {
    return [...this.#ring].sort((a, b) => b.atMs - a.atMs);
  }
}
