import type { EndpointState } from "./endpoint-state.ts";
import type { LoadMetric } from "./p2c.ts";

/**
 * Cost in ms of an endpoint that has requests in flight and never answered one. Envoy's `penalty_value`;
 * Finagle has the like. Until the first answer it gets one request and not a flood.
 */
const UNKNOWN_PENALTY_MS = 1_000_000;

/**
 * Latency times queue: `estimate * (in flight + 1)`, the expected wait for a request that joins the queue.
 * Finagle's and linkerd's `PeakEwma`; the estimate is `EndpointState.latencyAt`. A weight scales the
 * queue that an endpoint may have, not its latency.
 */
export class PeakEwma implements LoadMetric {
  readonly #state: EndpointState;

  constructor(state: EndpointState) {
    this.#state = state;
  }

  cost(slot: number, share: number, nowMs: number): number {
    const queue = this.#state.inFlight(slot) / share;
    if (queue > 0 && !this.#state.isMeasured(slot)) return UNKNOWN_PENALTY_MS + queue;
    return this.#state.latencyAt(slot, nowMs) * (queue + 1);
  }

  chosen(slot: number, nowMs: number): void {
    this.#state.picked(slot, nowMs);
  }
}
