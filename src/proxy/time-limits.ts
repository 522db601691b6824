import type { Sleeper } from "../core/alarms.ts";
import type { Plane } from "./plane.ts";

const NEVER = Number.POSITIVE_INFINITY;

export interface LimitHandler {
  onTryTimeout(): void;
  onRequestTimeout(): void;
  onPauseOver(): void;
}

/**
 * The limits that rules set for one request and its tries, and the pauses between them: to the millisecond, and only for
 * requests that have any.
 */
export class TimeLimits implements Sleeper {
  readonly #plane: Plane;
  readonly #handler: LimitHandler;
  #requestUntilMs = NEVER;
  #tryUntilMs = NEVER;
  #pauseUntilMs = NEVER;
  #isSet = false;

  constructor(plane: Plane, handler: LimitHandler) {
    this.#plane = plane;
    this.#handler = handler;
  }

  /** The request has so much time from now on, at most; 0: no limit. Most begin when the client has sent everything. */
  begin(limitMs: number): void {
    if (limitMs === 0) return;
    this.#requestUntilMs = Math.min(this.#requestUntilMs, this.#plane.clock.now() + limitMs);
    this.#arm();
  }

  beginTry(limitMs: number): void {
    this.#tryUntilMs = this.#plane.clock.now() + limitMs;
    this.#arm();
  }

  /** The try has its answer, or has failed. */
  endTry(): void {
    if (this.#tryUntilMs === NEVER) return;
    this.#tryUntilMs = NEVER;
    this.#arm();
  }

  pause(pauseMs: number): void {
    this.#pauseUntilMs = this.#plane.clock.now() + pauseMs;
    this.#arm();
  }

  /** What is left of the request's time, in ms; Infinity without a limit. */
  leftMs(nowMs: number): number {
    return this.#requestUntilMs - nowMs;
  }

  end(): void {
    this.#requestUntilMs = NEVER;
    this.#tryUntilMs = NEVER;
    this.#pauseUntilMs = NEVER;
    if (this.#isSet) this.#arm();
  }

  #arm(): void {
    const atMs = Math.min(this.#requestUntilMs, this.#tryUntilMs, this.#pauseUntilMs);
    this.#isSet = atMs !== NEVER;
    this.#plane.alarms.set(this, atMs);
  }

  onAlarm(nowMs: number): void {
    this.#isSet = false;
    const over = nowMs >= this.#requestUntilMs;
    const tryOver = nowMs >= this.#tryUntilMs;
    const pauseOver = nowMs >= this.#pauseUntilMs;
    if (tryOver) this.#tryUntilMs = NEVER;
    if (pauseOver) this.#pauseUntilMs = NEVER;
    if (over) this.#requestUntilMs = NEVER;
    this.#arm();
    if (over) this.#handler.onRequestTimeout();
    else if (tryOver) this.#handler.onTryTimeout();
    else if (pauseOver) this.#handler.onPauseOver();
  }
}
