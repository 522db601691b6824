import type { Change } from "../src/core/model.ts";

/** What is known of the model. */
export interface KnownModel {
  /** Keys of everything that is known, by kind. */
  known(): Iterable<readonly [Change["kind"], Iterable<string>]>;
  /** The record that a change is about, as it is now. */
  current(change: Change): unknown;
}

/** A full batch as a delta: what differs, and a removal for what it does not name. */
export function differenceOf(model: KnownModel, changes: readonly Change[]): Change[] {
  const named = new Set<string>();
  const delta: Change[] = [];
  for (const change of changes) {
    if (change.value === null) continue;
    named.add(`${change.kind} ${change.key}`);
    // Equal texts mean equal records, and cost much less than a deep comparison; a record whose fields come
    // in another order is only told again.
    if (JSON.stringify(model.current(change)) !== JSON.stringify(change.value)) delta.push(change);
  }
  const removed: Change[] = [];
  for (const [kind, keys] of model.known()) {
    for (const key of keys) {
      if (!named.has(`${kind} ${key}`)) removed.push({ kind, key, value: null });
    }
  }
  return [...removed, ...delta];
}
