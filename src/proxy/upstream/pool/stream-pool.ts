import { formatHostPort } from "../../../core/address.ts";
import { deadlineAfter, type Expirable } from "../../../core/deadlines.ts";
import type { MeshError } from "../../../core/errors.ts";
import type { Http2Count } from "../../../core/http2.ts";
import type { Conn } from "../../../http/conn.ts";
import { greetingError } from "../../../http/h2/stream-errors.ts";
import type { StreamUpstream } from "../../../http/h2/stream-upstream.ts";
import type { PoolDeps } from "./pool-deps.ts";
import { type PoolSettings, settingsFor } from "./pool-settings.ts";
import { PooledSession, type SessionOwner } from "./pooled-session.ts";
import { RoomWatch } from "./room-watch.ts";
import type { Freshness, PoolTarget, PoolWaiter, UpstreamPool } from "./upstream-pool.ts";
import { WaitingLine } from "./waiting-line.ts";

/** Between hosts a silent connection is asked for a sign of life; applications may take that ill (gRPC's "too_many_pings"). */
const MESH_PING_MS = 10_000;

/**
 * Requests of one source to one endpoint, as streams of few connections of HTTP/2 (RFC 9113 section 9.1). The connection
 * that was opened first takes what it can, so that the surplus falls idle and is closed; another one is opened when none has
 * room. What the limits of connections do not let through waits in a bounded line.
 */
export class StreamPool implements UpstreamPool, Expirable, SessionOwner {
  readonly target: PoolTarget;
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly #deps: PoolDeps;
  readonly #settings: PoolSettings;
  readonly #maxConnectionMs: number;
  readonly #peer: string;
  readonly #queue: WaitingLine;
  readonly #roomWatch: RoomWatch;
  /** Those that take requests, in the order in which they were opened. */
  readonly #sessions: PooledSession[] = [];
  /** All whose connection stands, whatever they take. */
  readonly #standing = new Set<PooledSession>();
  /** Dials, and connections that have not heard of the endpoint's SETTINGS. */
  #opening = 0;
  #busy = 0;
  /** What a connection is expected to carry at once: what the last one did. */
  #streamsEach: number;
  #retired = false;

  constructor(target: PoolTarget, deps: PoolDeps) {
    this.target = target;
    this.#deps = deps;
    this.#settings = settingsFor(deps.settings, target.limits);
    this.#maxConnectionMs = target.limits?.maxConnectionMs ?? 0;
    this.#peer = formatHostPort(target.host, target.port);
    this.#streamsEach = this.#settings.streamsPerConnection;
    this.#queue = new WaitingLine(target, this.#settings, deps);
    this.#roomWatch = new RoomWatch(
      () => deps.evictIdle(target.slot),
      () => this.#grow(),
    );
    deps.deadlines.add(this);
  }

  get idleCount(): number {
    return this.#sessions.reduce((sum, session) => sum + (session.load === 0 ? 1 : 0), 0);
  }

  /** Requests under way. */
  get busyCount(): number {
    return this.#busy;
  }

  get pendingCount(): number {
    return this.#queue.length;
  }

  get empty(): boolean {
    return this.#standing.size + this.#busy + this.#queue.length + this.#opening === 0;
  }

  acquire(waiter: PoolWaiter, freshness: Freshness): StreamUpstream | null {
    // Whoever waits could not take it either: the line is looked through whenever there is room.
    const session = this.#find(freshness);
    if (session !== null && this.#use(session)) {
      this.#deps.recorder.event("upstream_connection_reused");
      return this.#take(session);
    }
    if (!this.#queue.add(waiter, freshness)) return null;
    this.#grow();
    if (this.#queue.length > this.#covered) this.#deps.recorder.event("pool_queued");
    this.#arm();
    return null;
  }

  #find(freshness: Freshness): PooledSession | null {
    const nowMs = this.#deps.clock.now();
    const freshSinceMs = nowMs - this.#settings.freshMs;
    for (const session of this.#sessions) {
      const lasts = this.#lastsUntil(session) > nowMs;
      if (session.room > 0 && lasts && session.suits(freshness, freshSinceMs)) return session;
    }
    return null;
  }

  /** Counts the connection among those in use; false: its service has its limit of them. */
  #use(session: PooledSession): boolean {
    if (session.isInUse) return true;
    session.isInUse = this.#deps.counts.tryUse(this.target);
    return session.isInUse;
  }

  #take(session: PooledSession): StreamUpstream {
    const { maxRequestsPerConnection } = this.#settings;
    this.#busy += 1;
    const upstream = session.take();
    if (maxRequestsPerConnection > 0 && session.requests >= maxRequestsPerConnection) {
      session.leave();
    }
    return upstream;
  }

  /** So many of those who wait do so for connections that are on their way. */
  get #covered(): number {
    return this.#opening * this.#streamsEach;
  }

  /** Opens connections while more requests wait than those that are on their way will carry. */
  #grow(): void {
    this.#serve();
    // An endpoint that allows no streams at all will not allow them on another connection.
    if (this.#sessions.some((session) => session.load === 0 && session.room === 0)) return;
    while (this.#covered < this.#queue.length) {
      if (!this.#deps.counts.tryOpenConnection(this.target, this.#settings.maxConnections)) {
        this.#roomWatch.begin();
        return;
      }
      this.#opening += 1;
      this.#deps.dial(this.target, {
        onConnected: (conn) => this.#onConnected(conn),
        onDialFailed: (error, hasMoved) => this.#onDialFailed(error, hasMoved === true),
      });
    }
  }

  /** Gives what room there is to those who wait longest and can take it. */
  #serve(): void {
    let at = 0;
    while (at < this.#queue.length && this.#sessions.some(({ room }) => room > 0)) {
      const session = this.#find(this.#queue.at(at)?.freshness ?? "any");
      if (session === null) at += 1;
      else if (this.#use(session)) this.#queue.take(at)?.onConnection(this.#take(session));
      else return;
    }
  }

  #onConnected(conn: Conn): void {
    const { deadlines, clock, limits: heads, sessions, recorder } = this.#deps;
    const isMesh = this.target.mesh !== undefined;
    const limits = isMesh ? { ...sessions, pingIntervalMs: MESH_PING_MS } : sessions;
    conn.keepAlive();
    const count = (what: Http2Count, code: number) => recorder.http2("upstream", what, code);
    const parts = { peer: this.#peer, heads, limits, clock, deadlines, count };
    this.#standing.add(new PooledSession(conn, this, parts));
  }

  onReady(session: PooledSession): void {
    this.#opening -= 1;
    this.#streamsEach = Math.max(1, session.room);
    this.#sessions.push(session);
    this.#deps.recorder.event("upstream_connection_opened");
    this.onRoom(session);
    this.#arm();
  }

  #onDialFailed(error: MeshError, hasMoved: boolean): void {
    const { counts, recorder } = this.#deps;
    counts.endUse(this.target);
    counts.closeConnection(this.target);
    recorder.event("upstream_connection_failed");
    if (hasMoved) this.#endOpening((waiter) => waiter.onMoved());
    else this.#failOpening(error);
  }

  #failOpening(error: MeshError): void {
    this.#endOpening((waiter) => waiter.onNoConnection(error));
  }

  /** Nothing has come of a connection: those whom it was to carry are told. */
  #endOpening(tell: (waiter: PoolWaiter) => void): void {
    const waiters: PoolWaiter[] = [];
    while (waiters.length < this.#streamsEach && this.#queue.length > 0) {
      waiters.push(this.#queue.take(0) as PoolWaiter);
    }
    this.#opening -= 1;
    for (const waiter of waiters) tell(waiter);
    this.#grow();
    this.#arm();
  }

  onRoom(session: PooledSession): void {
    if (this.#queue.length > 0) this.#grow();
    if (session.load > 0 || !session.isInUse) return;
    this.#endUse(session);
    session.idleSinceMs = this.#deps.clock.now();
    if (this.#retired || this.idleCount > this.#settings.maxIdle) session.leave();
    this.#arm();
  }

  #endUse(session: PooledSession): void {
    if (!session.isInUse) return;
    session.isInUse = false;
    this.#deps.counts.endUse(this.target);
  }

  onLeaving(session: PooledSession, error: Error | null): void {
    if (!session.isReady) {
      this.#deps.recorder.event("upstream_connection_failed");
      const { clock, sessions } = this.#deps;
      const isLate = deadlineAfter(session.openedMs, sessions.headMs) <= clock.now();
      this.#failOpening(greetingError(this.#peer, isLate, error));
      return;
    }
    const index = this.#sessions.indexOf(session);
    if (index !== -1) this.#sessions.splice(index, 1);
    if (this.#queue.length > 0) this.#grow();
    this.#arm();
  }

  onGone(session: PooledSession): void {
    const { counts, recorder } = this.#deps;
    this.#standing.delete(session);
    this.#endUse(session);
    counts.closeConnection(this.target);
    if (session.isReady) recorder.event("upstream_connection_closed");
    if (this.#queue.length > 0) this.#grow();
  }

  waitsForOthers(waiter: PoolWaiter): boolean {
    return this.#queue.indexOf(waiter) >= this.#covered;
  }

  cancel(waiter: PoolWaiter): void {
    const index = this.#queue.indexOf(waiter);
    if (index !== -1) this.#queue.take(index);
    this.#arm();
  }

  release(upstream: StreamUpstream): void {
    this.#busy -= 1;
    upstream.close();
  }

  discard(upstream: StreamUpstream): void {
    this.#busy -= 1;
    upstream.giveUp();
  }

  /** The stream itself has told its connection. */
  forget(): void {
    this.#busy -= 1;
  }

  evictOldest(): void {
    let oldest: PooledSession | undefined;
    for (const session of this.#sessions) {
      const isOlder = session.idleSinceMs < (oldest?.idleSinceMs ?? Number.POSITIVE_INFINITY);
      if (session.load === 0 && isOlder) oldest = session;
    }
    if (oldest !== undefined) this.#evict(oldest);
  }

  #evict(session: PooledSession): void {
    this.#deps.recorder.event("upstream_connection_evicted");
    session.leave();
  }

  retire(): void {
    this.#retired = true;
    for (const session of [...this.#sessions]) {
      if (session.load === 0) this.#evict(session);
      else session.leave();
    }
  }

  /** The moment from which on the connection takes no further request; Infinity without a limit. */
  #lastsUntil(session: PooledSession): number {
    return deadlineAfter(session.openedMs, this.#maxConnectionMs);
  }

  /** When the connection is idle for too long. */
  #idlesUntil(session: PooledSession): number {
    if (session.load > 0) return Number.POSITIVE_INFINITY;
    return deadlineAfter(session.idleSinceMs, this.#settings.idleMs);
  }

  onDeadline(nowMs: number): void {
    this.#queue.expire(nowMs, () => this.#covered);
    for (const session of [...this.#sessions]) {
      const isWorn = this.#lastsUntil(session) <= nowMs;
      if (!isWorn && this.#idlesUntil(session) > nowMs) continue;
      if (session.load === 0) this.#evict(session);
      else session.leave();
    }
    this.#arm();
  }

  /** The next moment at which something here grows too old. */
  #arm(): void {
    let next = this.#queue.at(this.#covered)?.deadlineMs ?? Number.POSITIVE_INFINITY;
    for (const session of this.#sessions) {
      next = Math.min(next, this.#lastsUntil(session), this.#idlesUntil(session));
    }
    this.deadlineMs = next;
  }

  close(): void {
    this.#deps.deadlines.delete(this);
    this.#roomWatch.close();
    this.retire();
    for (const session of [...this.#standing]) session.leave();
  }
}
