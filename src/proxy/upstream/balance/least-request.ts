import type { EndpointState } from "./endpoint-state.ts";
import type { LoadMetric } from "./p2c.ts";

/**
 * Queue depth: requests in flight over all workers of this host, relative to the weight. One is added so
 * that idle endpoints cost the same whatever their weight; their shares then follow the draw.
 */
export class LeastRequest implements LoadMetric {
  readonly #state: EndpointState;

  constructor(state: EndpointState) {
    this.#state = state;
  }

  cost(slot: number, share: number): number {
    return this.#state.inFlight(slot) / share + 1;
  }

  chosen(): void {
    // The queue is counted by whoever sends the request.
  }
}
