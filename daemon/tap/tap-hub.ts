import type { Clock } from "../../src/core/clock.ts";
import type { TapEvent, TapFilter, TapItem, TapLimits } from "../../src/sight/tap-event.ts";
import {
  newBudget,
  REFILLS_PER_SECOND,
  refill,
  takeSkipped,
} from "../../src/telemetry/tap/tap-budget.ts";
import type { InstalledTap } from "../../src/telemetry/tap/worker-taps.ts";
import type { ToWorker } from "../worker-messages.ts";

/** Taps of one host at once: each costs its workers time for every exchange. */
export const MAX_TAPS = 8;
const TICK_MS = 1_000 / REFILLS_PER_SECOND;
/** What was left out is told so often, and at the end. */
const TICKS_PER_TELLING = REFILLS_PER_SECOND;

/** Who looks at a tap. */
export interface TapReader {
  /** Takes what was seen. `false`: it reads too slowly, and this was dropped. */
  onItems(items: readonly TapItem[]): boolean;
  /** The tap's time is over. */
  onEnd(): void;
}

/** There are as many taps as there may be. */
export class TooManyTaps extends Error {
  constructor() {
    super(`${MAX_TAPS} taps are open on this host, which is the most: end one of them`);
    this.name = "TooManyTaps";
  }
}

interface Tap {
  readonly installed: InstalledTap;
  readonly budget: Int32Array;
  readonly reader: TapReader;
  readonly perTick: number;
  readonly endMs: number;
  /** Tokens that are not whole yet. */
  credit: number;
  skipped: number;
  ticks: number;
}

export interface TapHubDeps {
  /** Name of this host. */
  readonly host: string;
  readonly tell: (message: ToWorker) => void;
  readonly clock: Clock;
  /** Calls again and again; returns what ends that. */
  readonly every: (intervalMs: number, action: () => void) => () => void;
}

/**
 * The taps of this host. A tap is a filter in every worker; what matches comes here in batches, at most so much a second for
 * all workers together, and goes on to whoever looks. Without a tap nothing runs here.
 */
export class TapHub {
  readonly #deps: TapHubDeps;
  readonly #taps = new Map<number, Tap>();
  #lastId = 0;
  #stopTicks: (() => void) | null = null;

  constructor(deps: TapHubDeps) {
    this.#deps = deps;
  }

  /** For a worker that begins. */
  installed(): InstalledTap[] {
    return [...this.#taps.values()].map(({ installed }) => installed);
  }

  /** Opens a tap; returns what ends it. Throws {@link TooManyTaps}. */
  open(filter: TapFilter, limits: TapLimits, reader: TapReader): () => void {
    if (this.#taps.size >= MAX_TAPS) throw new TooManyTaps();
    const { clock, tell, every } = this.#deps;
    const budget = newBudget();
    const installed = { id: ++this.#lastId, filter, budget };
    const tap: Tap = {
      ...{ installed, reader, budget: new Int32Array(budget) },
      perTick: limits.perSecond / REFILLS_PER_SECOND,
      endMs: clock.now() + limits.durationMs,
      // The first event need not wait for a tick.
      ...{ credit: 1, skipped: 0, ticks: 0 },
    };
    this.#taps.set(installed.id, tap);
    fill(tap);
    this.#stopTicks ??= every(TICK_MS, () => this.#tick());
    tell({ type: "tap", tap: installed });
    return () => this.#close(tap);
  }

  /** A worker has seen something. */
  take(id: number, events: readonly TapEvent[]): void {
    const tap = this.#taps.get(id);
    if (tap === undefined) return;
    const items = events.map((event): TapItem => ({ type: "event", event }));
    if (!tap.reader.onItems(items)) tap.skipped += events.length;
  }

  /** Ends all of them: the daemon stops. */
  endAll(): void {
    for (const tap of [...this.#taps.values()]) this.#end(tap);
  }

  #tick(): void {
    const nowMs = this.#deps.clock.now();
    for (const tap of [...this.#taps.values()]) {
      fill(tap);
      tap.ticks += 1;
      if (tap.ticks % TICKS_PER_TELLING === 0) this.#tellSkipped(tap);
      if (nowMs >= tap.endMs) this.#end(tap);
    }
  }

  #tellSkipped(tap: Tap): void {
    tap.skipped += takeSkipped(tap.budget);
    if (tap.skipped === 0) return;
    const { host } = this.#deps;
    const isTaken = tap.reader.onItems([{ type: "skipped", host, events: tap.skipped }]);
    if (isTaken) tap.skipped = 0;
  }

  #end(tap: Tap): void {
    this.#tellSkipped(tap);
    this.#close(tap);
    tap.reader.onEnd();
  }

  #close(tap: Tap): void {
    const { id } = tap.installed;
    if (!this.#taps.delete(id)) return;
    this.#deps.tell({ type: "tap-end", id });
    if (this.#taps.size > 0) return;
    this.#stopTicks?.();
    this.#stopTicks = null;
  }
}

/** What is not used stays, up to what one tick gives: so there are no bursts. */
function fill(tap: Tap): void {
  tap.credit += tap.perTick;
  const tokens = Math.floor(tap.credit);
  tap.credit -= tokens;
  refill(tap.budget, tokens, Math.max(1, Math.ceil(tap.perTick)));
}
