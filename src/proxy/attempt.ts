import { randomBytes } from "node:crypto";
import { MeshError, type MeshErrorCode } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { RequestHead } from "../http/message.ts";
import type { Upstream } from "../http/upstream.ts";
import type { Cluster } from "./clusters.ts";
import { type Origin, sourceKey } from "./context.ts";
import { leftOf, pickElsewhere, wasTried } from "./left-endpoints.ts";
import type { Plane } from "./plane.ts";
import { reportAnalysis } from "./report-analysis.ts";
import { type Destination, hashFor, pickEndpoint } from "./resolve.ts";
import type { RoutePlan } from "./route-plan.ts";
import { shedError } from "./routing/policy/adaptive-limit.ts";
import { isProbe } from "./routing/policy/probe.ts";
import { mayRetry } from "./routing/policy/retry.ts";
import { meshRoute } from "./secure-transport.ts";
import { securityTo } from "./security.ts";
import { hashOf } from "./upstream/balance/hash.ts";
import type {
  Freshness,
  PoolTarget,
  PoolWaiter,
  UpstreamPool,
} from "./upstream/pool/upstream-pool.ts";
import { declaredProtocol, upstreamProtocol } from "./upstream-protocol.ts";

/** A response of this status counts against its endpoint. */
export const FIRST_FAILURE_STATUS = 500;
const NONE: readonly DataEndpoint[] = [];

/**
 * One try of a request at one endpoint: balance, pool, and what is reported back to both. The object is used
 * again for the next try and the next request of the connection.
 */
export class Attempt {
  /** Major version of HTTP that the client speaks. */
  version: 1 | 2 = 1;
  /** What the request occupies, once there is one. */
  upstream: Upstream | null = null;
  endpoint: DataEndpoint | null = null;
  /** Was the request sent to this endpoint before? The balancer may have no other to offer. */
  isRepeat = false;
  /** Has the try failed in a way that makes an ejected endpoint no worse than this one? */
  takesEjected = false;
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #facts: RequestFacts;
  #destination: Destination | null = null;
  /** Does the request ask to leave HTTP, in a way that HTTP/2 has no words for (RFC 9113 section 8.6)? */
  #leavesHttp = false;
  #pool: UpstreamPool | null = null;
  #waiting: PoolWaiter | null = null;
  /** Does it count among those of its source that wait? */
  #isCounted = false;
  #tried: DataEndpoint[] = [];
  readonly #result = { status: 0, local: false, latencyMs: 0, probe: 0 };
  /** The pick was a probe of a shut endpoint, which waits for its result; 0: it was none. */
  #probe = 0;
  /** Requests at the endpoint when this one was sent, where that is watched. */
  #inFlight = 0;
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
  pick(destination: Destination, head: RequestHead, plan: RoutePlan): DataEndpoint | null {
    this.#facts.attempts += 1;
    this.#destination = destination;
    if (destination.kind === "outside") return null;
    this.#leavesHttp = head.upgrade !== "" && head.upgrade.toLowerCase() !== "websocket";
    const hash = this.#hash(destination.cluster, head, plan);
    const avoided = plan.retry?.rule.avoidTried === false ? NONE : this.#tried;
    const endpoint = this.takesEjected
      ? pickElsewhere(this.#plane, destination, hash, avoided)
      : pickEndpoint(destination, hash, avoided);
    this.isRepeat = wasTried(endpoint, this.#tried);
    this.#probe = destination.fixed === null ? destination.cluster.balancer.probe : 0;
    this.#shed(destination.cluster, endpoint, head);
    this.endpoint = endpoint;
    this.#facts.endpoint = endpoint;
    this.#plane.endpoints.begin(endpoint.slot);
    return endpoint;
  }

  /** The first request of a caller has no cookie yet by which its later ones are told: it gets one (Envoy). */
  #hash(cluster: Cluster, head: RequestHead, plan: RoutePlan): number {
    const hash = hashFor(cluster, this.#origin, head);
    const on = cluster.hashOn;
    if (hash !== -1 || on?.kind !== "cookie" || on.ttlSeconds === undefined) return hash;
    const value = randomBytes(8).toString("hex");
    const age = on.ttlSeconds === 0 ? "" : `; Max-Age=${on.ttlSeconds}`;
    const path = on.path === undefined ? "" : `; Path=${on.path}`;
    plan.cookie = `Set-Cookie: ${on.name}=${value}${age}${path}; HttpOnly\r\n`;
    plan.active = true;
    return hashOf(value);
  }

  /** Asks for a connection to what was picked. Throws where mutual TLS is demanded and not to be had. */
  acquire(waiter: PoolWaiter, freshness: Freshness): void {
    const nowMs = this.#plane.clock.now();
    // It has waited at another pool already.
    if (this.#waiting !== null) this.#facts.queueMs += nowMs - this.#queuedMs;
    this.#queuedMs = nowMs;
    this.#pool = this.#plane.pools.get(sourceKey(this.#origin), this.#target());
    this.#waiting = waiter;
    this.sentMs = this.#queuedMs;
    const connection = this.#pool.acquire(waiter, freshness);
    if (connection !== null) {
      this.#waiting = null;
      waiter.onConnection(connection);
    } else if (this.#waiting === waiter && !this.#isCounted) {
      this.#countWaiting(this.#pool, waiter);
    }
  }

  /** The caller may have so many requests that wait, over all workers. */
  #countWaiting(pool: UpstreamPool, waiter: PoolWaiter): void {
    const { workload } = this.#origin;
    if (workload === null) return;
    const max = this.#plane.config.limits.workloadPending;
    this.#isCounted = this.#plane.quotas.tryPending(workload.slot, max);
    if (this.#isCounted) return;
    pool.cancel(waiter);
    this.#plane.recorder.event("pool_queue_full");
    const detail = `${workload.key} has its ${max} requests that wait for a connection`;
    waiter.onNoConnection(new MeshError("POOL_QUEUE_FULL", detail));
  }

  /** The request does not wait for a connection any more. */
  #endWait(): void {
    this.#waiting = null;
    if (this.#isCounted) this.#plane.quotas.endPending(this.#origin.workload?.slot ?? 0);
    this.#isCounted = false;
  }

  #target(): PoolTarget {
    const destination = this.#destination as Destination;
    const { endpoint } = this;
    if (destination.kind === "outside" || endpoint === null) {
      const { host, port } = destination as Exclude<Destination, { kind: "cluster" }>;
      const protocol = protocolIn(upstreamProtocol(undefined, this.version));
      return { host, port, slot: -1, client: this.#origin.address, ...protocol };
    }
    const { cluster } = destination;
    const { address: host, port, slot } = endpoint;
    const declared = declaredProtocol(cluster.service, endpoint);
    const protocol = upstreamProtocol(declared, this.version);
    const mesh = meshRoute(destination, endpoint, this.#origin, protocol ?? "http/1.1");
    this.#facts.security = securityTo(this.#plane, destination, endpoint, this.#origin, mesh);
    const { limits } = cluster;
    if (mesh === undefined && limits === null && protocol === null) return { host, port, slot };
    return {
      ...{ host, port, slot, ...protocolIn(protocol) },
      ...(mesh === undefined ? {} : { mesh, inTunnel: this.#leavesHttp }),
      ...(limits === null ? {} : { limits }),
    };
  }

  /** The connection is there; the request is about to be written. */
  onConnection(connection: Upstream): void {
    const waited = this.#waiting !== null;
    const nowMs = waited ? this.#plane.clock.now() : this.#queuedMs;
    const facts = this.#facts;
    this.#endWait();
    this.upstream = connection;
    this.sentMs = nowMs;
    facts.queueMs += nowMs - this.#queuedMs;
    facts.proxyMs = nowMs - facts.startMs - facts.queueMs - this.#lostMs;
  }

  /**
   * The response head is there, or (`local`) the try has failed without one: tells balancer and ejection.
   */
  observe(status: number, local: boolean, nowMs: number): void {
    // A request that waited for a connection to become free has not been at the endpoint.
    const isQueued = this.#waiting !== null && this.#pool?.waitsForOthers(this.#waiting);
    this.#measure(local || status >= FIRST_FAILURE_STATUS, nowMs, isQueued === true);
    if (isQueued !== true) this.#judge(status, local, nowMs);
  }

  /** The head of a gRPC response is there: how fast it came is known, what it is worth its trailers tell (`observeEnd`). */
  observeHead(nowMs: number): void {
    this.#measure(false, nowMs, false);
  }

  /** A response of which the head was observed has ended with this status, in HTTP's terms. */
  observeEnd(status: number, nowMs: number): void {
    const { endpoint } = this;
    const isFailure = status >= FIRST_FAILURE_STATUS;
    if (isFailure && endpoint !== null) {
      this.#plane.endpoints.observe(endpoint.slot, this.#facts.upstreamMs, true, nowMs);
    }
    this.#judge(status, false, nowMs);
  }

  #measure(isFailure: boolean, nowMs: number, isQueued: boolean): void {
    const { endpoint } = this;
    const latencyMs = nowMs - (this.upstream === null ? this.#queuedMs : this.sentMs);
    this.#facts.upstreamMs = latencyMs;
    if (endpoint === null || isQueued) return;
    this.#plane.endpoints.observe(endpoint.slot, latencyMs, isFailure, nowMs);
  }

  #judge(status: number, local: boolean, nowMs: number): void {
    const { endpoint } = this;
    const destination = this.#destination;
    if (endpoint === null || destination?.kind !== "cluster") return;
    const { upstreamMs: latencyMs } = this.#facts;
    const { outlier } = this.#plane;
    const { group, service } = destination.cluster;
    const result = this.#result;
    result.status = status;
    result.local = local;
    result.latencyMs = latencyMs;
    result.probe = this.#probe;
    this.#probe = 0;
    if (outlier.onResult(group, endpoint, result, nowMs)) {
      this.#plane.recorder.ejection(service, endpoint);
    }
    if (group.outlier !== null) reportAnalysis(this.#plane, service, group, nowMs);
    const { concurrency } = destination.cluster.settings;
    if (concurrency === undefined) return;
    const dropped = local || status === 503 || status === 429;
    this.#plane.adaptive.observe(
      endpoint.slot,
      latencyMs,
      this.#inFlight,
      dropped,
      concurrency,
      nowMs,
    );
  }

  /** Throws where the endpoint, and so every other one, has as many requests in flight as it was found to bear. */
  #shed({ settings, service }: Cluster, endpoint: DataEndpoint, head: RequestHead): void {
    const { concurrency } = settings;
    if (concurrency === undefined) return;
    const { endpoints, adaptive } = this.#plane;
    const inFlight = endpoints.inFlight(endpoint.slot);
    if (!adaptive.admits(endpoint.slot, inFlight, concurrency, isProbe(head))) {
      this.#plane.outlier.abandon(endpoint, this.#probe);
      throw shedError(service.key);
    }
    this.#inFlight = inFlight + 1;
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

  /**
   * Remembers the endpoint as one to avoid, and gives everything back for the next try. `reuse`: its answer was read to
   * the end.
   */
  giveUp(reuse: boolean): void {
    if (this.endpoint !== null) this.#tried.push(this.endpoint);
    if (this.upstream !== null) this.#lostMs += this.#plane.clock.now() - this.sentMs;
    this.end(reuse, this.#plane.clock.now());
  }

  /** Ends the try. The connection goes back to its pool if `reuse`, and if it may be used again. */
  end(reuse: boolean, nowMs = 0): void {
    const { endpoint, upstream } = this;
    const pool = this.#pool;
    this.endpoint = null;
    this.upstream = null;
    this.#pool = null;
    if (endpoint !== null) {
      this.#plane.endpoints.end(endpoint.slot);
      if (this.#probe !== 0) this.#plane.outlier.abandon(endpoint, this.#probe);
    }
    this.#probe = 0;
    if (upstream !== null && reuse) pool?.release(upstream, nowMs);
    else if (upstream !== null) pool?.discard(upstream);
    else if (this.#waiting !== null) {
      this.#facts.queueMs += this.#plane.clock.now() - this.#queuedMs;
      pool?.cancel(this.#waiting);
    }
    this.#endWait();
  }

  /** The connection has become a tunnel, which ends on its own; returns what must be called then. */
  handOver(): () => void {
    const { endpoint, upstream } = this;
    const pool = this.#pool;
    this.endpoint = null;
    this.upstream = null;
    this.#pool = null;
    this.#probe = 0;
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
    this.takesEjected = false;
    this.isRepeat = false;
    this.#destination = null;
  }

  /**
   * May the request be sent again after this failure, by the daemon's own rule? `whole`: it can still be sent as it was;
   * `attempts`: tries that count.
   * To the same endpoint only once, where a connection was lost that had served before: the endpoint may just have
   * been about to close it.
   */
  mayRepeat(code: MeshErrorCode, method: string, whole: boolean, attempts: number): boolean {
    return mayRetry({
      code,
      method,
      attempts,
      maxAttempts: this.#plane.config.limits.attempts,
      replayable: whole,
      answered: false,
      elsewhere: this.hasOther || (this.isReused && attempts === 1),
    });
  }

  /** Had the connection of this try served before? */
  get isReused(): boolean {
    return this.upstream !== null && this.upstream.requests > 1;
  }

  /** May the endpoint, or its host, say of a request that it has not looked at it (RFC 9113 section 8.7)? */
  get mayBeRefused(): boolean {
    const target = this.#pool?.target;
    return target?.protocol === "h2" || target?.mesh !== undefined;
  }

  /** Is there an endpoint that this request was not sent to yet? */
  get hasOther(): boolean {
    const { endpoint } = this;
    const destination = this.#destination;
    if (endpoint === null || destination?.kind !== "cluster") return false;
    const tried = [...this.#tried, endpoint];
    const isLeft = (kind: "in service" | "ejected") =>
      leftOf(this.#plane, destination, tried, kind).length > 0;
    return isLeft("in service") || (this.takesEjected && isLeft("ejected"));
  }

  /** Whom the request was sent to, or its service, for people. */
  get peer(): string {
    return this.upstream?.peer ?? this.#facts.service?.key ?? "";
  }

  /** Does the endpoint not take what was sent to it? */
  get congested(): boolean {
    return this.upstream !== null && this.upstream.carrier.pendingBytes > 0;
  }
}

function protocolIn(protocol: "h2" | null): { protocol?: "h2" } {
  return protocol === null ? {} : { protocol };
}
