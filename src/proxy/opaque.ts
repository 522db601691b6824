import { formatHostPort } from "../core/address.ts";
import { CODES, MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { Carrier } from "../http/carrier.ts";
import { Conn } from "../http/conn.ts";
import { Admission, type Guarded, guardedAt, guardedOutside, isTakenOver } from "./admission.ts";
import type { Cluster, ToCluster } from "./clusters.ts";
import { type Origin, trafficSource } from "./context.ts";
import { newDetails, noteServerName, placesOf } from "./details.ts";
import { FirstLine } from "./downstream/protocol.ts";
import { newFacts, OUTSIDE } from "./exchange-facts.ts";
import { toMeshError } from "./failure.ts";
import type { Asked } from "./judge.ts";
import { leftOf, pickElsewhere } from "./left-endpoints.ts";
import { OpaqueDial } from "./opaque-dial.ts";
import type { Plane } from "./plane.ts";
import { reportAnalysis } from "./report-analysis.ts";
import { type Destination, hashFor, refuseForbidden, serviceOf } from "./resolve.ts";
import { routeTcp } from "./route-tcp.ts";
import { mayRetry } from "./routing/policy/retry.ts";
import { overflow } from "./routing/policy/service-limits.ts";
import { meshRoute, type TransportTarget } from "./secure-transport.ts";
import { securityTo } from "./security.ts";
import { Tunnel, type TunnelEnd } from "./tunnel.ts";
import type { PoolLimits } from "./upstream/pool/upstream-pool.ts";
import type { Dial } from "./upstream/transport/dial.ts";

export interface OpaqueHandler {
  /** The endpoint is connected; its `conn.handler` is the caller's to set, or `join` does. */
  onReady(conn: Carrier): void;
  onFailed(error: MeshError): void;
  /** Is the connection opened ahead, while the client may yet turn out to speak HTTP? */
  mayBeHttp?(): boolean;
}

/** What a connection that came about counts as, where statuses are counted. */
const CONNECTED = 200;

/** Do policies forbid it, as against a failure? */
export function isRefusal({ code }: MeshError): boolean {
  return code === "ACCESS_DENIED" || code === "PLAINTEXT_REFUSED";
}

/**
 * One opaque connection: picks an endpoint, dials it (and another, when that fails), and joins the client
 * to it. It is in flight at its endpoint from the dial to the end of the tunnel, so that queue depth counts
 * connections too, and it is recorded exactly once.
 */
export class OpaqueSession {
  readonly #plane: Plane;
  readonly #origin: Origin;
  #destination: Destination;
  readonly #handler: OpaqueHandler;
  readonly #facts: RequestFacts;
  readonly #admission: Admission;
  readonly #tried: DataEndpoint[] = [];
  #endpoint: DataEndpoint | null = null;
  #dial: Dial | null = null;
  /** The connection to the endpoint, or the tunnel to it. */
  #conn: Carrier | null = null;
  #attemptMs = 0;
  /** Why the tunnel was ended from here; null: it was not. */
  #broken: MeshError | null = null;
  /** The pick was a probe of a shut endpoint; 0: it was none. */
  #probe = 0;
  /** Slot of the service on which the connection counts; -1: on none. */
  #serviceSlot = -1;
  /** Has `started` been reported? */
  #counted: boolean;
  /** Is it not ours to report the end? */
  readonly #recorded: boolean;
  #over = false;

  /** With `facts` the session is part of a request, which records it all itself. */
  constructor(
    plane: Plane,
    origin: Origin,
    destination: Destination,
    handler: OpaqueHandler,
    facts?: RequestFacts,
  ) {
    this.#plane = plane;
    this.#origin = origin;
    this.#destination = destination;
    this.#handler = handler;
    this.#admission = new Admission(plane, origin);
    this.#counted = facts !== undefined;
    this.#recorded = facts !== undefined;
    this.#facts = facts ?? tunnelFacts(plane, origin, destination);
  }

  start(): void {
    try {
      refuseForbidden(this.#destination);
      this.#destination = routeTcp(this.#plane, this.#origin, this.#destination, this.#facts);
    } catch (error) {
      this.#fail(toMeshError(error));
      return;
    }
    this.#attempt();
  }

  #attempt(): void {
    this.#facts.attempts += 1;
    this.#attemptMs = this.#plane.clock.now();
    try {
      const target = this.#target();
      this.#dial = new OpaqueDial(this.#plane, target, this.#asked, {
        onConnected: (conn) => this.#onConnected(conn),
        onDialFailed: (error: MeshError) => this.#onDialFailed(error),
      });
    } catch (error) {
      this.#fail(toMeshError(error));
    }
  }

  /** A destination outside the mesh, and who asks for it. */
  get #asked(): Asked | null {
    const destination = this.#destination;
    const isOutside = destination.kind === "outside";
    return isOutside ? { host: destination.host, client: this.#origin.address } : null;
  }

  #target(): TransportTarget {
    const destination = this.#destination;
    if (destination.kind === "outside") {
      this.#permit(guardedOutside(this.#plane, destination));
      return destination;
    }
    const hash = hashFor(destination.cluster, this.#origin, null);
    const endpoint = pickElsewhere(this.#plane, destination, hash, this.#tried);
    this.#probe = destination.fixed === null ? destination.cluster.balancer.probe : 0;
    const mesh = this.#admit(destination, endpoint);
    this.#plane.endpoints.begin(endpoint.slot);
    this.#endpoint = endpoint;
    this.#facts.endpoint = endpoint;
    const { connectTimeoutMs: connectMs } = destination.cluster.limits ?? {};
    return {
      ...{ host: endpoint.address, port: endpoint.port },
      ...(mesh === undefined ? {} : { mesh }),
      ...(connectMs === undefined ? {} : { connectMs }),
    };
  }

  /** May the connection be made? Throws where it may not; else how it gets to the endpoint's host. */
  #admit(destination: ToCluster, endpoint: DataEndpoint): TransportTarget["mesh"] {
    try {
      this.#permit(guardedAt(this.#plane, destination, endpoint, this.#origin));
      const mesh = meshRoute(destination, endpoint, this.#origin, "tcp");
      this.#facts.security = securityTo(this.#plane, destination, endpoint, this.#origin, mesh);
      this.#takeConnection(destination.cluster, endpoint);
      return mesh;
    } catch (error) {
      // What never reaches the endpoint is no probe of it.
      this.#plane.outlier.abandon(endpoint, this.#probe);
      this.#probe = 0;
      throw error;
    }
  }

  /** Counts the connection against the limits of its endpoint and of its service. Throws where one is reached. */
  #takeConnection({ limits, service }: Cluster, endpoint: DataEndpoint): void {
    const { endpoints, config, serviceLimits } = this.#plane;
    const most = limits?.maxConnections;
    if (limits !== null && limits.slot >= 0 && most !== undefined) {
      if (!serviceLimits.tryConnection(limits.slot, most)) {
        throw overflow("connections", service.key, most);
      }
      this.#serviceSlot = limits.slot;
    }
    if (!endpoints.tryOpenConnection(endpoint.slot, config.pool.maxConnectionsPerEndpoint)) {
      this.#releaseService();
      const place = formatHostPort(endpoint.address, endpoint.port);
      throw new MeshError("POOL_QUEUE_FULL", `${place} has its limit of connections`);
    }
  }

  #releaseService(): void {
    if (this.#serviceSlot >= 0) this.#plane.serviceLimits.endConnection(this.#serviceSlot);
    this.#serviceSlot = -1;
  }

  /** Throws where policies forbid it. */
  #permit(guarded: Guarded | null): void {
    const error = guarded === null ? null : this.#admission.connection(guarded);
    if (error !== null) throw error;
  }

  /** Policies, authorities or the owners of addresses have changed: what forbids the connection now, or null. */
  review(): MeshError | null {
    const { endpoint } = this.#facts;
    if (isTakenOver(this.#plane, endpoint)) {
      return new MeshError("IDENTITY_MISMATCH", `${endpoint?.id} is another workload's now`);
    }
    if (this.#conn !== null && !this.#plane.transport.isTrusted(this.#conn)) {
      return new MeshError("TLS_FAILED", `${endpoint?.identity} is no longer vouched for`);
    }
    return this.#admission.again();
  }

  #onConnected(conn: Carrier): void {
    this.#dial = null;
    this.#conn = conn;
    this.#observe(false);
    this.#plane.recorder.event("upstream_connection_opened");
    this.#handler.onReady(conn);
  }

  #onDialFailed(error: MeshError): void {
    this.#dial = null;
    const endpoint = this.#endpoint;
    // A caller who may not, or has no certificate, says nothing about the endpoint.
    if (CODES[error.code].side === "upstream") {
      this.#observe(true);
      this.#plane.recorder.event("upstream_connection_failed");
    }
    this.#releaseEndpoint();
    const { attempts } = this.#facts;
    const maxAttempts = this.#plane.config.limits.attempts;
    const attempt = { code: error.code, method: "CONNECT", attempts, maxAttempts };
    if (endpoint !== null) this.#tried.push(endpoint);
    const elsewhere = this.#hasOther;
    if (!mayRetry({ ...attempt, replayable: true, answered: false, elsewhere })) {
      this.#fail(error);
      return;
    }
    this.#plane.recorder.retry(serviceOf(this.#destination), error.code);
    this.#attempt();
  }

  /** Is there an endpoint that was not dialled yet, be it an ejected one? */
  get #hasOther(): boolean {
    const destination = this.#destination;
    if (destination.kind === "outside") return false;
    const isLeft = (kind: "in service" | "ejected") =>
      leftOf(this.#plane, destination, this.#tried, kind).length > 0;
    return isLeft("in service") || isLeft("ejected");
  }

  #observe(failed: boolean): void {
    const endpoint = this.#endpoint;
    const destination = this.#destination;
    if (endpoint === null || destination.kind === "outside") return;
    const { clock, endpoints, outlier, recorder } = this.#plane;
    const { group, service } = destination.cluster;
    const nowMs = clock.now();
    const latencyMs = nowMs - this.#attemptMs;
    this.#facts.upstreamMs = latencyMs;
    endpoints.observe(endpoint.slot, latencyMs, failed, nowMs);
    const result = { status: failed ? 0 : CONNECTED, local: failed, latencyMs, probe: this.#probe };
    this.#probe = 0;
    if (outlier.onResult(group, endpoint, result, nowMs)) recorder.ejection(service, endpoint);
    if (group.outlier !== null) reportAnalysis(this.#plane, service, group, nowMs);
  }

  /**
   * Joins the client to the connected endpoint. `early` are bytes that the client has sent already; `isUnclear`: they may
   * yet turn out to begin a request, which must not pass.
   */
  join(client: Carrier, early: Buffer | null, onEnd: () => void, isUnclear = false): Tunnel {
    const conn = this.#conn as Carrier;
    // A stream shares its connection with other sources.
    if (!(conn instanceof Conn)) conn.share = client.share;
    const { clock, deadlines, config, recorder } = this.#plane;
    const { tunnelIdleMs, halfCloseMs } = config.timeouts;
    const settings = { idleMs: this.#limits?.idleTimeoutMs ?? tunnelIdleMs, halfCloseMs };
    recorder.event("tunnel_opened");
    this.#count();
    const { details } = this.#facts;
    if (details !== null && !this.#recorded) {
      if (conn instanceof Conn) details.upstream = placesOf(conn.socket);
      if (early !== null) noteServerName(details, early);
    }
    const line = isUnclear ? new FirstLine() : null;
    const mayPass = (chunk: Buffer, start: number, end: number) => {
      const may = line?.mayPass(chunk, start, end) ?? true;
      if (!may)
        this.#broken = new MeshError("HEAD_TIMEOUT", "a request after a pause in its first line");
      return may;
    };
    const deps = { settings, clock, deadlines, ...(isUnclear ? { mayPass } : {}) };
    const tunnel = new Tunnel(client, conn, deps, (end) => {
      recorder.event("tunnel_closed");
      this.#ended(end);
      onEnd();
    });
    if (early !== null) tunnel.fromClient(early, early.length);
    return tunnel;
  }

  get #limits(): PoolLimits | null {
    return this.#destination.kind === "cluster" ? this.#destination.cluster.limits : null;
  }

  #ended(end: TunnelEnd): void {
    this.#facts.requestBytes = end.bytesUp;
    this.#facts.responseBytes = end.bytesDown;
    this.#plane.recorder.event("upstream_connection_closed");
    this.#finish(this.#broken);
  }

  /** The client went away before the tunnel stood. */
  cancel(error: MeshError): void {
    this.abandon();
    this.#finish(error);
  }

  /** The connection turned out to be HTTP: this attempt ends without a record, as if it had not been. */
  abandon(): void {
    this.#dial?.cancel();
    this.#dial = null;
    if (this.#conn !== null) {
      this.#plane.recorder.event("upstream_connection_closed");
      this.#conn.destroy();
    }
    this.#releaseEndpoint();
  }

  #fail(error: MeshError): void {
    if (this.#over) return;
    // Nothing has happened yet: whether this is a refusal at all, is decided by what the client sends.
    if (isRefusal(error) && this.#handler.mayBeHttp?.()) {
      this.#over = true;
      this.#releaseEndpoint();
    } else this.#finish(error);
    this.#handler.onFailed(error);
  }

  #finish(error: MeshError | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#count();
    this.#releaseEndpoint();
    if (this.#recorded) return;
    this.#facts.error = error?.code ?? null;
    if (this.#facts.details !== null) this.#facts.details.failure = error?.message ?? "";
    this.#facts.durationMs = this.#plane.clock.now() - this.#facts.startMs;
    this.#plane.recorder.exchange(this.#facts);
  }

  #count(): void {
    if (this.#counted) return;
    this.#counted = true;
    this.#plane.recorder.started(trafficSource(this.#origin), serviceOf(this.#destination));
    this.#plane.recorder.opened(this.#facts);
  }

  #releaseEndpoint(): void {
    const endpoint = this.#endpoint;
    if (endpoint === null) return;
    this.#endpoint = null;
    this.#plane.endpoints.end(endpoint.slot);
    if (this.#probe !== 0) this.#plane.outlier.abandon(endpoint, this.#probe);
    this.#probe = 0;
    this.#plane.endpoints.closeConnection(endpoint.slot);
    this.#releaseService();
  }
}

function tunnelFacts(plane: Plane, origin: Origin, destination: Destination): RequestFacts {
  const place = origin.destination;
  return {
    ...newFacts(origin),
    details: plane.watch.details ? newDetails(origin) : null,
    ...(destination.kind === "outside" ? OUTSIDE : {}),
    protocol: "tcp",
    service: serviceOf(destination),
    target: place === null ? "" : formatHostPort(place.host, place.port),
    startMs: plane.clock.now(),
  };
}
