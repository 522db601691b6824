import type { Clock } from "../core/clock.ts";
import { FINE_BUCKETS } from "./buckets.ts";
import { DESTINATION, ENDPOINT, FLOW, RETRY_REASONS, ROUTE } from "./series.ts";
import type { SeriesGroup, SeriesReader } from "./series-reader.ts";

/** Fine buckets modulo 2^32, from the first that is not empty to the last: most durations lie close together. */
interface Fine {
  readonly first: number;
  readonly counts: Uint32Array;
}

/** Counts of one label set at one time. */
interface Mark {
  readonly count: number;
  readonly failures: number;
  readonly bytes: number;
  readonly fine: Fine | null;
  readonly retries: number;
}

/** A label set that was retired and comes back is another group, and counts from zero. */
type Marks = ReadonlyMap<SeriesGroup, Mark>;

interface Reading {
  readonly atMs: number;
  readonly marks: Marks;
}

/** Words of a sampled table: null where it has none. Word 0 is its count. */
interface Places {
  readonly failures: number | null;
  /** Two words that are added up. */
  readonly bytes: readonly [number, number] | null;
  readonly fine: number | null;
  /** Words that are added up. */
  readonly retries?: readonly number[];
}

const RETRIES = RETRY_REASONS.map((_, index) => DESTINATION.retries + index);

const SAMPLED = {
  outcomes: { failures: null, bytes: null, fine: null },
  destinations: { failures: null, bytes: null, fine: null, retries: RETRIES },
  flows: { failures: null, bytes: [FLOW.requestBytes, FLOW.responseBytes], fine: FLOW.fine },
  endpoints: {
    failures: ENDPOINT.failures,
    bytes: [ENDPOINT.requestBytes, ENDPOINT.responseBytes],
    fine: ENDPOINT.fine,
  },
  routes: {
    failures: ROUTE.failures,
    bytes: [ROUTE.requestBytes, ROUTE.responseBytes],
    fine: ROUTE.fine,
  },
} as const satisfies Readonly<Record<string, Places>>;

export type SampledTable = keyof typeof SAMPLED;
const TABLES = Object.keys(SAMPLED) as readonly SampledTable[];

export interface RateSamplerOptions {
  readonly series: SeriesReader;
  readonly clock: Clock;
  /** Rates and percentiles are over this span, plus at most one step. */
  readonly windowMs?: number;
}

/**
 * Remembers earlier readings of the counters, so that rates and percentiles can be given for the last
 * seconds. Call `tick` five times in each window. A label set that did not change shares its mark with the
 * reading before, and of the buckets only the used span is kept: with thousands of services in use, what is
 * allocated here would otherwise cost more than their requests.
 */
export class RateSampler {
  readonly #series: SeriesReader;
  readonly #clock: Clock;
  readonly #windowMs: number;
  #readings: Reading[];

  constructor({ series, clock, windowMs = 10_000 }: RateSamplerOptions) {
    this.#series = series;
    this.#clock = clock;
    this.#windowMs = windowMs;
    this.#readings = [{ atMs: clock.now(), marks: new Map() }];
  }

  /** Takes a reading and forgets those before the window. */
  tick(): void {
    const atMs = this.#clock.now();
    const before = this.#readings.at(-1)?.marks;
    const marks = new Map<SeriesGroup, Mark>();
    for (const table of TABLES) {
      for (const group of this.#series.groups(table)) {
        const last = before?.get(group);
        marks.set(group, last?.count === group.sum(0) ? last : markOf(group, SAMPLED[table]));
      }
    }
    this.#readings.push({ atMs, marks });
    const start = this.#indexAt(atMs);
    if (start > 0) this.#readings = this.#readings.slice(start);
  }

  /** The counters' growth over the window that ends now. */
  window(): RateWindow {
    const nowMs = this.#clock.now();
    const reading = this.#readings[this.#indexAt(nowMs)];
    return new RateWindow(reading?.marks ?? new Map(), nowMs - (reading?.atMs ?? nowMs));
  }

  /** The last reading that is at least a window old, else the first. */
  #indexAt(nowMs: number): number {
    return Math.max(
      0,
      this.#readings.findLastIndex(({ atMs }) => nowMs - atMs >= this.#windowMs),
    );
  }
}

/** What grew since one earlier reading. */
export class RateWindow {
  readonly lengthMs: number;
  readonly #marks: Marks;

  constructor(marks: Marks, lengthMs: number) {
    this.#marks = marks;
    this.lengthMs = lengthMs;
  }

  /** Uses of the label set within the window. */
  count(group: SeriesGroup): number {
    return group.sum(0) - this.#before(group).count;
  }

  /** Failures within the window; of flows their outcomes tell. */
  failures(table: "endpoints" | "routes", group: SeriesGroup): number {
    return group.sum(SAMPLED[table].failures) - this.#before(group).failures;
  }

  /** Retries within the window, of a label set of `destinations`. */
  retries(group: SeriesGroup): number {
    return sumOf(group, RETRIES) - this.#before(group).retries;
  }

  /** Bytes within the window, both ways. */
  bytes(table: "flows" | "endpoints" | "routes", group: SeriesGroup): number {
    return bytesOf(group, SAMPLED[table].bytes) - this.#before(group).bytes;
  }

  /** Adds the window's fine buckets of durations to `into`. */
  addFine(table: "flows" | "endpoints" | "routes", group: SeriesGroup, into: Float64Array): void {
    const before = this.#before(group).fine;
    const now = fineOf(group, SAMPLED[table].fine);
    if (now === null) return;
    for (const [at, count] of now.counts.entries()) {
      const bucket = now.first + at;
      const known = before?.counts[bucket - before.first] ?? 0;
      // The difference is right even where the count has passed 2^32 in between.
      into[bucket] = (into[bucket] ?? 0) + ((count - known) >>> 0);
    }
  }

  perSecond(count: number): number {
    return this.lengthMs > 0 ? (count * 1000) / this.lengthMs : 0;
  }

  /** A label set that was retired and came back counts from zero. */
  #before(group: SeriesGroup): Mark {
    const mark = this.#marks.get(group);
    return mark === undefined || mark.count > group.sum(0) ? NOTHING : mark;
  }
}

const NOTHING: Mark = { count: 0, failures: 0, bytes: 0, fine: null, retries: 0 };

function markOf(group: SeriesGroup, { failures, bytes, fine, retries = [] }: Places): Mark {
  return {
    count: group.sum(0),
    failures: failures === null ? 0 : group.sum(failures),
    bytes: bytesOf(group, bytes),
    fine: fineOf(group, fine),
    retries: sumOf(group, retries),
  };
}

function sumOf(group: SeriesGroup, words: readonly number[]): number {
  return words.reduce((sum, word) => sum + group.sum(word), 0);
}

function bytesOf(group: SeriesGroup, places: Places["bytes"]): number {
  return places === null ? 0 : group.sum(places[0]) + group.sum(places[1]);
}

/** Filled and read within one call of `fineOf`. */
const sums = new Float64Array(FINE_BUCKETS);

/** Null where the label set has no durations, or had none yet. */
function fineOf(group: SeriesGroup, firstWord: number | null): Fine | null {
  if (firstWord === null) return null;
  sums.fill(0);
  group.addTo(sums, firstWord, FINE_BUCKETS);
  let first = 0;
  while (first < FINE_BUCKETS && sums[first] === 0) first += 1;
  if (first === FINE_BUCKETS) return null;
  let behind = FINE_BUCKETS;
  while (sums[behind - 1] === 0) behind -= 1;
  return { first, counts: Uint32Array.from(sums.subarray(first, behind)) };
}
