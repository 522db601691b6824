import type { Carrier } from "../http/carrier.ts";
import type { Stream, StreamHandler } from "../http/h2/stream.ts";
import { StreamDownstream, type StreamDownstreamOwner } from "../http/h2/stream-downstream.ts";
import type { Origin } from "./context.ts";
import { Exchange } from "./exchange.ts";
import type { Plane } from "./plane.ts";

/** How long exchanges are kept for the next streams: an idle connection must not hold what its busiest moment took. */
const SPARE_MS = 10_000;

/** One that serves the requests of streams, one at a time. */
interface Served {
  readonly exchange: Exchange;
  readonly downstream: StreamDownstream;
}

/** What the groups of one connection have in common. */
export interface GroupParts {
  readonly plane: Plane;
  /** The connection: whose share its streams take. */
  readonly conn: Carrier;
  /** Exchanges that may yet be kept for the next streams. */
  readonly spares: { left: number };
}

/**
 * Requests by streams of one connection that have the same origin: each is an exchange of its own, routed, judged and balanced
 * by itself. Exchanges are used again, as those of a connection of HTTP/1 are.
 */
export class StreamGroup implements StreamDownstreamOwner {
  readonly #parts: GroupParts;
  readonly #origin: Origin;
  readonly #upstreamVersion: 1 | 2;
  readonly #onIdle: () => void;
  readonly #busy = new Map<StreamDownstream, Exchange>();
  readonly #spare: Served[] = [];

  /** `upstreamVersion`: as in `Downstream`. `onIdle`: it serves nothing, and holds nothing any more. */
  constructor(parts: GroupParts, origin: Origin, upstreamVersion: 1 | 2, onIdle: () => void) {
    this.#parts = parts;
    this.#origin = origin;
    this.#upstreamVersion = upstreamVersion;
    this.#onIdle = onIdle;
  }

  /** What becomes of the request that a stream brings. */
  serve(stream: Stream): StreamHandler {
    const { exchange, downstream } = this.#takeSpare() ?? this.#open();
    this.#busy.set(downstream, exchange);
    downstream.bind(stream);
    return downstream;
  }

  #takeSpare(): Served | undefined {
    const spare = this.#spare.pop();
    if (spare !== undefined) this.#parts.spares.left += 1;
    return spare;
  }

  #open(): Served {
    const { plane, conn } = this.#parts;
    const { share } = conn;
    let downstream!: StreamDownstream;
    const exchange = new Exchange(
      plane,
      this.#origin,
      (handler) => {
        const { server } = plane;
        downstream = new StreamDownstream(handler, this, share, server, this.#upstreamVersion);
        return downstream;
      },
      () => downstream.endTunnel(),
    );
    return { exchange, downstream };
  }

  onFree(downstream: StreamDownstream): void {
    const { plane, spares } = this.#parts;
    const exchange = this.#busy.get(downstream);
    this.#busy.delete(downstream);
    if (downstream.isSpent || spares.left === 0 || exchange === undefined) {
      downstream.drop();
      this.#lookIdle();
      return;
    }
    spares.left -= 1;
    downstream.deadlineMs = plane.clock.now() + SPARE_MS;
    this.#spare.push({ exchange, downstream });
  }

  onUnused(downstream: StreamDownstream): void {
    const at = this.#spare.findIndex((spare) => spare.downstream === downstream);
    if (at !== -1) {
      this.#spare.splice(at, 1);
      this.#parts.spares.left += 1;
    }
    downstream.drop();
    this.#lookIdle();
  }

  #lookIdle(): void {
    if (this.#busy.size === 0 && this.#spare.length === 0) this.#onIdle();
  }

  /** Policies, authorities or the owners of addresses have changed. */
  review(): void {
    for (const exchange of [...this.#busy.values()]) exchange.review();
  }

  /** The caller is no longer trusted: what is under way ends, and nothing comes after it. */
  finish(): void {
    for (const exchange of [...this.#busy.values()]) exchange.finish();
  }

  /** A shutdown begins. */
  drain(): void {
    for (const exchange of this.#busy.values()) exchange.drain();
  }

  /** Ends what is under way now. */
  destroy(): void {
    for (const exchange of [...this.#busy.values()]) exchange.destroy();
  }

  /** The connection is gone, and its streams with it. */
  close(): void {
    for (const { downstream } of this.#spare.splice(0)) downstream.drop();
  }
}
