import type { Socket } from "node:net";
import type { Config } from "../config/schema.ts";
import { canonicalAddress, formatHostPort, type HostPort } from "../core/address.ts";
import type { StartTimer } from "../core/alarms.ts";
import { isProbe, PROBE_REPLY } from "../core/capture-probe.ts";
import type { Clock } from "../core/clock.ts";
import { MeshError } from "../core/errors.ts";
import type { Watch } from "../core/exchange-details.ts";
import type { Recorder } from "../core/facts.ts";
import type { Credentials } from "../core/identity.ts";
import type { Random } from "../core/random.ts";
import { type DataUpdate, type DataWorkload, isSameWorkload } from "../core/snapshot.ts";
import type { Carrier } from "../http/carrier.ts";
import type { Conn } from "../http/conn.ts";
import { HBONE_PORT } from "../http/h2/mesh-wire.ts";
import { NOBODY } from "../http/nobody.ts";
import { acceptConn } from "../http/open-conn.ts";
import type { SpanSink } from "../telemetry/tracing/span.ts";
import { applyUpdate } from "./apply-update.ts";
import { CapturedConnection } from "./captured.ts";
import type { Origin } from "./context.ts";
import { placesOf } from "./details.ts";
import { type Listener, type ListenerSpec, listen } from "./downstream/accept.ts";
import type { DestinationSource } from "./downstream/destination.ts";
import { acceptMesh } from "./downstream/mesh-accept.ts";
import type { AcceptedLink, MeshRequest } from "./downstream/mesh-request.ts";
import { Exchange } from "./exchange.ts";
import { toMeshError } from "./failure.ts";
import { joinTurns } from "./join-turns.ts";
import { hostIdentity, makePlane } from "./make-plane.ts";
import { HandshakeLimit, MeshConnection, RefusalLog } from "./mesh-connection.ts";
import { MeshSession } from "./mesh-session.ts";
import type { Plane } from "./plane.ts";
import { recordRefusal, refuse } from "./refuse.ts";
import type { TableChange } from "./routing/match/table.ts";
import type { AdaptiveLimits } from "./routing/policy/adaptive-limit.ts";
import type { RateLimits } from "./routing/policy/rate-limits.ts";
import type { RetryBudgets } from "./routing/policy/retry-budget.ts";
import type { ServiceLimits } from "./routing/policy/service-limits.ts";
import type { WorkloadQuotas } from "./routing/policy/workload-quotas.ts";
import type { EndpointState } from "./upstream/balance/endpoint-state.ts";

export interface DataPlaneDeps {
  readonly config: Config;
  /** Views of the shared memory, of this worker. */
  readonly endpoints: EndpointState;
  readonly quotas: WorkloadQuotas;
  readonly serviceLimits: ServiceLimits;
  readonly budgets: RetryBudgets;
  readonly rateLimits: RateLimits;
  readonly adaptive: AdaptiveLimits;
  readonly recorder: Recorder;
  readonly watch: Readonly<Watch>;
  /** Absent: no spans are recorded. */
  readonly spans?: SpanSink | undefined;
  readonly clock: Clock;
  /** Starts the timers of alarms; absent: Node's own. */
  readonly startTimer?: StartTimer | undefined;
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
  /** Policies have changed: ends what they forbid now. */
  review(): void;
  /** Certificates have changed. */
  renew?(): void;
}

/** How often a draining worker looks whether it is empty. */
const DRAIN_POLL_MS = 20;
/** Before a shutdown's time is over WebSockets are told, so long or half of it: time for the Close frames of both ends. */
const CLOSE_NOTICE_MS = 1_000;

/** The data path of one worker: accepts, identifies, and hands connections to the spine. */
export class DataPlane {
  readonly #plane: Plane;
  readonly #deps: DataPlaneDeps;
  readonly #listeners: Listener[] = [];
  readonly #live = new Map<Live, Origin>();
  readonly #hostIdentity: string;
  #anchors: readonly string[] = [];
  readonly #handshakes: HandshakeLimit;
  readonly #refusals: RefusalLog;

  constructor(deps: DataPlaneDeps) {
    this.#deps = deps;
    this.#plane = makePlane(deps);
    this.#hostIdentity = hostIdentity(deps.config);
    this.#handshakes = new HandshakeLimit(deps.config.limits.handshakes);
    this.#refusals = new RefusalLog(deps);
  }

  get revision(): number {
    return this.#plane.services.revision;
  }

  /**
   * Applies an update whole. Idle connections to endpoints that are gone are closed at once, and so is what policies
   * forbid from now on, and what belongs to a workload whose address is another's now.
   */
  apply(update: DataUpdate): void {
    const plane = this.#plane;
    const { change, gone, moved } = applyUpdate(plane, update);
    for (const slot of goneSlots(change)) plane.pools.retire(slot);
    for (const key of gone) plane.pools.retireSource(key);
    if (update.policies !== undefined || moved || hasNewcomers(change)) this.#review();
  }

  /** Certificates to use from now on; null: this host has no identity, and traffic goes in the clear. */
  setCredentials(credentials: Credentials | null): void {
    const { contexts, transport, pools, links } = this.#plane;
    const before = this.#anchors;
    this.#anchors = credentials?.anchors ?? [];
    contexts.apply(credentials);
    transport.setCredentials(credentials);
    links.renew();
    for (const live of [...this.#live.keys()]) live.renew?.();
    if (before.every((anchor) => this.#anchors.includes(anchor))) return;
    // An authority is no longer trusted: nothing that it vouched for goes on.
    pools.retireMesh();
    this.#review();
  }

  #review(): void {
    for (const [live, origin] of [...this.#live]) {
      const { workload, address } = origin;
      const now = workload === null ? null : this.#plane.workloads.at(address);
      if (now !== null && (workload === null || !isSameWorkload(now, workload))) live.destroy();
      else live.review();
    }
  }

  /** Starts to accept. Resolves with the port once it does. */
  async listen(spec: ListenerSpec): Promise<{ port: number }> {
    const listener = await listen(spec, (socket) => this.take(socket, spec.entry));
    this.#listeners.push(listener);
    return { port: listener.port };
  }

  /** Serves a socket that a listener of `listen` (its own, or that of a warm-up) has accepted. */
  take(socket: Socket, entry: ListenerSpec["entry"]): void {
    if (entry === "mesh") {
      this.#takeMesh(socket, canonicalAddress(socket.localAddress ?? ""));
      return;
    }
    const { recorder, quotas, config, workloads } = this.#plane;
    const { connections, workloadConnections } = config.limits;
    const address = canonicalAddress(socket.remoteAddress ?? "");
    const destination = entry === "explicit" ? null : this.#destinationOf(socket);
    if (destination !== null && this.#takeSpecial(socket, entry, destination)) return;
    const workload = workloads.at(address);
    const identity = this.#identityOf(address, workload);
    const places = this.#plane.watch.details ? placesOf(socket) : socket;
    const origin = { entry, address, workload, destination, identity, peer: null, places };
    // The rules send only what is for a local workload; a connection of one that has left may be mistaken for such.
    if (entry === "inbound" && workloads.at(destination?.host ?? "") === null) {
      const place = destination === null ? "?" : formatHostPort(destination.host, destination.port);
      refuse(
        this.#plane,
        socket,
        origin,
        new MeshError("NO_ROUTE", `${place} is no workload here`),
      );
      return;
    }
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
    this.#serve(acceptConn(socket, NOBODY), origin);
  }

  /** What only looks like a connection to where it was going: a probe of the capture, or HBONE. */
  #takeSpecial(socket: Socket, entry: ListenerSpec["entry"], destination: HostPort): boolean {
    if (isProbe(destination.host, destination.port)) {
      socket.on("error", () => socket.destroy());
      socket.end(PROBE_REPLY, () => socket.destroy());
      return true;
    }
    if (entry !== "inbound" || !this.#isHbone(destination)) return false;
    this.#takeMesh(socket, destination.host);
    return true;
  }

  /** Does a ztunnel call a workload of this host, which has no use of its own for that port? */
  #isHbone({ host, port }: HostPort): boolean {
    const { workloads, contexts, services } = this.#plane;
    const identity = port === HBONE_PORT ? (workloads.at(host)?.identity ?? "") : "";
    return contexts.holds(identity) && services.localAt(host, port, identity) === null;
  }

  /** A connection to a mesh port: who is there, and what it wants, is known only behind the handshake. */
  #takeMesh(socket: Socket, called: string): void {
    const { recorder, config, clock, deadlines, contexts, workloads } = this.#plane;
    const { connections } = config.limits;
    const remote = canonicalAddress(socket.remoteAddress ?? "");
    if (this.#live.size >= connections) {
      recorder.event("connection_refused_limit");
      socket.on("error", () => socket.destroy());
      socket.resetAndDestroy();
      return;
    }
    let live: MeshConnection | null = null;
    acceptMesh(
      socket,
      {
        ...{ clock, deadlines, contexts, handshakes: this.#handshakes.of(remote) },
        handshakeMs: config.timeouts.handshakeMs,
        calledIdentity: workloads.at(called)?.identity ?? "",
      },
      {
        onMesh: (request) => {
          live = this.#serveMesh(request);
        },
        onMeshGone: () => live?.destroy(),
        onMeshLink: (link) => this.#serveLink(link),
        onMeshRefused: (refusal, detail, remote) => {
          // The other host has thought better of it: a connection dialled ahead turned out not to be needed.
          if (refusal === "closed") return;
          recorder.event("mesh_refused");
          this.#refusals.say({ refusal, detail, remote });
        },
      },
    );
  }

  #serveMesh(request: MeshRequest): MeshConnection {
    const live = new MeshConnection(this.#plane, request, () => onEnd());
    const onEnd = this.#enterMesh(live, request.conn);
    live.begin();
    if (this.#plane.draining) live.drain();
    return live;
  }

  #serveLink(link: AcceptedLink): void {
    const live = new MeshSession(this.#plane, link, () => onEnd());
    const onEnd = this.#enterMesh(live, link.conn);
    if (this.#plane.draining) live.drain();
  }

  /** Counts a connection of another host; returns what ends that. */
  #enterMesh(live: MeshConnection | MeshSession, conn: Carrier): () => void {
    const { recorder } = this.#plane;
    recorder.event("mesh_accepted");
    recorder.event("connection_opened");
    const leave = joinTurns(this.#plane, live.origin, conn);
    this.#live.set(live, live.origin);
    return () => {
      recorder.event("connection_closed");
      leave();
      this.#live.delete(live);
    };
  }

  /** The kernel says which address a connection comes from; addresses of the host are its own processes. */
  #identityOf(address: string, workload: DataWorkload | null): string {
    if (workload !== null) return workload.identity ?? "";
    return this.#plane.own.isHost(address) ? this.#hostIdentity : "";
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
    const leave = joinTurns(this.#plane, origin, conn);
    const onEnd = (): void => {
      if (over) return;
      over = true;
      leave();
      if (origin.workload !== null) quotas.closeConnection(origin.workload.slot);
      recorder.event("connection_closed");
      if (live !== null) this.#live.delete(live);
    };
    try {
      const { destination } = origin;
      if (origin.entry === "explicit") live = Exchange.over(this.#plane, origin, conn, onEnd);
      else if (destination !== null) {
        live = new CapturedConnection(this.#plane, { ...origin, destination }, conn, onEnd);
      } else throw new MeshError("INTERNAL", "the original destination is unknown");
      if (!over) this.#live.set(live, origin);
    } catch (error) {
      recordRefusal(this.#plane, origin, toMeshError(error));
      conn.reset();
      onEnd();
    }
  }

  /** Accepts nothing more, lets requests and tunnels end, tells WebSockets before the deadline, and breaks what is left then. */
  async drain(limitMs: number): Promise<void> {
    this.#plane.draining = true;
    for (const listener of this.#listeners) listener.close();
    for (const live of this.#live.keys()) live.drain();
    const { promise, resolve } = Promise.withResolvers<void>();
    const deadlineMs = this.#plane.clock.now() + limitMs;
    const noticeMs = deadlineMs - Math.min(CLOSE_NOTICE_MS, limitMs / 2);
    const poll = setInterval(() => {
      const nowMs = this.#plane.clock.now();
      if (nowMs >= noticeMs) for (const one of this.#plane.webSockets) one.closeWebSocket();
      if (this.#live.size > 0 && nowMs < deadlineMs) return;
      clearInterval(poll);
      for (const live of [...this.#live.keys()]) live.destroy();
      resolve();
    }, DRAIN_POLL_MS);
    await promise;
    this.#plane.pools.close();
    this.#plane.deadlines.close();
    this.#plane.alarms.close();
  }

  stats(): DataPlaneStats {
    const { idle, busy, pending } = this.#plane.pools.totals();
    return { connections: this.#live.size, idleUpstream: idle, busyUpstream: busy, pending };
  }
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
      const stays = now?.address === old.address && now.port === old.port;
      if (!stays || now.identity !== old.identity) gone.push(old.slot);
    }
  }
  return gone;
}

/** Is somebody at a place now who was not there before, or was somebody else? Those who left need no looking for. */
function hasNewcomers(change: TableChange): boolean {
  return change.changed.some(({ before, after }) => {
    const known = new Map(before?.endpoints.map((one) => [one.slot, one.identity]));
    return after.endpoints.some((one) => known.get(one.slot) !== one.identity);
  });
}
