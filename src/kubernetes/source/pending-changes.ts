import type { KubeObject } from "../api/objects.ts";
import type { Content } from "./slim.ts";

/** A resource as it is now. */
export interface PendingResource {
  readonly key: string;
  readonly object: KubeObject;
  /** What is kept of it. */
  readonly content: Content;
}

/** Null: it is gone. */
export type PendingChange = PendingResource | { readonly key: string; readonly content: null };

/** Those that others build on come first, so that these need not be translated twice. */
const ORDER = ["Namespace", "Node", "Pod", "Service", "EndpointSlice"];

const CUSTOM = ORDER.length + 1;

/** What is still to be written: the newest state of each resource, once. */
export class PendingChanges {
  readonly #byRank: readonly Map<string, PendingChange>[] = Array.from(
    { length: CUSTOM + 1 },
    () => new Map(),
  );

  get(key: string): PendingChange | undefined {
    for (const changes of this.#byRank) {
      const found = changes.get(key);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  get size(): number {
    return this.#byRank.reduce((sum, { size }) => sum + size, 0);
  }

  put(change: PendingChange): void {
    this.delete(change.key);
    this.#byRank[rankOf(change)]?.set(change.key, change);
  }

  delete(key: string): void {
    for (const changes of this.#byRank) changes.delete(key);
  }

  /** Takes out the first ones, until they weigh so much together: an endpoint of a slice weighs 1, like everything else. */
  take(maxWeight: number): readonly PendingChange[] {
    const taken: PendingChange[] = [];
    let weight = 0;
    for (const [rank, changes] of this.#byRank.entries()) {
      for (const [key, change] of rank === CUSTOM ? inOrderOfAge(changes) : changes) {
        if (weight >= maxWeight) return taken;
        weight += weightOf(change);
        taken.push(change);
        changes.delete(key);
      }
    }
    return taken;
  }

  /** What was taken could not be written; what has come meanwhile is newer. */
  giveBack(changes: readonly PendingChange[]): void {
    for (const change of changes) if (this.get(change.key) === undefined) this.put(change);
  }
}

/** Removals before all else: what they held, others may want. */
function rankOf(change: PendingChange): number {
  if (change.content === null) return 0;
  const at = ORDER.indexOf(change.object.kind);
  return at === -1 ? CUSTOM : at + 1;
}

/**
 * Of two that want the same the first has it: at a start as in a registry that has seen them being made, so that all replicas
 * come to the same.
 */
function inOrderOfAge(changes: ReadonlyMap<string, PendingChange>): [string, PendingChange][] {
  return [...changes].sort(
    ([key, one], [otherKey, other]) =>
      compare(madeAt(one), madeAt(other)) || compare(key, otherKey),
  );
}

/** An API server writes all times alike (RFC 3339, seconds, UTC), so they sort as texts. */
function madeAt(change: PendingChange): string {
  return change.content === null ? "" : (change.object.metadata.creationTimestamp ?? "");
}

function compare(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1;
}

function weightOf({ content }: PendingChange): number {
  const endpoints = content?.["endpoints"];
  return Math.max(1, Array.isArray(endpoints) ? endpoints.length : 0);
}
