import { Buckets, bucketsOf } from "./buckets.ts";
import type { RecordView } from "./record-view.ts";
import type { RecordKind, RecordValues, Write } from "./records.ts";

/**
 * A transaction in the making: reads see what it has written so far on top of what lies below. Drafts
 * stack, so that a failed part of a batch is dropped without a trace.
 */
export class Draft implements RecordView {
  readonly #below: RecordView;
  readonly #writes = new Map<string, Write>();
  readonly #added = new Buckets();
  readonly #removed = new Set<string>();

  constructor(below: RecordView) {
    this.#below = below;
  }

  get<K extends RecordKind>(kind: K, key: string): RecordValues[K] | undefined {
    const write = this.#writes.get(`${kind} ${key}`);
    if (write === undefined) return this.#below.get(kind, key);
    return (write.value ?? undefined) as RecordValues[K] | undefined;
  }

  *members(bucket: string): Iterable<string> {
    yield* this.#added.members(bucket);
    for (const member of this.#below.members(bucket)) {
      if (!this.#removed.has(`${bucket} ${member}`)) yield member;
    }
  }

  put<K extends RecordKind>(kind: K, key: string, value: RecordValues[K]): void {
    this.#unlink(kind, key);
    this.#writes.set(`${kind} ${key}`, { kind, key, value } as Write);
    for (const bucket of bucketsOf(kind, value)) this.#added.add(bucket, key);
  }

  remove(kind: RecordKind, key: string): void {
    if (this.get(kind, key) === undefined) return;
    this.#unlink(kind, key);
    this.#writes.set(`${kind} ${key}`, { kind, key, value: null });
  }

  /** Takes over what a draft on top of this one has written. */
  absorb(above: Draft): void {
    for (const write of above.writes()) {
      if (write.value === null) this.remove(write.kind, write.key);
      else this.put(write.kind, write.key, write.value);
    }
  }

  writes(): Write[] {
    return [...this.#writes.values()];
  }

  /** Takes the present record out of its buckets: out of ours, and hidden from below for good. */
  #unlink<K extends RecordKind>(kind: K, key: string): void {
    const present = this.get(kind, key);
    if (present === undefined) return;
    for (const bucket of bucketsOf(kind, present)) {
      this.#added.delete(bucket, key);
      this.#removed.add(`${bucket} ${key}`);
    }
  }
}
