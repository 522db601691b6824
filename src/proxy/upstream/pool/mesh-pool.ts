import { formatHostPort } from "../../../core/address.ts";
import { deadlineAfter, type Expirable } from "../../../core/deadlines.ts";
import { MeshError } from "../../../core/errors.ts";
import { meshTargetValues } from "../../../http/h2/mesh-wire.ts";
import type { StreamUpstream } from "../../../http/h2/stream-upstream.ts";
import { CountedPlaces } from "./counted-places.ts";
import type { LinkForm } from "./link-memory.ts";
import type { PlaceFacts } from "./link-place.ts";
import type { LinkUser, MeshLink } from "./mesh-link.ts";
import type { PoolDeps } from "./pool-deps.ts";
import { settingsFor } from "./pool-settings.ts";
import { RoomWatch } from "./room-watch.ts";
import type {
  Freshness,
  MeshRoute,
  PoolTarget,
  PoolWaiter,
  UpstreamPool,
} from "./upstream-pool.ts";
import { WaitingLine } from "./waiting-line.ts";

/**
 * Requests of one source to one endpoint of another host. They go as streams of the connections that this identity has with
 * the endpoint's (`MeshLink`), which others share; what is this pool's own is its line of those who wait, and its count.
 */
export class MeshPool implements UpstreamPool, LinkUser, Expirable {
  readonly target: PoolTarget;
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly #deps: PoolDeps;
  readonly #route: MeshRoute;
  #link: MeshLink;
  readonly #facts: PlaceFacts;
  readonly #places: CountedPlaces;
  readonly #queue: WaitingLine;
  readonly #room: RoomWatch;
  /** So many of those in front of the line have been counted, and wait for the link alone. */
  #placed = 0;
  #busy = 0;
  /** When a connection that is being opened has taken as long as the service allows. */
  #connectUntilMs = Number.POSITIVE_INFINITY;

  constructor(target: PoolTarget, route: MeshRoute, deps: PoolDeps) {
    const { host, port } = target;
    const protocol = route.protocol === "h2" ? "h2" : "http/1.1";
    const settings = settingsFor(deps.settings, target.limits);
    const perConnection = protocol === "h2" ? settings.streamsPerConnection : 1;
    this.target = target;
    this.#deps = deps;
    this.#route = route;
    this.#link = deps.links.get(route);
    this.#facts = {
      peer: formatHostPort(host, port),
      target: meshTargetValues({ endpoint: { host, port }, client: route.client, protocol }),
    };
    this.#places = new CountedPlaces(target, deps.counts, settings.maxConnections, perConnection);
    this.#queue = new WaitingLine(target, settings, deps);
    this.#room = new RoomWatch(
      () => deps.evictIdle(target.slot),
      () => this.#grow(),
    );
    deps.deadlines.add(this);
  }

  /** How requests are to go to the other host; where that is not `link`, not by this pool. */
  get form(): LinkForm {
    this.#renewLink();
    return this.#link.form;
  }

  /** A link that was retired takes nothing new; who waits here for a limit alone was not told. */
  #renewLink(): void {
    if (this.#link.isRetired) this.#link = this.#deps.links.get(this.#route);
  }

  /** Connections are the link's. */
  get idleCount(): number {
    return 0;
  }

  get busyCount(): number {
    return this.#busy;
  }

  get pendingCount(): number {
    return this.#queue.length;
  }

  get empty(): boolean {
    return this.#busy + this.#queue.length === 0;
  }

  acquire(waiter: PoolWaiter, freshness: Freshness): StreamUpstream | null {
    if (this.#queue.length === 0 && this.#places.tryTake()) {
      const upstream = this.#take(freshness);
      if (upstream !== null) return upstream;
      this.#places.giveBack();
    }
    if (!this.#queue.add(waiter, freshness)) return null;
    this.#grow();
    if (this.#queue.length > this.#covered) this.#deps.recorder.event("pool_queued");
    this.#arm();
    return null;
  }

  #take(freshness: Freshness): StreamUpstream | null {
    const upstream = this.#link.take(this.#facts, freshness);
    if (upstream === null) return null;
    this.#busy += 1;
    if (upstream.requests > 1) this.#deps.recorder.event("upstream_connection_reused");
    return upstream;
  }

  /** Counts those who wait as far as the limits let it, and asks the link for room for them. */
  #grow(): void {
    this.#renewLink();
    while (this.#placed < this.#queue.length && this.#places.tryTake()) this.#placed += 1;
    if (this.#placed < this.#queue.length) this.#room.begin();
    if (this.#placed === 0) return;
    this.#link.want(this);
    this.#armConnect();
  }

  /** So many of those who wait do so for a connection that is on its way. */
  get #covered(): number {
    return this.#link.isDialling ? this.#placed : 0;
  }

  #armConnect(): void {
    const { connectTimeoutMs = 0 } = this.target.limits ?? {};
    const isWaiting = connectTimeoutMs > 0 && this.#covered > 0;
    if (!isWaiting) this.#connectUntilMs = Number.POSITIVE_INFINITY;
    else if (this.#connectUntilMs === Number.POSITIVE_INFINITY) {
      this.#connectUntilMs = deadlineAfter(this.#deps.clock.now(), connectTimeoutMs);
    }
  }

  // LinkUser

  /** Of those who wait for the link, the one that is least particular. */
  get freshness(): Freshness {
    let least: Freshness = "new";
    for (let at = 0; at < this.#placed && least !== "any"; at++) {
      const freshness = this.#queue.at(at)?.freshness ?? "any";
      if (freshness !== "new") least = freshness;
    }
    return least;
  }

  onLinkRoom(): boolean {
    if (this.#placed === 0) return false;
    if (this.form !== "link") {
      this.onLinkMoved();
      return false;
    }
    for (let at = 0; at < this.#placed; at++) {
      const upstream = this.#take(this.#queue.at(at)?.freshness ?? "any");
      if (upstream === null) continue;
      this.#placed -= 1;
      const waiter = this.#queue.take(at);
      this.#arm();
      waiter?.onConnection(upstream);
      return this.#placed > 0;
    }
    return true;
  }

  onLinkFailed(error: MeshError): void {
    const failed = this.#takePlaced();
    for (const waiter of failed) waiter.onNoConnection(error);
    this.#grow();
    this.#arm();
  }

  onLinkMoved(): void {
    const moved = this.#takePlaced();
    while (this.#queue.length > 0) moved.push(this.#queue.take(0) as PoolWaiter);
    this.#arm();
    for (const waiter of moved) waiter.onMoved();
  }

  #takePlaced(): PoolWaiter[] {
    const waiters: PoolWaiter[] = [];
    this.#connectUntilMs = Number.POSITIVE_INFINITY;
    for (; this.#placed > 0; this.#placed--) {
      waiters.push(this.#queue.take(0) as PoolWaiter);
      this.#places.giveBack();
    }
    return waiters;
  }

  waitsForOthers(waiter: PoolWaiter): boolean {
    return this.#queue.indexOf(waiter) >= this.#covered;
  }

  cancel(waiter: PoolWaiter): void {
    const index = this.#queue.indexOf(waiter);
    if (index === -1) return;
    this.#queue.take(index);
    if (index < this.#placed) this.#endPlaced();
    this.#arm();
  }

  /** Somebody in front of the line waits no more: the next one has the place. */
  #endPlaced(): void {
    this.#placed -= 1;
    this.#places.giveBack();
    if (this.#queue.length > 0) this.#grow();
    if (this.#placed === 0) this.#link.unwant(this);
  }

  release(upstream: StreamUpstream): void {
    upstream.close();
    this.forget();
  }

  discard(upstream: StreamUpstream): void {
    upstream.giveUp();
    this.forget();
  }

  forget(): void {
    this.#busy -= 1;
    this.#places.giveBack();
    if (this.#queue.length > 0) this.#grow();
  }

  /** Connections are the link's, and may serve others. */
  evictOldest(): void {
    // None is this pool's own.
  }

  retire(): void {
    // The same: requests that are under way end by themselves.
  }

  onDeadline(nowMs: number): void {
    if (this.#connectUntilMs <= nowMs) this.#failConnect();
    if (this.#covered === 0) this.#recount();
    this.#queue.expire(nowMs, () => this.#covered);
    if (this.#queue.length > 0) this.#grow();
    this.#arm();
  }

  /** Nobody is counted any more: those in front may be about to leave. */
  #recount(): void {
    for (; this.#placed > 0; this.#placed--) this.#places.giveBack();
    this.#link.unwant(this);
  }

  #failConnect(): void {
    const { connectTimeoutMs } = this.target.limits ?? {};
    this.#link.unwant(this);
    const detail = `${this.#facts.peer}, limit ${connectTimeoutMs} ms`;
    this.onLinkFailed(new MeshError("CONNECT_TIMEOUT", detail));
  }

  #arm(): void {
    this.#armConnect();
    const queued = this.#queue.at(this.#covered)?.deadlineMs ?? Number.POSITIVE_INFINITY;
    this.deadlineMs = Math.min(queued, this.#connectUntilMs);
  }

  close(): void {
    this.#deps.deadlines.delete(this);
    this.#room.close();
    this.#link.unwant(this);
  }
}
