import type { RecordKind, RecordValues } from "./records.ts";

/** Reading side of the catalog, and of a transaction in the making. */
export interface RecordView {
  get<K extends RecordKind>(kind: K, key: string): RecordValues[K] | undefined;
  /** Keys in a bucket of `bucketNames`. */
  members(bucket: string): Iterable<string>;
}
