import { FINE_BUCKETS } from "./buckets.ts";
import { HTTP, isFailure, PROTOCOLS } from "./outcome.ts";
import type { RateWindow } from "./rate-sampler.ts";
import { DESTINATION, FLOW, OUTCOME, PAIR, RETRY_REASONS } from "./series.ts";
import type { SeriesGroup, SeriesReader } from "./series-reader.ts";

/** The counters of one source or one destination, added up. */
export interface Tally {
  /** Since the start. */
  requests: number;
  requestBytes: number;
  responseBytes: number;
  retries: number;
  ejections: number;
  readonly errors: Map<string, number>;
  /** Within the window. */
  recent: number;
  recentFailures: number;
  /** Durations of HTTP requests within the window, in fine buckets. */
  readonly fine: Float64Array;
  /** Now. */
  inFlight: number;
}

/** Label values of `destination` that name no service. */
const NO_SERVICE: ReadonlySet<string> = new Set(["passthrough", "none"]);

/** Adds the label sets up by source and by destination, in one pass over each table. */
export class StatTallies {
  readonly #window: RateWindow;
  readonly #sources = new Map<string, Tally>();
  readonly #destinations = new Map<string, Tally>();

  constructor(series: SeriesReader, window: RateWindow) {
    this.#window = window;
    for (const group of series.groups("outcomes")) this.#addOutcome(group);
    for (const group of series.groups("flows")) this.#addFlow(group);
    for (const group of series.groups("pairs")) {
      for (const tally of this.#both(group)) tally.inFlight += group.sum(PAIR.inFlight);
    }
    for (const group of series.groups("destinations")) this.#addDestination(group);
  }

  /** Zeroes where nothing was counted. */
  source(key: string): Tally {
    return this.#sources.get(key) ?? emptyTally();
  }

  /** Zeroes where nothing was counted. */
  destination(key: string): Tally {
    return this.#destinations.get(key) ?? emptyTally();
  }

  isActive(destination: string): boolean {
    return this.#destinations.has(destination);
  }

  sources(): string[] {
    return [...this.#sources.keys()].sort();
  }

  /** Destinations that are, or were, services. */
  services(): string[] {
    return [...this.#destinations.keys()].filter((key) => !NO_SERVICE.has(key)).sort();
  }

  perSecond(count: number): number {
    return this.#window.perSecond(count);
  }

  #addOutcome(group: SeriesGroup): void {
    const [, , code, error = ""] = group.labels;
    const count = group.sum(OUTCOME.count);
    const recent = this.#window.count(group);
    for (const tally of this.#both(group)) {
      tally.requests += count;
      tally.recent += recent;
      if (isFailure(code, error)) tally.recentFailures += recent;
      if (error !== "") tally.errors.set(error, (tally.errors.get(error) ?? 0) + count);
    }
  }

  #addFlow(group: SeriesGroup): void {
    const protocol = group.labels[3];
    for (const tally of this.#both(group)) {
      tally.requestBytes += group.sum(FLOW.requestBytes);
      tally.responseBytes += group.sum(FLOW.responseBytes);
      if (protocol === PROTOCOLS[HTTP]) this.#window.addFine("flows", group, tally.fine);
    }
  }

  #addDestination(group: SeriesGroup): void {
    const tally = tallyOf(this.#destinations, group.labels[0]);
    tally.ejections += group.sum(DESTINATION.ejections);
    for (const index of RETRY_REASONS.keys()) {
      tally.retries += group.sum(DESTINATION.retries + index);
    }
  }

  /** The tallies of the label set's source and destination. */
  #both({ labels: [source, destination] }: SeriesGroup): [Tally, Tally] {
    return [tallyOf(this.#sources, source), tallyOf(this.#destinations, destination)];
  }
}

function tallyOf(tallies: Map<string, Tally>, key = ""): Tally {
  const known = tallies.get(key);
  if (known !== undefined) return known;
  const tally = emptyTally();
  tallies.set(key, tally);
  return tally;
}

function emptyTally(): Tally {
  return {
    requests: 0,
    requestBytes: 0,
    responseBytes: 0,
    retries: 0,
    ejections: 0,
    errors: new Map(),
    recent: 0,
    recentFailures: 0,
    fine: new Float64Array(FINE_BUCKETS),
    inFlight: 0,
  };
}
