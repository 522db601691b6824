import type { StoredRecord, Tombstone, Write } from "./records.ts";

/** Everything that one revision changed, or the net change over several. */
export interface Commit {
  readonly revision: number;
  readonly changes: readonly (StoredRecord | Tombstone)[];
}

/** A write was planned on a revision that is no longer the newest: plan again. */
export class StaleRevisionError extends Error {
  constructor(expected: number, actual: number) {
    super(`planned on revision ${expected}, the store is at ${actual}`);
    this.name = "StaleRevisionError";
  }
}

/**
 * Where the registry keeps its records: SQLite for one registry, etcd for several. `test/registry/store-conformance.ts`
 * holds every implementation to this contract.
 *
 * - Revisions rise with every commit and never fall, whatever is deleted; the first is 1.
 * - `epoch` names the history: made once per store, so that a revision of another store is never taken
 *   for one of this.
 */
export interface Store {
  readonly epoch: string;
  /** The newest revision that this process has seen. */
  revision(): number;
  /** All records, in batches that let other work in between. */
  load(): AsyncIterable<readonly StoredRecord[]>;
  /**
   * Writes all or nothing as one revision. Resolves when the writes are durable and this process's
   * subscribers were told. Rejects with `StaleRevisionError` unless `expected` is the newest revision.
   */
  commit(writes: readonly Write[], expected: number): Promise<Commit>;
  /** The net change from after `revision` to now; null where the log no longer reaches back that far. */
  changesSince(revision: number): Promise<Commit | null>;
  /** Told of every commit, once, in order, whichever process made it. The result ends the subscription. */
  subscribe(listener: (commit: Commit) => void): () => void;
  /**
   * Of a store that others write too: resolves when this process's subscribers were told every commit that was
   * acknowledged, by whomever, before the call. Rejects where that cannot be found out. Absent: nobody else writes.
   */
  refresh?(): Promise<void>;
  close(): Promise<void>;
}
