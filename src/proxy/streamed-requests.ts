import { MeshError } from "../core/errors.ts";
import type { Carrier } from "../http/carrier.ts";
import { Conn } from "../http/conn.ts";
import { PREFACE_HEAD } from "../http/h1/server.ts";
import { REFUSED_STREAM } from "../http/h2/codes.ts";
import { KnownRequests } from "../http/h2/known-heads.ts";
import {
  ServerSession,
  type ServerSessionHandler,
  type Upgraded,
} from "../http/h2/server-session.ts";
import type { Stream, StreamHandler } from "../http/h2/stream.ts";
import { StreamDownstream, type StreamDownstreamOwner } from "../http/h2/stream-downstream.ts";
import type { Origin } from "./context.ts";
import { Exchange } from "./exchange.ts";
import type { Plane } from "./plane.ts";
import { recordRefusal } from "./refuse.ts";
import { serverSessionDeps } from "./session-deps.ts";

/** Exchanges kept for the next streams of a connection, */
const MOST_SPARE = 32;
/** and for how long: an idle connection must not hold what its busiest moment took. */
const SPARE_MS = 10_000;

/** One that serves the requests of streams, one at a time. */
interface Served {
  readonly exchange: Exchange;
  readonly downstream: StreamDownstream;
}

/**
 * The requests of one client connection that speaks HTTP/2: each is an exchange of its own, routed, judged and balanced by
 * itself. Exchanges are used again, as those of a connection of HTTP/1 are.
 */
export class StreamedRequests implements ServerSessionHandler, StreamDownstreamOwner {
  readonly knownRequests = new KnownRequests();
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #conn: Conn;
  readonly #onEnd: () => void;
  readonly #upstreamVersion: 1 | 2;
  readonly #session: ServerSession;
  readonly #busy = new Map<StreamDownstream, Exchange>();
  readonly #spare: Served[] = [];

  /** `upgraded`: the request of HTTP/1.1 by which the client came to speak HTTP/2. */
  constructor(plane: Plane, origin: Origin, conn: Conn, onEnd: () => void, upgraded?: Upgraded) {
    this.#plane = plane;
    this.#origin = origin;
    this.#conn = conn;
    this.#onEnd = onEnd;
    // A client that only offers to change the version does not know that its server can.
    this.#upstreamVersion = upgraded === undefined ? 2 : 1;
    const deps = serverSessionDeps(plane, origin);
    this.#session =
      upgraded === undefined
        ? new ServerSession(conn, this, deps)
        : ServerSession.upgrade(conn, this, deps, upgraded);
    if (plane.draining) this.drain();
  }

  /**
   * For a connection of which a server of HTTP/1 has read the head that the preface begins with, or the request that was
   * `upgraded`; and `rest`.
   */
  static takeOver(
    plane: Plane,
    origin: Origin,
    carrier: Carrier,
    rest: Buffer,
    onEnd: () => void,
    upgraded?: Upgraded,
  ): StreamedRequests {
    if (!(carrier instanceof Conn)) {
      throw new MeshError("BAD_REQUEST", "HTTP/2 within a stream of HTTP/2");
    }
    const self = new StreamedRequests(plane, origin, carrier, onEnd, upgraded);
    if (upgraded === undefined) self.receive(Buffer.from(PREFACE_HEAD, "latin1"));
    self.receive(rest);
    return self;
  }

  /** Bytes that were read before it was known that they are HTTP/2. */
  receive(bytes: Buffer): void {
    if (bytes.length > 0) this.#session.onBytes(bytes, bytes.length);
  }

  onStream(stream: Stream): StreamHandler {
    const { exchange, downstream } = this.#spare.pop() ?? this.#open();
    this.#busy.set(downstream, exchange);
    downstream.bind(stream);
    return downstream;
  }

  #open(): Served {
    const { share } = this.#conn;
    let downstream!: StreamDownstream;
    const exchange = new Exchange(
      this.#plane,
      this.#origin,
      (handler) => {
        const { server } = this.#plane;
        downstream = new StreamDownstream(handler, this, share, server, this.#upstreamVersion);
        return downstream;
      },
      () => downstream.endTunnel(),
    );
    return { exchange, downstream };
  }

  onFree(downstream: StreamDownstream): void {
    const exchange = this.#busy.get(downstream);
    this.#busy.delete(downstream);
    const isKept = !downstream.isSpent && this.#spare.length < MOST_SPARE;
    if (!isKept || exchange === undefined) {
      downstream.drop();
      return;
    }
    downstream.deadlineMs = this.#plane.clock.now() + SPARE_MS;
    this.#spare.push({ exchange, downstream });
  }

  onUnused(downstream: StreamDownstream): void {
    const at = this.#spare.findIndex((spare) => spare.downstream === downstream);
    if (at !== -1) this.#spare.splice(at, 1);
    downstream.drop();
  }

  onRefused(code: number, detail: string): void {
    const error = new MeshError(code === REFUSED_STREAM ? "QUOTA_REQUESTS" : "BAD_REQUEST", detail);
    recordRefusal(this.#plane, this.#origin, error, true);
  }

  onSessionEnd(): void {
    for (const { downstream } of this.#spare.splice(0)) downstream.drop();
    this.#onEnd();
  }

  /** Policies, authorities or the owners of addresses have changed. */
  review(): void {
    for (const exchange of [...this.#busy.values()]) exchange.review();
  }

  /** The caller is no longer trusted: what is under way ends, and nothing comes after it. */
  finish(): void {
    this.#session.drain();
    for (const exchange of [...this.#busy.values()]) exchange.finish();
  }

  /** A shutdown begins: the client is told, and what is under way goes on. */
  drain(): void {
    this.#session.drain();
    for (const exchange of this.#busy.values()) exchange.drain();
  }

  /** Ends it now. */
  destroy(): void {
    this.#conn.destroy();
  }
}
