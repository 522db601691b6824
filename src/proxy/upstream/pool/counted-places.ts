import type { ConnectionCounts } from "./connection-counts.ts";
import type { PoolTarget } from "./upstream-pool.ts";

/**
 * Requests that are under way to an endpoint by streams that others share, counted as the connections that they would take
 * up if the endpoint were spoken to directly: limits of connections mean the same for endpoints of any host.
 */
export class CountedPlaces {
  readonly #target: PoolTarget;
  readonly #counts: ConnectionCounts;
  readonly #maxConnections: number;
  /** Requests that a connection carries at once: 1 of HTTP/1.1. */
  readonly #perConnection: number;
  #used = 0;
  #connections = 0;

  constructor(
    target: PoolTarget,
    counts: ConnectionCounts,
    maxConnections: number,
    perConnection: number,
  ) {
    this.#target = target;
    this.#counts = counts;
    this.#maxConnections = maxConnections;
    this.#perConnection = perConnection;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes a place; false: the endpoint or its service has its limit of connections. */
  tryTake(): boolean {
    if (this.#used === this.#connections * this.#perConnection) {
      if (!this.#counts.tryOpenConnection(this.#target, this.#maxConnections)) return false;
      this.#connections += 1;
    }
    this.#used += 1;
    return true;
  }

  giveBack(): void {
    this.#used -= 1;
    if (this.#used > (this.#connections - 1) * this.#perConnection) return;
    this.#connections -= 1;
    this.#counts.endUse(this.#target);
    this.#counts.closeConnection(this.#target);
  }
}
