/**
 * Histogram buckets. Every bucket holds the values above the edge before it, up to and including its
 * own: the meaning of Prometheus' `le`.
 *
 * Durations are counted in fine buckets, log-linear per decade like HdrHistogram's, but with decimal
 * edges, so that each coarse bound of an exposed histogram is one of them: 1.0 to 2.0 in steps of 0.1, to
 * 5.0 in steps of 0.2, to 10 in steps of 0.5, from 10 us to 1000 s. No bucket is wider than a tenth of
 * its lower edge, so its middle is within 5 % of every value in it.
 */
const DECADES = 8;
const FIRST_EDGE_US = 10;

function fineEdges(): Float64Array {
  const edges = [FIRST_EDGE_US];
  let scale = FIRST_EDGE_US;
  for (let decade = 0; decade < DECADES; decade += 1) {
    // Counted in tenths of the scale, so that every edge is an exact integer of microseconds.
    let tenths = 10;
    while (tenths < 100) {
      tenths += tenths < 20 ? 1 : tenths < 50 ? 2 : 5;
      edges.push((scale / 10) * tenths);
    }
    scale *= 10;
  }
  return Float64Array.from(edges);
}

const EDGES_US = fineEdges();
const LAST_EDGE_US = EDGES_US[EDGES_US.length - 1] ?? 0;

/** Number of fine buckets; the last one holds everything above 1000 s. */
export const FINE_BUCKETS = EDGES_US.length + 1;

/** Steps per octave of the guess table. Narrower than any bucket, so a guess is at most one too low. */
const STEP_BITS = 6;
const FIRST_EXPONENT = 3;

function guesses(): Uint16Array {
  const table = new Uint16Array((31 - FIRST_EXPONENT) << STEP_BITS);
  for (let cell = 0; cell < table.length; cell += 1) {
    const exponent = (cell >>> STEP_BITS) + FIRST_EXPONENT;
    const lowest = (1 + (cell & 63) / 64) * 2 ** exponent;
    const bucket = EDGES_US.findIndex((edge) => lowest <= edge);
    table[cell] = bucket === -1 ? EDGES_US.length : bucket;
  }
  return table;
}

const GUESSES = guesses();

/** Index of the fine bucket of a duration in ms, which is rounded to whole microseconds. */
export function fineBucket(durationMs: number): number {
  // Where the call below is not inlined, a fraction would be boxed for it; a small integer is not.
  return fineBucketOfMicros(Math.round(durationMs * 1000));
}

function fineBucketOfMicros(us: number): number {
  // Written so that NaN, too, ends in a bucket.
  if (!(us > FIRST_EDGE_US)) return 0;
  if (us > LAST_EDGE_US) return FINE_BUCKETS - 1;
  const exponent = 31 - Math.clz32(us);
  const step = exponent >= STEP_BITS ? us >>> (exponent - STEP_BITS) : us << (STEP_BITS - exponent);
  const guess = GUESSES[((exponent - FIRST_EXPONENT) << STEP_BITS) | (step & 63)] ?? 0;
  return us > (EDGES_US[guess] ?? LAST_EDGE_US) ? guess + 1 : guess;
}

/** The middle of a fine bucket in ms; for the last one, which has none, its lower edge. */
export function fineMiddleMs(bucket: number): number {
  if (bucket >= EDGES_US.length) return LAST_EDGE_US / 1000;
  const upper = EDGES_US[bucket] ?? 0;
  const lower = bucket === 0 ? 0 : (EDGES_US[bucket - 1] ?? 0);
  return (lower + upper) / 2000;
}

/**
 * The value in ms below which the given share of the counted durations lies, by nearest rank; within 5 %
 * from 10 us to 1000 s. Null when nothing was counted. `first`: the fine bucket that `counts` begins with.
 */
export function quantileMs(counts: ArrayLike<number>, share: number, first = 0): number | null {
  let total = 0;
  for (let bucket = 0; bucket < counts.length; bucket += 1) total += counts[bucket] ?? 0;
  if (total <= 0) return null;
  let left = Math.max(1, Math.ceil(total * share));
  for (let bucket = 0; bucket < counts.length; bucket += 1) {
    left -= counts[bucket] ?? 0;
    if (left <= 0) return fineMiddleMs(first + bucket);
  }
  return fineMiddleMs(FINE_BUCKETS - 1);
}

/** Bounds of an exposed histogram of durations, and which of its buckets each fine bucket belongs to. */
export interface TimeBuckets {
  /** Upper bounds in seconds, without `+Inf`. */
  readonly bounds: readonly number[];
  /** Fine bucket to bucket; `bounds.length` is `+Inf`. */
  readonly ofFine: Uint8Array;
}

function timeBuckets(bounds: readonly number[]): TimeBuckets {
  const ofFine = new Uint8Array(FINE_BUCKETS).fill(bounds.length);
  let first = 0;
  for (const [index, bound] of bounds.entries()) {
    const edge = EDGES_US.indexOf(Math.round(bound * 1e6));
    if (edge < first) throw new RangeError(`${bound} s is no edge of a fine bucket above the last`);
    ofFine.fill(index, first, edge + 1);
    first = edge + 1;
  }
  return { bounds, ofFine };
}

/** From 0.1 ms, a call within one host, to a minute. */
export const REQUEST_SECONDS = timeBuckets([
  0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60,
]);

/** Of single routes and endpoints, of which there are many: where something is slow, not how slow exactly. */
export const PART_SECONDS = timeBuckets([0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 30]);

/** Waiting for a pooled connection: nearly always nothing, at most `timeouts.poolQueueMs`. */
export const QUEUE_SECONDS = timeBuckets([
  0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 3, 10,
]);

/** The proxy's own time: tens of microseconds when all is well. */
export const PROXY_SECONDS = timeBuckets([
  0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.1, 1,
]);

/** Upper bounds of the size histograms: 64 bytes, then powers of four up to 64 MiB. */
export const SIZE_BYTES: readonly number[] = Array.from({ length: 11 }, (_, k) => 64 * 4 ** k);

const LARGEST_BOUND = 64 * 4 ** 10;

/** Index of the bucket of `SIZE_BYTES` that a size belongs to; `SIZE_BYTES.length` is `+Inf`. */
export function sizeBucket(bytes: number): number {
  if (!(bytes > 64)) return 0;
  if (bytes > LARGEST_BOUND) return SIZE_BYTES.length;
  const bits = 32 - Math.clz32(bytes - 1);
  return (bits - 5) >> 1;
}
