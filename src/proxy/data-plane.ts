import type { Socket } from "node:net";
import type { Config } from "../config/schema.ts";
import { canonicalAddress, type HostPort } from "../core/address.ts";
import { isProbe, PROBE_REPLY } from "../core/capture-probe.ts";
import type { Clock } from "../core/clock.ts";
import { Deadlines } from "../core/deadlines.ts";
import { MeshError } from "../core/errors.ts";
import type { Recorder } from "../core/facts.ts";
import type { Random } from "../core/random.ts";
import type { DataUpdate } from "../core/snapshot.ts";
import { Conn, type ConnHandler } from "../http/conn.ts";
import { TraceContext } from "../telemetry/trace-context.ts";
import { CapturedConnection } from "./captured.ts";
import { Clusters, OwnPlaces } from "./clusters.ts";
import type { Origin } from "./context.ts";
import { type Listener, type ListenerSpec, listen } from "./downstream/accept.ts";
import type { DestinationSource } from "./downstream/destination.ts";
import { WorkloadTable } from "./downstream/identify.ts";
import { ProtocolMemory } from "./downstream/protocol.ts";
import { Exchange } from "./exchange.ts";
import { toMeshError } from "./failure.ts";
import { judge } from "./judge.ts";
import type { Plane } from "./plane.ts";
import { recordRefusal, refuse } from "./refuse.ts";
import { ServiceTable, type TableChange } from "./routing/match/table.ts";
import type { WorkloadQuotas } from "./routing/policy/workload-quotas.ts";
import type { EndpointState } from "./upstream/balance/endpoint-state.ts";
import { Outlier } from "./upstream/balance/outlier.ts";
import type { PoolTarget } from "./upstream/pool/pool.ts";
import { Pools } from "./upstream/pool/pools.ts";
import { type DialHandler, dial } from "./upstream/transport/dial.ts";

export interface DataPlaneDeps {
  readonly config: Config;
  /** Views of the shared memory, of this worker. */
  readonly endpoints: EndpointState;
  readonly quotas: WorkloadQuotas;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly random: Random;
  /** How captured sockets tell where they were going; null where nothing is captured. */
  readonly destination: DestinationSource | null;
  /** Addresses and ports of this proxy: requests that lead there are refused as loops. */
  readonly ownAddresses: readonly string[];
  readonly ownPorts: readonly number[];
  readonly log: (message: string, facts?: object) => void;
}

/** Connections and pools of one worker at this moment. */
export interface DataPlaneStats {
  readonly connections: number;
  readonly idleUpstream: number;
  readonly busyUpstream: number;
  readonly pending: number;
}

/** An accepted connection, in whatever role. */
interface Live {
  drain(): void;
  destroy(): void;
}

/** How often a draining worker looks whether it is empty. */
const DRAIN_POLL_MS = 20;

/** The data path of one worker: accepts, identifies, and hands connections to the spine. */
export class DataPlane {
  readonly #plane: Plane;
  readonly #deps: DataPlaneDeps;
  readonly #listeners: Listener[] = [];
  readonly #live = new Set<Live>();

  constructor(deps: DataPlaneDeps) {
    this.#deps = deps;
    this.#plane = makePlane(deps);
  }

  get revision(): number {
    return this.#plane.services.revision;
  }

  /** Applies an update whole. Idle connections to endpoints that are gone are closed at once. */
  apply(update: DataUpdate): void {
    const change = this.#plane.services.apply(update);
    this.#plane.workloads.apply(update);
    for (const { before, after } of change.changed) this.#plane.clusters.update(before, after);
    for (const service of change.removed) this.#plane.clusters.remove(service);
    for (const slot of goneSlots(change)) this.#plane.pools.retire(slot);
  }

  /** Starts to accept. Resolves with the port once it does. */
  async listen(spec: ListenerSpec): Promise<{ port: number }> {
    const listener = await listen(spec, (socket) => this.take(socket, spec.entry));
    this.#listeners.push(listener);
    return { port: listener.port };
  }

  /** Serves a socket that a listener of `listen` (its own, or that of a warm-up) has accepted. */
  take(socket: Socket, entry: "captured" | "explicit"): void {
    const { recorder, quotas, config, workloads } = this.#plane;
    const { connections, workloadConnections } = config.limits;
    const address = canonicalAddress(socket.remoteAddress ?? "");
    const destination = entry === "captured" ? this.#destinationOf(socket) : null;
    if (destination !== null && isProbe(destination.host, destination.port)) {
      socket.on("error", () => socket.destroy());
      socket.end(PROBE_REPLY, () => socket.destroy());
      return;
    }
    const workload = workloads.at(address);
    const origin = { entry, address, workload, destination };
    if (this.#live.size >= connections) {
      recorder.event("connection_refused_limit");
      const error = new MeshError("CONNECTION_LIMIT", `${connections} connections`);
      refuse(this.#plane, socket, origin, error);
      return;
    }
    if (workload !== null && !quotas.tryOpenConnection(workload.slot, workloadConnections)) {
      recorder.event("connection_refused_quota");
      const detail = `${workload.key}, limit ${workloadConnections}`;
      refuse(this.#plane, socket, origin, new MeshError("QUOTA_CONNECTIONS", detail));
      return;
    }
    recorder.event("connection_opened");
    this.#serve(Conn.accept(socket, NOBODY), origin);
  }

  /** Null where it cannot be told; one connection's trouble must not be that of all. */
  #destinationOf(socket: Socket): HostPort | null {
    try {
      return this.#deps.destination?.of(socket) ?? null;
    } catch (error) {
      this.#deps.log("the original destination could not be read", { error: String(error) });
      return null;
    }
  }

  #serve(conn: Conn, origin: Origin): void {
    const { recorder, quotas } = this.#plane;
    let live: Live | null = null;
    let over = false;
    const onEnd = (): void => {
      if (over) return;
      over = true;
      if (origin.workload !== null) quotas.closeConnection(origin.workload.slot);
      recorder.event("connection_closed");
      if (live !== null) this.#live.delete(live);
    };
    try {
      const { destination } = origin;
      if (origin.entry === "explicit") live = new Exchange(this.#plane, origin, conn, onEnd);
      else if (destination !== null) {
        live = new CapturedConnection(this.#plane, { ...origin, destination }, conn, onEnd);
      } else throw new MeshError("INTERNAL", "the original destination is unknown");
      if (!over) this.#live.add(live);
    } catch (error) {
      recordRefusal(this.#plane, origin, toMeshError(error));
      conn.reset();
      onEnd();
    }
  }

  /** Accepts nothing more, lets requests and tunnels end, and breaks what is left at the deadline. */
  async drain(limitMs: number): Promise<void> {
    this.#plane.draining = true;
    for (const listener of this.#listeners) listener.close();
    for (const live of this.#live) live.drain();
    const { promise, resolve } = Promise.withResolvers<void>();
    const deadlineMs = this.#plane.clock.now() + limitMs;
    const poll = setInterval(() => {
      if (this.#live.size > 0 && this.#plane.clock.now() < deadlineMs) return;
      clearInterval(poll);
      for (const live of [...this.#live]) live.destroy();
      resolve();
    }, DRAIN_POLL_MS);
    await promise;
    this.#plane.pools.close();
    this.#plane.deadlines.close();
  }

  stats(): DataPlaneStats {
    const { idle, busy, pending } = this.#plane.pools.totals();
    return { connections: this.#live.size, idleUpstream: idle, busyUpstream: busy, pending };
  }
}

/** Holds an accepted connection for the moment until it gets its real handler. */
const NOBODY: ConnHandler = {
  onBytes: ignore,
  onFin: ignore,
  onDrain: ignore,
  onClose: ignore,
};

function ignore(): void {
  // Replaced within the same turn of the event loop.
}

/** Slots of endpoints that are gone, or that are not where they were. */
function goneSlots(change: TableChange): readonly number[] {
  const gone: number[] = [];
  for (const service of change.removed) gone.push(...service.endpoints.map((one) => one.slot));
  for (const { before, after } of change.changed) {
    if (before === undefined) continue;
    const places = new Map(after.endpoints.map((one) => [one.slot, one]));
    for (const old of before.endpoints) {
      const now = places.get(old.slot);
      if (now?.address !== old.address || now.port !== old.port) gone.push(old.slot);
    }
  }
  return gone;
}

/** A connection is judged once it is known where it has led. */
function judged(
  target: PoolTarget,
  handler: DialHandler,
  own: OwnPlaces,
  recorder: Recorder,
): DialHandler {
  return {
    onConnected(conn) {
      const error = judge(conn, target.client ?? null, own, recorder);
      if (error === null) {
        handler.onConnected(conn);
        return;
      }
      conn.destroy();
      handler.onDialFailed(error);
    },
    onDialFailed: (error) => handler.onDialFailed(error),
  };
}

function makePlane(deps: DataPlaneDeps): Plane {
  const { config, clock, random, endpoints, quotas, recorder } = deps;
  const { limits, timeouts, pool } = config;
  const deadlines = new Deadlines(clock);
  const own = new OwnPlaces(deps.ownAddresses, deps.ownPorts);
  const pools = new Pools({
    settings: {
      maxConnections: pool.maxConnectionsPerEndpoint,
      maxPending: pool.maxPendingPerEndpoint,
      maxIdle: pool.maxIdlePerEndpoint,
      maxRequestsPerConnection: pool.maxRequestsPerConnection,
      queueMs: timeouts.poolQueueMs,
      idleMs: timeouts.upstreamIdleMs,
      freshMs: timeouts.freshMs,
    },
    limits,
    counts: {
      tryOpenConnection: (slot, max) => slot < 0 || endpoints.tryOpenConnection(slot, max),
      closeConnection: (slot) => {
        if (slot >= 0) endpoints.closeConnection(slot);
      },
    },
    dial: (target, handler) => {
      dial(target, judged(target, handler, own, recorder), {
        clock,
        deadlines,
        connectMs: timeouts.connectMs,
      });
    },
    recorder,
    clock,
    deadlines,
  });
  return {
    config,
    clock,
    random,
    deadlines,
    recorder,
    trace: new TraceContext(),
    endpoints,
    quotas,
    outlier: new Outlier(endpoints, config.balance),
    services: new ServiceTable(),
    workloads: new WorkloadTable(),
    clusters: new Clusters({ state: endpoints, clock, random }, own),
    pools,
    memory: new ProtocolMemory(config.detection),
    own,
    server: {
      limits: {
        ...limits,
        headMs: timeouts.headMs,
        idleMs: timeouts.downstreamIdleMs,
        streamIdleMs: timeouts.streamIdleMs,
      },
      clock,
      deadlines,
    },
    draining: false,
  };
}
