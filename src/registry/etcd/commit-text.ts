import * as z from "zod";
import { decodeRecord, recordKind } from "../record-schema.ts";
import type { StoredRecord, Tombstone, Write } from "../records.ts";

/** A request may have 1.5 MiB (etcd's default `--max-request-bytes`), keys and everything else included. */
export const REQUEST_BYTES = 1_048_576;
/** A text longer than this is kept in several keys. */
export const PIECE_BYTES = 786_432;

const textSchema = z.object({
  /** Made at random for each commit: by it a writer finds out whether its own was the one that was taken. */
  tx: z.string(),
  floor: z.number(),
  writes: z.array(z.object({ kind: recordKind, key: z.string(), json: z.string().nullable() })),
});
const headSchema = textSchema.pick({ tx: true, floor: true });

/** One write, its value as JSON; null removes. */
export type TextWrite = z.infer<typeof textSchema>["writes"][number];
export type CommitHead = z.infer<typeof headSchema>;
export interface CommitText extends CommitHead {
  readonly writes: readonly TextWrite[];
}

/** Throws where a value is not of its kind: such a commit must never be written. */
export function toTextWrites(writes: readonly Write[]): TextWrite[] {
  return writes.map(({ kind, key, value }) => {
    if (value === null) return { kind, key, json: null };
    const json = JSON.stringify(value);
    decodeRecord({ kind, key, revision: 0, created: 0, json });
    return { kind, key, json };
  });
}

export function readCommit(text: string): CommitText {
  return textSchema.parse(JSON.parse(text));
}

/** Of a commit that has its writes in parts. */
export function readCommitHead(text: string): CommitHead {
  return headSchema.parse(JSON.parse(text));
}

export function readWrites(text: string): TextWrite[] {
  return textSchema.shape.writes.parse(JSON.parse(text));
}

export function toChange(
  { kind, key, json }: TextWrite,
  revision: number,
  created: number,
): StoredRecord | Tombstone {
  if (json === null) return { kind, key, revision, value: null };
  return decodeRecord({ kind, key, revision, created, json });
}

/** Does its text need several keys? */
export function isLongText(json: string): boolean {
  return Buffer.byteLength(json) > PIECE_BYTES;
}

/** Pieces of at most `PIECE_BYTES`, cut between characters. */
export function cut(text: string): string[] {
  const pieces: string[] = [];
  // A UTF-16 unit has at most three bytes of UTF-8.
  const units = Math.floor(PIECE_BYTES / 3);
  let start = 0;
  while (start < text.length) {
    let end = Math.min(start + units, text.length);
    const last = text.charCodeAt(end - 1);
    // The first half of a pair stays with the second.
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--;
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}
