import type { MeshErrorCode } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { ClientConnection } from "../http/h1/client.ts";
import type { RequestHead } from "../http/message.ts";
import { type Origin, sourceKey } from "./context.ts";
import type { Plane } from "./plane.ts";
import { type Destination, hashFor, othersOf, pickEndpoint } from "./resolve.ts";
import { mayRetry } from "./routing/policy/retry.ts";
import { meshRoute } from "./secure-transport.ts";
import type { Freshness, Pool, PoolTarget, PoolWaiter } from "./upstream/pool/pool.ts";

/**
 * One try of a request at one endpoint: balance, pool, and what is reported back to both. The object is used
 * again for the next try and the next request of the connection.
 */
export class Attempt {
  /** The connection that the request occupies, once there is one. */
  upstream: ClientConnection | null = null;
  endpoint: DataEndpoint | null = null;
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #facts: RequestFacts;
  #destination: Destination | null = null;
  #pool: Pool | null = null;
  #waiting: PoolWaiter | null = null;
  #tried: DataEndpoint[] = [];
  /** Time that earlier tries of this request spent at their endpoints. */
  #lostMs = 0;
  #queuedMs = 0;
  /** When the request was handed to the connection. */
  sentMs = 0;

  constructor(plane: Plane, origin: Origin, facts: RequestFacts) {
    this.#plane = plane;
    this.#origin = origin;
    this.#facts = facts;
  }

  /** Picks an endpoint; null outside the mesh. Throws where there is none. `acquire` is the next step. */
  pick(destination: Destination, head: RequestHead): DataEndpoint | null {
    this.#facts.attempts += 1;
    this.#destination = destination;
    if (destination.kind === "outside") return null;
    const hash = hashFor(destination.cluster, this.#origin, head);
    const endpoint = pickEndpoint(destination, hash, this.#tried);
    this.endpoint = endpoint;
    this.#facts.endpoint = endpoint;
    this.#plane.endpoints.begin(endpoint.slot);
    return endpoint;
  }

  /** Asks for a connection to what was picked. Throws where mutual TLS is demanded and not to be had. */
  acquire(waiter: PoolWaiter, freshness: Freshness): void {
    this.#queuedMs = this.#plane.clock.now();
    this.#pool = this.#plane.pools.get(sourceKey(this.#origin), this.#target());
    this.#waiting = waiter;
    this.sentMs = this.#queuedMs;
    const connection = this.#pool.acquire(waiter, freshness);
    if (connection !== null) {
      this.#waiting = null;
      waiter.onConnection(connection);
    }
  }

  #target(): PoolTarget {
    const destination = this.#destination as Destination;
    const { endpoint } = this;
    if (destination.kind === "outside" || endpoint === null) {
      const { host, port } = destination as Exclude<Destination, { kind: "cluster" }>;
      return { host, port, slot: -1, client: this.#origin.address };
    }
    const { address: host, port, slot } = endpoint;
    const mesh = meshRoute(destination, endpoint, this.#origin, "http/1.1");
    return mesh === undefined ? { host, port, slot } : { host, port, slot, mesh };
  }

  /** The connection is there; the request is about to be written. */
  onConnection(connection: ClientConnection): void {
    const waited = this.#waiting !== null;
    const nowMs = waited ? this.#plane.clock.now() : this.#queuedMs;
    const facts = this.#facts;
    this.#waiting = null;
    this.upstream = connection;
    this.sentMs = nowMs;
    facts.queueMs += nowMs - this.#queuedMs;
    facts.proxyMs = nowMs - facts.startMs - facts.queueMs - this.#lostMs;
  }

  /** The response head is there, or the try has failed: tells balancer and ejection. */
  observe(failed: boolean, nowMs: number): void {
    const endpoint = this.endpoint;
    const destination = this.#destination;
    const latencyMs = nowMs - (this.upstream === null ? this.#queuedMs : this.sentMs);
    this.#facts.upstreamMs = latencyMs;
    if (endpoint === null || destination?.kind !== "cluster") return;
    const { endpoints, outlier, recorder } = this.#plane;
    endpoints.observe(endpoint.slot, latencyMs, failed, nowMs);
    if (outlier.onResult(destination.cluster.endpoints, endpoint, failed, nowMs)) {
      recorder.ejection(destination.cluster.service, endpoint);
    }
  }

  /**
   * The client gave up while the endpoint was silent. That is news only where it took longer than expected;
   * otherwise impatient clients would make an endpoint look fast.
   */
  observeAbandoned(nowMs: number): void {
    if (this.endpoint === null || this.upstream === null) return;
    const waitedMs = nowMs - this.sentMs;
    const { endpoints } = this.#plane;
    if (waitedMs > endpoints.latencyAt(this.endpoint.slot, nowMs)) {
      endpoints.observe(this.endpoint.slot, waitedMs, false, nowMs);
    }
  }

  /** Remembers the endpoint as one to avoid, and gives everything back for the next try. */
  giveUp(): void {
    if (this.endpoint !== null) this.#tried.push(this.endpoint);
    if (this.upstream !== null) this.#lostMs += this.#plane.clock.now() - this.sentMs;
    this.end(false);
  }

  /** Ends the try. The connection goes back to its pool if `reuse`, and if it may be used again. */
  end(reuse: boolean, nowMs = 0): void {
    const { endpoint, upstream } = this;
    const pool = this.#pool;
    this.endpoint = null;
    this.upstream = null;
    this.#pool = null;
    if (endpoint !== null) this.#plane.endpoints.end(endpoint.slot);
    if (upstream !== null && reuse) pool?.release(upstream, nowMs);
    else if (upstream !== null) pool?.discard(upstream);
    else if (this.#waiting !== null) {
      this.#facts.queueMs += this.#plane.clock.now() - this.#queuedMs;
      pool?.cancel(this.#waiting);
    }
    this.#waiting = null;
  }

  /** The connection has become a tunnel, which ends on its own; returns what must be called then. */
  handOver(): () => void {
    const { endpoint, upstream } = this;
    const pool = this.#pool;
    this.endpoint = null;
    this.upstream = null;
    this.#pool = null;
    upstream?.detach();
    return () => {
      if (endpoint !== null) this.#plane.endpoints.end(endpoint.slot);
      pool?.forget();
    };
  }

  /** The request is over: the next one starts with every endpoint. */
  reset(): void {
    if (this.#tried.length > 0) this.#tried = [];
    this.#lostMs = 0;
    this.#destination = null;
  }

  /**
   * May the request be sent again after this failure? `whole`: it can still be sent as it was. To the same
   * endpoint only once, where a connection was lost that had served before: the endpoint may just have
   * been about to close it.
   */
  mayRepeat(code: MeshErrorCode, method: string, whole: boolean, answered: boolean): boolean {
    const { attempts } = this.#facts;
    const reused = this.upstream !== null && this.upstream.requests > 1;
    return mayRetry({
      code,
      method,
      attempts,
      maxAttempts: this.#plane.config.limits.attempts,
      replayable: whole,
      answered,
      elsewhere: this.#hasOther || (reused && attempts === 1),
    });
  }

  /** Is there an endpoint that this request was not sent to yet? */
  get #hasOther(): boolean {
    const { endpoint } = this;
    const destination = this.#destination;
    if (endpoint === null || destination === null) return false;
    return othersOf(this.#plane, destination, endpoint).some(
      (one) => !this.#tried.some((tried) => tried.slot === one.slot),
    );
  }

  /** Whom the request was sent to, or its service, for people. */
  get peer(): string {
    return this.upstream?.peer ?? this.#facts.service?.key ?? "";
  }

  /** Does the endpoint not take what was sent to it? */
  get congested(): boolean {
    return this.upstream !== null && this.upstream.conn.pendingBytes > 0;
  }
}
