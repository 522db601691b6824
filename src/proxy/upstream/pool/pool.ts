import { formatHostPort } from "../../../core/address.ts";
import { deadlineAfter, type Expirable } from "../../../core/deadlines.ts";
import type { MeshError } from "../../../core/errors.ts";
import type { Carrier } from "../../../http/carrier.ts";
import { ClientConnection } from "../../../http/h1/client.ts";
import type { PlainPoolDeps } from "./pool-deps.ts";
import { type PoolSettings, settingsFor } from "./pool-settings.ts";
import { RoomWatch } from "./room-watch.ts";
import type { Freshness, PoolTarget, PoolWaiter, UpstreamPool } from "./upstream-pool.ts";
import { WaitingLine } from "./waiting-line.ts";

/**
 * Connections of one source to one endpoint. Idle ones are reused last in, first out, so that the surplus
 * grows old and is closed. A request that finds none opens one, up to the limit that all workers share;
 * beyond it waits in a bounded queue. Whatever becomes free first serves whoever waits longest.
 */
export class Pool implements UpstreamPool, Expirable {
  readonly target: PoolTarget;
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly #deps: PlainPoolDeps;
  readonly #settings: PoolSettings;
  readonly #maxConnectionMs: number;
  readonly #idle: ClientConnection[] = [];
  readonly #queue: WaitingLine;
  readonly #room: RoomWatch;
  #busy = 0;
  #dialling = 0;
  #retired = false;

  constructor(target: PoolTarget, deps: PlainPoolDeps) {
    this.target = target;
    this.#deps = deps;
    this.#settings = settingsFor(deps.settings, target.limits);
    this.#maxConnectionMs = target.limits?.maxConnectionMs ?? 0;
    this.#queue = new WaitingLine(target, this.#settings, deps);
    this.#room = new RoomWatch(
      () => deps.evictIdle(target.slot),
      () => this.#grow(),
    );
    deps.deadlines.add(this);
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  get busyCount(): number {
    return this.#busy;
  }

  get pendingCount(): number {
    return this.#queue.length;
  }

  /** Nothing open, nothing waiting: the pool may be forgotten. */
  get empty(): boolean {
    return this.#idle.length + this.#busy + this.#queue.length + this.#dialling === 0;
  }

  /**
   * Returns an idle connection, or null: then the waiter is called later.
   */
  acquire(waiter: PoolWaiter, freshness: Freshness): ClientConnection | null {
    const mayReuse = this.#queue.length === 0 && freshness !== "new";
    const idle = mayReuse ? this.#takeIdle(freshness === "fresh") : null;
    if (idle !== null && this.#deps.counts.tryUse(this.target)) {
      this.#busy += 1;
      this.#deps.recorder.event("upstream_connection_reused");
      return idle;
    }
    if (idle !== null) this.#idle.push(idle);
    if (!this.#queue.add(waiter, freshness)) return null;
    this.#grow();
    if (this.#isQueueing) this.#deps.recorder.event("pool_queued");
    this.#arm();
    return null;
  }

  #takeIdle(fresh: boolean): ClientConnection | null {
    for (;;) {
      const connection = this.#idle[this.#idle.length - 1];
      if (connection === undefined) return null;
      if (!connection.reusable) {
        this.#idle.pop();
        continue;
      }
      const nowMs = this.#deps.clock.now();
      if (this.#lastsUntil(connection) <= nowMs) {
        this.#idle.pop();
        connection.close();
        continue;
      }
      // Where the youngest is too old, the rest of the stack is older still.
      if (fresh && nowMs - connection.idleSinceMs > this.#settings.freshMs) return null;
      this.#idle.pop();
      return connection;
    }
  }

  /** Opens connections while more requests wait than connections are on their way. */
  #grow(): void {
    const { counts } = this.#deps;
    this.#useIdle();
    while (this.#dialling < this.#queue.length) {
      if (!counts.tryOpenConnection(this.target, this.#settings.maxConnections)) {
        this.#room.begin();
        return;
      }
      this.#dialling += 1;
      this.#deps.dial(this.target, {
        onConnected: (conn) => this.#onConnected(conn),
        onDialFailed: (error, hasMoved) => this.#onDialFailed(error, hasMoved === true),
      });
    }
  }

  /** Those who waited for a place among the connections in use take idle ones, as far as there are any. */
  #useIdle(): void {
    while (this.#queue.length > this.#dialling && this.#queue.at(0)?.freshness === "any") {
      const idle = this.#takeIdle(false);
      if (idle === null) return;
      if (!this.#deps.counts.tryUse(this.target)) {
        this.#idle.push(idle);
        return;
      }
      this.#busy += 1;
      this.#serve(idle, this.#deps.clock.now());
    }
  }

  #onConnected(conn: Carrier): void {
    this.#dialling -= 1;
    const peer = formatHostPort(this.target.host, this.target.port);
    const connection = new ClientConnection(conn, peer, this, this.#deps.limits);
    if (this.#maxConnectionMs > 0) connection.openedMs = this.#deps.clock.now();
    this.#deps.recorder.event("upstream_connection_opened");
    this.#busy += 1;
    this.#serve(connection, this.#deps.clock.now());
  }

  #onDialFailed(error: MeshError, hasMoved: boolean): void {
    this.#dialling -= 1;
    this.#deps.counts.endUse(this.target);
    this.#deps.counts.closeConnection(this.target);
    this.#deps.recorder.event("upstream_connection_failed");
    const waiter = this.#queue.take(0);
    if (hasMoved) waiter?.onMoved();
    else waiter?.onNoConnection(error);
    this.#grow();
    this.#arm();
  }

  /** Gives the connection to the one that waits longest, or keeps it. */
  #serve(connection: ClientConnection, nowMs: number): void {
    const next = this.#queue.take(0);
    if (next !== undefined) {
      this.#arm();
      next.onConnection(connection);
      return;
    }
    this.#endUse();
    if (this.#retired || this.#idle.length >= this.#settings.maxIdle) {
      connection.close();
      return;
    }
    connection.idleSinceMs = nowMs;
    this.#idle.push(connection);
    this.#arm();
  }

  /** The request is over. A connection that may not be used again is closed. */
  release(connection: ClientConnection, nowMs: number): void {
    const { maxRequestsPerConnection } = this.#settings;
    const served = maxRequestsPerConnection > 0 && connection.requests >= maxRequestsPerConnection;
    const worn = served || this.#lastsUntil(connection) <= nowMs;
    if (connection.reusable && !worn && !this.#retired) {
      this.#serve(connection, nowMs);
      return;
    }
    this.discard(connection);
  }

  /** The moment from which on the connection takes no further request; Infinity without a limit. */
  #lastsUntil(connection: ClientConnection): number {
    return deadlineAfter(connection.openedMs, this.#maxConnectionMs);
  }

  /** Does this waiter wait for a busy connection, rather than for one that is being opened? */
  waitsForOthers(waiter: PoolWaiter): boolean {
    return this.#queue.indexOf(waiter) >= this.#dialling;
  }

  /** Closes a connection that a request occupied. */
  discard(connection: ClientConnection): void {
    this.#endUse();
    if (!connection.closed) connection.close();
    this.#grow();
  }

  #endUse(): void {
    this.#busy -= 1;
    this.#deps.counts.endUse(this.target);
  }

  /** A waiter that is no longer interested. */
  cancel(waiter: PoolWaiter): void {
    const index = this.#queue.indexOf(waiter);
    if (index !== -1) this.#queue.take(index);
    this.#arm();
  }

  /** Closes the idle connection that was used least recently. */
  evictOldest(): void {
    const oldest = this.#idle.shift();
    if (oldest === undefined) return;
    this.#deps.recorder.event("upstream_connection_evicted");
    oldest.close();
  }

  /** The endpoint is gone: idle connections close now, busy ones when their request ends. */
  retire(): void {
    this.#retired = true;
    for (const connection of this.#idle.splice(0)) {
      this.#deps.recorder.event("upstream_connection_evicted");
      connection.close();
    }
  }

  /** A connection that had become a tunnel has ended. */
  forget(): void {
    this.#endUse();
    this.#countClosed();
  }

  onClosed(connection: ClientConnection): void {
    const index = this.#idle.indexOf(connection);
    if (index !== -1) this.#idle.splice(index, 1);
    this.#countClosed();
  }

  #countClosed(): void {
    this.#deps.counts.closeConnection(this.target);
    this.#deps.recorder.event("upstream_connection_closed");
    if (this.#queue.length > 0) this.#grow();
  }

  onDeadline(nowMs: number): void {
    const { idleMs } = this.#settings;
    this.#queue.expire(nowMs, () => this.#dialling);
    const oldest = nowMs - idleMs;
    while (idleMs > 0 && (this.#idle[0]?.idleSinceMs ?? nowMs) <= oldest) {
      this.evictOldest();
    }
    if (this.#maxConnectionMs > 0) this.#evictWorn(nowMs);
    this.#arm();
  }

  /** Closes the idle connections that have lasted long enough. */
  #evictWorn(nowMs: number): void {
    const worn = this.#idle.filter((connection) => this.#lastsUntil(connection) <= nowMs);
    for (const connection of worn) {
      this.#idle.splice(this.#idle.indexOf(connection), 1);
      this.#deps.recorder.event("upstream_connection_evicted");
      connection.close();
    }
  }

  /** Does a request wait for others to end? Those in front each wait for a dial, which names the real cause if it fails. */
  get #isQueueing(): boolean {
    return this.#queue.length > this.#dialling;
  }

  /** The next moment at which something here grows too old. */
  #arm(): void {
    const queued = this.#queue.at(this.#dialling)?.deadlineMs ?? Number.POSITIVE_INFINITY;
    const oldest = this.#idle[0];
    const idle =
      oldest === undefined
        ? Number.POSITIVE_INFINITY
        : deadlineAfter(oldest.idleSinceMs, this.#settings.idleMs);
    this.deadlineMs = Math.min(queued, idle);
    if (this.#maxConnectionMs === 0) return;
    for (const connection of this.#idle) {
      this.deadlineMs = Math.min(this.deadlineMs, this.#lastsUntil(connection));
    }
  }

  close(): void {
    this.#deps.deadlines.delete(this);
    this.#room.close();
    this.retire();
  }
}
