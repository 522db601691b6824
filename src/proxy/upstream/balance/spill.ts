import type { EndpointState } from "./endpoint-state.ts";

/** A side is busy with this many more requests waiting per endpoint than the next side has, which counts as one more. */
export const BUSY_FACTOR = 2;
/** And only where latency has grown to this many times what it is without a queue, and by this much. */
const SLOWER_FACTOR = 2;
const SLOWER_MS = 1;
/** Requests in flight per endpoint from which a few are sent to a side that was never measured, to compare. */
const EXPLORE_DEPTH = 4;
const EXPLORE_SHARE = 0.02;
/** Of what is left, or of what there is, per look. */
const STEP = 0.2;
/** Some requests always stay, or nobody would see the near side recover. */
const MAX_SHARE = 0.95;
const MIN_SHARE = 0.005;
/** Weight of one look in the mean latency of a side. */
const MEAN_SHARE = 0.3;
/** Growth per look of what is taken for the latency without a queue: it doubles in about two minutes. */
const BASE_GROWTH = 1.0006;

/**
 * How busy the endpoints of one locality are, and which share of their requests therefore goes to the next one.
 *
 * Requests in flight alone do not tell: a slow service has many without a queue. Of those in flight the part
 * `1 - latency without a queue / latency now` waits (Little's law, as in TCP Vegas and Gradient2), the former being the
 * lowest mean that was seen, or the next side's where that is lower. While the waiting per endpoint are more than
 * `BUSY_FACTOR` times those of the next side plus one, the share grows at every look; below half of it, it shrinks.
 */
export class SideLoad {
  /** Share of the requests that goes on to the next side, 0 to 1. */
  spill = 0;
  /** Smoothed mean latency; 0: never measured. */
  #meanMs = 0;
  #baseMs = 0;
  #depth = 0;

  /** One look at the side's endpoints, of which `healthy` take requests. */
  observe(state: EndpointState, slots: Int32Array, healthy: number): void {
    let inFlight = 0;
    let measured = 0;
    let sumMs = 0;
    for (const slot of slots) {
      inFlight += state.inFlight(slot);
      const meanMs = state.meanLatencyMs(slot);
      if (meanMs === 0) continue;
      measured++;
      sumMs += meanMs;
    }
    this.#depth = healthy === 0 ? 0 : inFlight / healthy;
    if (measured === 0) return;
    const nowMs = sumMs / measured;
    this.#meanMs += (nowMs - this.#meanMs) * (this.#meanMs === 0 ? 1 : MEAN_SHARE);
    const grownMs = this.#baseMs * BASE_GROWTH;
    this.#baseMs = this.#baseMs === 0 ? this.#meanMs : Math.min(grownMs, this.#meanMs);
  }

  /** After `observe` of both sides: sets the share. `next` null: there is no other side. */
  settle(next: SideLoad | null): void {
    if (next === null) {
      this.spill = 0;
      return;
    }
    const allowed = BUSY_FACTOR * (next.#waiting(next.#baseMs) + 1);
    const otherMs = next.#meanMs;
    const unloadedMs = otherMs === 0 ? this.#baseMs : Math.min(this.#baseMs, otherMs);
    const waiting = this.#waiting(unloadedMs);
    if (waiting > allowed) this.spill += (MAX_SHARE - this.spill) * STEP;
    else if (waiting < allowed / 2) this.spill -= this.spill * STEP;
    if (this.spill < MIN_SHARE) this.spill = 0;
    const isUnknown = otherMs === 0 && this.#depth > EXPLORE_DEPTH;
    if (isUnknown) this.spill = Math.max(this.spill, EXPLORE_SHARE);
  }

  /** Requests per endpoint that wait for their turn. */
  #waiting(unloadedMs: number): number {
    const meanMs = this.#meanMs;
    if (meanMs < unloadedMs * SLOWER_FACTOR || meanMs < unloadedMs + SLOWER_MS) return 0;
    return this.#depth * (1 - unloadedMs / meanMs);
  }
}
