import type { RequestFacts } from "../../core/facts.ts";
import type { TapEvent, TapFilter } from "../../sight/tap-event.ts";
import { makeEvent } from "./make-event.ts";
import { type TapBudget, takeToken } from "./tap-budget.ts";
import { compileFilter } from "./tap-filter.ts";

/** A tap as the main thread installs it in every worker. */
export interface InstalledTap {
  readonly id: number;
  readonly filter: TapFilter;
  readonly budget: TapBudget;
}

interface Tap {
  readonly id: number;
  readonly matches: (facts: Readonly<RequestFacts>) => boolean;
  readonly headers: boolean;
  readonly query: boolean;
  readonly budget: Int32Array;
  events: TapEvent[];
}

export interface WorkerTapsOptions {
  /** Name of this host. */
  readonly host: string;
  /** Takes what one tap has seen of late. */
  readonly post: (id: number, events: readonly TapEvent[]) => void;
  /** The time of day in ms since 1970. */
  readonly wall?: () => number;
}

/** A batch of this size goes at once, a smaller one after the pause. */
const BATCH = 64;
const PAUSE_MS = 50;

/** The taps of one worker: shows each exchange to them, and gives the main thread in batches what it may have. */
export class WorkerTaps {
  readonly #options: WorkerTapsOptions;
  readonly #wall: () => number;
  #taps: readonly Tap[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(options: WorkerTapsOptions) {
    this.#options = options;
    this.#wall = options.wall ?? Date.now;
  }

  get isEmpty(): boolean {
    return this.#taps.length === 0;
  }

  /** Does one of them show headers? */
  get needsDetails(): boolean {
    return this.#taps.some(({ headers }) => headers);
  }

  add({ id, filter, budget }: InstalledTap): void {
    const { headers = false, query = false } = filter;
    const tap: Tap = {
      ...{ id, headers, query, events: [] },
      matches: compileFilter(filter),
      budget: new Int32Array(budget),
    };
    this.#taps = [...this.#taps.filter((one) => one.id !== id), tap];
  }

  remove(id: number): void {
    this.#taps = this.#taps.filter((tap) => tap.id !== id);
  }

  /** The end of an exchange. */
  see(facts: Readonly<RequestFacts>): void {
    for (const tap of this.#taps) {
      if (!tap.matches(facts) || !takeToken(tap.budget)) continue;
      tap.events.push(makeEvent(facts, { ...tap, host: this.#options.host }, this.#wall()));
      if (tap.events.length >= BATCH) this.#post(tap);
      else this.#timer ??= setTimeout(() => this.#flush(), PAUSE_MS).unref();
    }
  }

  #flush(): void {
    this.#timer = null;
    for (const tap of this.#taps) if (tap.events.length > 0) this.#post(tap);
  }

  #post(tap: Tap): void {
    const { events } = tap;
    tap.events = [];
    this.#options.post(tap.id, events);
  }
}
