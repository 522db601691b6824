import * as z from "zod";
import type { RecordKind } from "../records.ts";
import { cut, isLongText, REQUEST_BYTES, type TextWrite } from "./commit-text.ts";
import { keysBetween, manyKeys, type Operation, oneKey, put, remove } from "./etcd-messages.ts";
import type { Layout } from "./layout.ts";

const head = z.object({ revision: z.number(), created: z.number() });
const stored = z.union([
  head.extend({ value: z.unknown().refine((value) => value !== undefined) }),
  head.extend({ pieces: z.number().int().min(1) }),
]);
export type RecordText = z.infer<typeof stored>;

/** Operations of one request; etcd takes 128 (`--max-txn-ops`). */
const MAX_OPERATIONS = 100;

export function readRecordText(text: string): RecordText {
  return stored.parse(JSON.parse(text));
}

/** What is written of one record. */
export interface RecordWrite extends TextWrite {
  readonly created: number;
  /** The record that it replaces is in several keys. */
  readonly replacesLong: boolean;
}

/** The operations of a commit that fits into one request; null where it does not. */
export function operationsOf(
  layout: Layout,
  writes: readonly RecordWrite[],
  revision: number,
): Operation[] | null {
  if (writes.length > MAX_OPERATIONS) return null;
  let bytes = 0;
  const operations: Operation[] = [];
  for (const write of writes) {
    // The log has the text a second time, in which quotation marks are escaped.
    bytes += sizeOf(write) * 2 + (write.json?.match(/["\\]/g)?.length ?? 0);
    if (bytes > REQUEST_BYTES || (write.json !== null && isLongText(write.json))) return null;
    if (write.replacesLong) operations.push(dropLong(layout, write.kind, write.key));
    operations.push(recordOperation(layout, write, revision));
  }
  return operations.length > MAX_OPERATIONS ? null : operations;
}

/** The operations of a large commit, in groups of which each fits into a request. */
export function* operationGroups(
  layout: Layout,
  writes: readonly RecordWrite[],
  revision: number,
): Iterable<Operation[]> {
  let group: Operation[] = [];
  let bytes = 0;
  for (const write of writes) {
    const { kind, key, json } = write;
    const size = sizeOf(write);
    if (group.length + 2 > MAX_OPERATIONS || bytes + size > REQUEST_BYTES) {
      yield group;
      group = [];
      bytes = 0;
    }
    // Whether the one before was long is not known to who carries over the commit of another.
    group.push(dropLong(layout, kind, key));
    if (json !== null && isLongText(json)) {
      yield group;
      const pieces = cut(json);
      for (const [index, piece] of pieces.entries()) {
        yield [put(layout.longPiece(kind, key, index), piece)];
      }
      const text = JSON.stringify({ revision, created: write.created, pieces: pieces.length });
      group = [put(layout.record(kind, key), text)];
      bytes = text.length;
      continue;
    }
    group.push(recordOperation(layout, write, revision));
    bytes += size;
  }
  if (group.length > 0) yield group;
}

export function dropCommitsBelow(layout: Layout, revision: number): Operation {
  return remove(keysBetween(layout.log(), layout.logFrom(revision)));
}

function recordOperation(layout: Layout, write: RecordWrite, revision: number): Operation {
  const { kind, key, json, created } = write;
  const name = layout.record(kind, key);
  if (json === null) return remove(oneKey(name));
  return put(name, `{"revision":${revision},"created":${created},"value":${json}}`);
}

function dropLong(layout: Layout, kind: RecordKind, key: string): Operation {
  return remove(manyKeys(layout.long(kind, key)));
}

function sizeOf({ kind, key, json }: TextWrite): number {
  return Buffer.byteLength(json ?? "") + 2 * (kind.length + Buffer.byteLength(key)) + 100;
}
