import type { Sleeper } from "../core/alarms.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { Downstream } from "../http/downstream.ts";
import type { Plane } from "./plane.ts";

/**
 * A client that has ended its direction while its answer is due: it may still be reading, as a half-close says, but most
 * have given up and are gone, which nothing tells until something is written to them. So the answer is waited for a
 * moment only, and longer only while its bytes flow: what the request holds (quotas, circuits, an endpoint) is needed by
 * others. nginx and Envoy give up at once.
 */
export class AbortWatch implements Sleeper {
  readonly #plane: Plane;
  readonly #client: Downstream;
  readonly #facts: RequestFacts;
  #seenBytes = -1;

  constructor(plane: Plane, client: Downstream, facts: RequestFacts) {
    this.#plane = plane;
    this.#client = client;
    this.#facts = facts;
  }

  begin(): void {
    const { clientGoneMs } = this.#plane.config.timeouts;
    if (clientGoneMs === 0) return;
    this.#seenBytes = this.#facts.responseBytes;
    this.#plane.alarms.set(this, this.#plane.clock.now() + clientGoneMs);
  }

  onAlarm(): void {
    if (this.#seenBytes === -1) return;
    if (this.#facts.responseBytes > this.#seenBytes) this.begin();
    else this.#client.carrier.destroy();
  }

  /** The request is over. */
  end(): void {
    if (this.#seenBytes === -1) return;
    this.#seenBytes = -1;
    this.#plane.alarms.set(this, Number.POSITIVE_INFINITY);
  }
}
