/** What one kind of label set counts: how many words each has, and which labels name it. */
export interface TableShape {
  readonly name: TableName;
  readonly labels: readonly string[];
  /** 64-bit words per slot. Word 0 grows with every use: a slot whose word 0 stands still is idle. */
  readonly words: number;
}

export type TableName =
  | "pairs"
  | "flows"
  | "outcomes"
  | "destinations"
  | "endpoints"
  | "routes"
  | "istio_requests"
  | "istio_connections";

/** Label value of everything that found its table full. */
export const OTHER = "other";
/** The slot which counts what found its table full. */
export const OTHER_SLOT = 0;

const HEADER_BYTES = 64;

function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/**
 * One table of counters of one worker, in shared memory. The worker alone writes counters and
 * generations, the main thread alone writes `released`.
 *
 * ```
 * header   [0] uses folded into slot 0 (float64, worker)   [8] number of releases (int32, main)
 * generation of each slot (int32, worker): grows when the slot gets new labels
 * released generation of each slot (int32, main): equal to its generation = the worker must leave it
 * words of each slot (float64, worker)
 * ```
 *
 * Words are doubles, exact to 2^53, so no counter ever wraps. An aligned 8-byte store is one instruction
 * on every 64-bit machine that Node runs on: a reader sees the old value or the new one.
 */
export class SlotTable {
  readonly shape: TableShape;
  /** Slots, the one for `other` included. */
  readonly capacity: number;
  readonly folded: Float64Array;
  readonly releases: Int32Array;
  readonly generations: Int32Array;
  readonly released: Int32Array;
  readonly words: Float64Array;

  constructor(buffer: SharedArrayBuffer, byteOffset: number, shape: TableShape, series: number) {
    this.shape = shape;
    this.capacity = series + 1;
    this.folded = new Float64Array(buffer, byteOffset, 1);
    this.releases = new Int32Array(buffer, byteOffset + 8, 1);
    const generations = byteOffset + HEADER_BYTES;
    const released = generations + align(this.capacity * 4);
    const words = released + align(this.capacity * 4);
    this.generations = new Int32Array(buffer, generations, this.capacity);
    this.released = new Int32Array(buffer, released, this.capacity);
    this.words = new Float64Array(buffer, words, this.capacity * shape.words);
  }

  /** Bytes of a table for that many label sets and `other`; a multiple of 64. */
  static bytesFor(shape: TableShape, series: number): number {
    const capacity = series + 1;
    return HEADER_BYTES + 2 * align(capacity * 4) + align(capacity * shape.words * 8);
  }
}
