import type { Catalog, CatalogChange } from "./catalog.ts";
import type { Position } from "./position.ts";
import { publish, type VersionedChange } from "./records.ts";
import type { Store } from "./store.ts";
import { Transfer } from "./transfer.ts";

/** Recent commits kept in memory, and changes in them; older deltas are read from the store. */
const RECENT_COMMITS = 512;
const RECENT_CHANGES = 20_000;
/** Snapshots of a revision this far behind are still given out, with the delta after them. */
const SNAPSHOT_LAG = 256;

/** Makes the steps that daemons need and shares them: one snapshot, one delta per starting point. */
export class Transfers {
  readonly #catalog: Catalog;
  readonly #store: Store;
  readonly #position: () => Position;
  #recent: CatalogChange[] = [];
  #recentChanges = 0;
  readonly #deltas = new Map<number, Transfer>();
  #snapshot: { readonly transfer: Transfer; users: number } | null = null;

  /** `position`: what the catalog's present state is made of. */
  constructor(catalog: Catalog, store: Store, position: () => Position = () => ({})) {
    this.#position = position;
    this.#catalog = catalog;
    this.#store = store;
    catalog.subscribe((change) => {
      this.#deltas.clear();
      this.#recent.push(change);
      this.#recentChanges += change.published.length;
      while (this.#recent.length > RECENT_COMMITS || this.#recentChanges > RECENT_CHANGES) {
        this.#recentChanges -= this.#recent.shift()?.published.length ?? 0;
      }
    });
  }

  /** The net step from `revision` to now; null where only a snapshot helps. */
  async delta(revision: number): Promise<Transfer | null> {
    const cached = this.#deltas.get(revision);
    if (cached !== undefined) return cached;
    const recent = this.#fromRecent(revision);
    if (recent !== null) {
      this.#deltas.set(revision, recent);
      return recent;
    }
    // Read before: what comes meanwhile is in the step or not, and is not claimed.
    const position = this.#position();
    const commit = await this.#store.changesSince(revision);
    if (commit === null) return null;
    const changes = commit.changes.map(publish).filter((each) => each !== null);
    return new Transfer({ from: revision, to: commit.revision, full: false }, changes, position);
  }

  /** Everything, of a revision above `after`. Shared while anybody still takes it; `release` when done. */
  acquireSnapshot(after: number): Transfer {
    const revision = this.#catalog.revision();
    const oldest = Math.max(after + 1, revision - SNAPSHOT_LAG);
    if (this.#snapshot === null || this.#snapshot.transfer.to < oldest) {
      const step = { from: 0, to: revision, full: true };
      this.#snapshot = {
        transfer: new Transfer(step, this.#catalog.published(), this.#position()),
        users: 0,
      };
    }
    this.#snapshot.users++;
    return this.#snapshot.transfer;
  }

  release(transfer: Transfer): void {
    if (this.#snapshot?.transfer !== transfer) return;
    this.#snapshot.users--;
    if (this.#snapshot.users === 0) this.#snapshot = null;
  }

  #fromRecent(revision: number): Transfer | null {
    const first = this.#recent[0];
    const to = this.#catalog.revision();
    if (first === undefined || revision < first.revision - 1 || revision > to) return null;
    const net = new Map<string, VersionedChange>();
    for (const commit of this.#recent) {
      if (commit.revision <= revision) continue;
      for (const change of commit.published) net.set(`${change.kind} ${change.key}`, change);
    }
    const step = { from: revision, to, full: false };
    return new Transfer(step, [...net.values()], this.#position());
  }
}
