import { canonicalAddress } from "../../core/address.ts";
import { type DataUpdate, type DataWorkload, isSameWorkload } from "../../core/snapshot.ts";

/** What an update means for connections that are open. */
export interface WorkloadChange {
  /** Keys of workloads that are gone, or are not who they were. */
  readonly gone: readonly string[];
  /** Has an address another owner, with another identity? */
  readonly moved: boolean;
}

const NO_CHANGE: WorkloadChange = { gone: [], moved: false };

/**
 * Local workloads by address. On one host the kernel attests the source address of a container, so the
 * address is the identity. An address that moves to another workload changes identity with the update.
 */
export class WorkloadTable {
  readonly #byKey = new Map<string, DataWorkload>();
  readonly #byAddress = new Map<string, DataWorkload>();

  apply(update: DataUpdate): WorkloadChange {
    const { full, workloads, removedWorkloads } = update;
    if (!full && workloads.length + removedWorkloads.length === 0) return NO_CHANGE;
    const before = new Map(this.#byKey);
    const owners = new Map(this.#byAddress);
    this.#take(update);
    const gone: string[] = [];
    for (const [key, workload] of before) {
      const now = this.#byKey.get(key);
      if (now === undefined || !isSameWorkload(now, workload)) gone.push(key);
    }
    const moved = [...owners].some(([address, owner]) => {
      const now = this.#byAddress.get(address);
      return now !== undefined && !isSameWorkload(now, owner);
    });
    return { gone, moved };
  }

  #take(update: DataUpdate): void {
    if (update.full) {
      this.#byKey.clear();
      this.#byAddress.clear();
    }
    for (const key of update.removedWorkloads) this.#forget(key);
    for (const workload of update.workloads) this.#forget(workload.key);
    for (const workload of update.workloads) {
      this.#byKey.set(workload.key, workload);
      for (const address of workload.addresses) {
        this.#byAddress.set(canonicalAddress(address), workload);
      }
    }
  }

  #forget(key: string): void {
    const old = this.#byKey.get(key);
    if (old === undefined) return;
    this.#byKey.delete(key);
    for (const address of old.addresses) {
      const place = canonicalAddress(address);
      if (this.#byAddress.get(place) === old) this.#byAddress.delete(place);
    }
  }

  /** The workload with this (canonical) address, or null: the host itself, or a stranger. */
  at(address: string): DataWorkload | null {
    return this.#byAddress.get(address) ?? null;
  }
}
