import type { Clock } from "../core/clock.ts";
import { FINE_BUCKETS } from "./buckets.ts";
import { ENDPOINT, FLOW } from "./series.ts";
import type { SeriesGroup, SeriesReader } from "./series-reader.ts";

/** Counts of one label set at one time; `fine` holds the fine buckets modulo 2^32. */
interface Mark {
  readonly count: number;
  readonly fine: Uint32Array | null;
}

interface Reading {
  readonly atMs: number;
  readonly marks: ReadonlyMap<string, Mark>;
}

/** Where each sampled table keeps its fine buckets. */
const SAMPLED = [
  { table: "outcomes", fine: null },
  { table: "flows", fine: FLOW.fine },
  { table: "endpoints", fine: ENDPOINT.fine },
] as const;

export type SampledTable = (typeof SAMPLED)[number]["table"];

export interface RateSamplerOptions {
  readonly series: SeriesReader;
  readonly clock: Clock;
  /** Rates and percentiles are over this span, plus at most one step. */
  readonly windowMs?: number;
}

/**
 * Remembers earlier readings of the counters, so that rates and percentiles can be given for the last
 * seconds. Call `tick` five times in each window. A label set that did not change shares its mark with the
 * reading before, so memory is a few KB per label set in use.
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
    const marks = new Map<string, Mark>();
    for (const { table, fine } of SAMPLED) {
      for (const group of this.#series.groups(table)) {
        const key = markKey(table, group);
        const count = group.sum(0);
        const last = before?.get(key);
        marks.set(key, last?.count === count ? last : { count, fine: fineOf(group, fine) });
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
  readonly #marks: ReadonlyMap<string, Mark>;

  constructor(marks: ReadonlyMap<string, Mark>, lengthMs: number) {
    this.#marks = marks;
    this.lengthMs = lengthMs;
  }

  /** Uses of the label set within the window. */
  count(table: SampledTable, group: SeriesGroup): number {
    return group.sum(0) - this.#before(table, group).count;
  }

  /** Adds the window's fine buckets of durations to `into`. */
  addFine(table: "flows" | "endpoints", group: SeriesGroup, into: Float64Array): void {
    const first = table === "flows" ? FLOW.fine : ENDPOINT.fine;
    const before = this.#before(table, group).fine;
    const now = fineOf(group, first);
    if (now === null) return;
    for (let bucket = 0; bucket < FINE_BUCKETS; bucket += 1) {
      // The difference is right even where the count has passed 2^32 in between.
      const grown = ((now[bucket] ?? 0) - (before?.[bucket] ?? 0)) >>> 0;
      if (grown > 0) into[bucket] = (into[bucket] ?? 0) + grown;
    }
  }

  perSecond(count: number): number {
    return this.lengthMs > 0 ? (count * 1000) / this.lengthMs : 0;
  }

  /** A label set that was retired and came back counts from zero. */
  #before(table: SampledTable, group: SeriesGroup): Mark {
    const mark = this.#marks.get(markKey(table, group));
    return mark === undefined || mark.count > group.sum(0) ? NOTHING : mark;
  }
}

const NOTHING: Mark = { count: 0, fine: null };

function markKey(table: SampledTable, group: SeriesGroup): string {
  return `${table}\0${group.key}`;
}

function fineOf(group: SeriesGroup, first: number | null): Uint32Array | null {
  if (first === null) return null;
  const sums = new Float64Array(FINE_BUCKETS);
  group.addTo(sums, first, FINE_BUCKETS);
  return Uint32Array.from(sums);
}
