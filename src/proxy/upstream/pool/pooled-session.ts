import type { Conn } from "../../../http/conn.ts";
import type { ClientLimits } from "../../../http/h1/client.ts";
import { ClientSession, type ClientSessionHandler } from "../../../http/h2/client-session.ts";
import { KnownResponses } from "../../../http/h2/known-heads.ts";
import type { SessionDeps } from "../../../http/h2/session.ts";
import { StreamUpstream, type StreamUpstreamOwner } from "../../../http/h2/stream-upstream.ts";
import type { Freshness } from "./upstream-pool.ts";

/** What a session tells its pool. */
export interface SessionOwner {
  /** The endpoint speaks HTTP/2: the session takes requests from now on. */
  onReady(session: PooledSession): void;
  /** There is room for a request, or none is left on it. */
  onRoom(session: PooledSession): void;
  /** It takes no more requests; those that it has go on. Called once. */
  onLeaving(session: PooledSession, error: Error | null): void;
  /** The connection is gone. Called once, last. */
  onGone(session: PooledSession): void;
}

export interface PooledSessionDeps extends SessionDeps {
  readonly peer: string;
  /** Of the heads and trailers that go on. */
  readonly heads: ClientLimits;
}

/**
 * A connection of HTTP/2 in its pool, with the requests that it carries. It takes requests once the endpoint's SETTINGS have
 * come, as gRPC has it: from then on it is known that HTTP/2 is spoken, how many streams may be open, and whether WebSockets
 * may; and what was given to nobody yet can go elsewhere. That costs a new connection one round trip.
 */
export class PooledSession implements ClientSessionHandler, StreamUpstreamOwner {
  readonly session: ClientSession;
  readonly peer: string;
  readonly limits: ClientLimits;
  readonly knownResponses = new KnownResponses();
  /** When it was opened, and when its last request ended, on the clock of the pool. */
  readonly openedMs: number;
  idleSinceMs: number;
  /** Requests begun on it. */
  requests = 0;
  /** Does it count among the connections in use? */
  isInUse = true;
  readonly #owner: SessionOwner;
  #isReady = false;
  #hasLeft = false;
  /** Places given to requests that are not sent yet. */
  #promised = 0;
  /** A request was given up unanswered, and since then there was no sign of life. */
  #isDoubtful = false;

  constructor(conn: Conn, owner: SessionOwner, deps: PooledSessionDeps) {
    this.#owner = owner;
    this.peer = deps.peer;
    this.limits = deps.heads;
    this.openedMs = deps.clock.now();
    this.idleSinceMs = this.openedMs;
    this.session = new ClientSession(conn, this, deps);
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Requests that have a place on it. */
  get load(): number {
    return this.session.openStreams + this.#promised;
  }

  /** More requests that it can take now. */
  get room(): number {
    const { session } = this;
    if (!this.#isReady || this.#hasLeft || session.state !== "open") return 0;
    return Math.max(0, session.maxStreams - this.load);
  }

  /** Will it do for a request that asks for this? `freshSinceMs`: one that was idle before then is not fresh. */
  suits(freshness: Freshness, freshSinceMs: number): boolean {
    if (freshness === "new") return !this.#isDoubtful;
    return freshness === "any" || this.isInUse || this.idleSinceMs >= freshSinceMs;
  }

  /** Gives a request a place, with `owner` as what the place belongs to. */
  take(owner: StreamUpstreamOwner = this): StreamUpstream {
    this.#promised += 1;
    this.requests += 1;
    return new StreamUpstream(owner, this.requests);
  }

  /** Takes no more requests, and ends behind those that it has. */
  leave(): void {
    if (!this.#hasLeft) {
      this.#hasLeft = true;
      this.#owner.onLeaving(this, null);
    }
    // Who has a place must be able to take it.
    if (this.#promised === 0) this.session.drain();
  }

  // StreamUpstreamOwner

  onSent(): void {
    this.#promised -= 1;
    if (this.#hasLeft && this.#promised === 0) this.session.drain();
  }

  onUnused(): void {
    this.onSent();
    if (!this.#hasLeft) this.#owner.onRoom(this);
  }

  onAnswered(): void {
    this.#isDoubtful = false;
  }

  onUnanswered(): void {
    this.#isDoubtful = true;
  }

  // ClientSessionHandler

  onAvailable(): void {
    if (this.#hasLeft) return;
    if (this.#isReady) this.#owner.onRoom(this);
    else {
      this.#isReady = true;
      this.#owner.onReady(this);
    }
  }

  onGoingAway(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#owner.onLeaving(this, this.session.error);
  }

  onSessionEnd(): void {
    this.#owner.onGone(this);
  }
}
