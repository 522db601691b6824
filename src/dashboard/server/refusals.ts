import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../registry/log.ts";

/** Why the dashboard refuses something. */
export type RefusalReason =
  | "foreign host"
  | "foreign origin"
  | "no csrf token"
  | "login needed"
  | "role"
  | "wrong token"
  | "unknown session"
  | "too many failures"
  | "too many connections"
  | "too many messages"
  | "slow reader";

/** Refusals that are written down in a second; the others are counted only, so that nobody fills the log. */
const LINES_PER_SECOND = 5;

/** Counts what is refused, and tells the log of it. */
export class Refusals {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #counts = new Map<RefusalReason, number>();
  #secondBeganMs = Number.NEGATIVE_INFINITY;
  #lines = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `facts` hold no token, cookie or body. */
  count(reason: RefusalReason, facts: Readonly<Record<string, unknown>>): void {
    const refused = (this.#counts.get(reason) ?? 0) + 1;
    this.#counts.set(reason, refused);
    const now = this.#clock.now();
    if (now >= this.#secondBeganMs + 1_000) {
      this.#secondBeganMs = now;
      this.#lines = 0;
    }
    if (this.#lines++ < LINES_PER_SECOND) {
      this.#log.warn("the dashboard refused a request", { reason, refused, ...facts });
    }
  }

  /** Since the start, by reason. */
  counts(): ReadonlyMap<RefusalReason, number> {
    return this.#counts;
  }
}
