import type { Carrier } from "../http/carrier.ts";
import { connOverCarrier } from "../http/carrier-socket.ts";
import { Conn } from "../http/conn.ts";
import { PREFACE_HEAD } from "../http/h1/server.ts";
import {
  ServerSession,
  type ServerSessionHandler,
  type Upgraded,
} from "../http/h2/server-session.ts";
import type { Stream, StreamHandler } from "../http/h2/stream.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";
import { recordRefusal, streamRefusal } from "./refuse.ts";
import { serverSessionDeps } from "./session-deps.ts";
import { StreamGroup } from "./stream-group.ts";

/** Exchanges kept for the next streams of a connection. */
const MOST_SPARE = 32;

/** The requests of one client connection that speaks HTTP/2. */
export class StreamedRequests implements ServerSessionHandler {
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #conn: Conn;
  readonly #onEnd: () => void;
  readonly #session: ServerSession;
  readonly #group: StreamGroup;

  /** `upgraded`: the request of HTTP/1.1 by which the client came to speak HTTP/2. */
  constructor(
    plane: Plane,
    origin: Origin,
    carrier: Carrier,
    onEnd: () => void,
    upgraded?: Upgraded,
  ) {
    const conn = carrier instanceof Conn ? carrier : connOverCarrier(carrier);
    this.#plane = plane;
    this.#origin = origin;
    this.#conn = conn;
    this.#onEnd = onEnd;
    // A client that only offers to change the version does not know that its server can.
    const version = upgraded === undefined ? 2 : 1;
    const parts = { plane, conn, spares: { left: MOST_SPARE } };
    this.#group = new StreamGroup(parts, origin, version, () => undefined);
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
    return this.#group.serve(stream);
  }

  onRefused(code: number, detail: string): void {
    recordRefusal(this.#plane, this.#origin, streamRefusal(code, detail), true);
  }

  onSessionEnd(): void {
    this.#group.close();
    this.#onEnd();
  }

  /** Policies, authorities or the owners of addresses have changed. */
  review(): void {
    this.#group.review();
  }

  /** The caller is no longer trusted: what is under way ends, and nothing comes after it. */
  finish(): void {
    this.#session.drain();
    this.#group.finish();
  }

  /** A shutdown begins: the client is told, and what is under way goes on. */
  drain(): void {
    this.#session.drain();
    this.#group.drain();
  }

  /** Ends it now. */
  destroy(): void {
    this.#conn.destroy();
  }
}
