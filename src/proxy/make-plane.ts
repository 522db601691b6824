import type { Config } from "../config/schema.ts";
import { formatHostPort } from "../core/address.ts";
import { Alarms } from "../core/alarms.ts";
import { wallClock } from "../core/clock.ts";
import { Deadlines, type Expirable } from "../core/deadlines.ts";
import { MeshError } from "../core/errors.ts";
import { hostSpiffeId } from "../core/identity.ts";
import { type Place, targetOfWorkload } from "../core/snapshot.ts";
import type { RetryBudgetRule } from "../core/traffic.ts";
import type { Carrier } from "../http/carrier.ts";
import { connOverCarrier } from "../http/carrier-socket.ts";
import type { ServerDeps } from "../http/h1/server.ts";
import { TlsContexts } from "../identity/tls-contexts.ts";
import { TraceContext } from "../telemetry/trace-context.ts";
import { UnixTime } from "../telemetry/tracing/unix-time.ts";
import { Callers } from "./callers.ts";
import { type ClusterDeps, Clusters } from "./clusters.ts";
import { connectionCounts } from "./connection-counts.ts";
import type { DataPlaneDeps } from "./data-plane.ts";
import { WorkloadTable } from "./downstream/identify.ts";
import { ProtocolMemory } from "./downstream/protocol.ts";
import { type Grounds, judge } from "./judge.ts";
import { OwnPlaces } from "./own-places.ts";
import type { Plane } from "./plane.ts";
import { RouteBook } from "./route-parts.ts";
import { Authorizer } from "./routing/authorize/authorizer.ts";
import { ServiceTable } from "./routing/match/table.ts";
import { FairQueue } from "./routing/policy/fair-queue.ts";
import { ScopeBook } from "./scopes.ts";
import { SecureTransport } from "./secure-transport.ts";
import { clientSessionLimits, linkSessionLimits } from "./session-deps.ts";
import { StreamedRequests } from "./streamed-requests.ts";
import { Outlier } from "./upstream/balance/outlier.ts";
import type { TunnelHandler } from "./upstream/pool/link-tunnel.ts";
import { MeshLinks } from "./upstream/pool/mesh-links.ts";
import type { Dialer } from "./upstream/pool/pool-deps.ts";
import { Pools } from "./upstream/pool/pools.ts";
import type { MeshRoute, PoolTarget } from "./upstream/pool/upstream-pool.ts";
import type { DialHandler } from "./upstream/transport/dial.ts";

/** SPIFFE ID of the host, which its own processes share; "" where the mesh has no identities. */
export function hostIdentity({ identity, host }: Config): string {
  return identity.mode === "off" ? "" : hostSpiffeId(identity.trustDomain, host);
}

/** Retries of services that say nothing of their own (Linkerd's defaults); null: not bounded. */
function budgetOf({ retries }: Config): RetryBudgetRule | null {
  const { budgetPercent, minPerSecond, windowMs } = retries;
  if (budgetPercent === 0 && minPerSecond === 0) return null;
  return { ratio: budgetPercent / 100, minPerSecond, ttlMs: windowMs };
}

/** What a host's own settings say of where it is goes before what the registry knows. */
export function placeOf({ zone, region }: Config, known: Place): Place {
  return { zone: zone || known.zone, region: region || known.region };
}

function clusterDeps({ config, clock, random, endpoints, adaptive }: DataPlaneDeps): ClusterDeps {
  const { host, zone, region } = config;
  const { minHealthPercent, locality } = config.balance;
  const defaults = {
    minHealthPercent,
    ...(locality === "prefer" ? { locality: { enabled: true } } : {}),
  };
  const here = { host, zone, region, labels: {} };
  return { state: endpoints, clock, random, here, adaptive, defaults };
}

/**
 * A connection is judged once it is known where it has led. `onOldest`: the other host, which is an older one, does not
 * know HTTP/2 either.
 */
function judged(
  target: PoolTarget,
  handler: DialHandler,
  grounds: Grounds,
  onOldest: () => void,
): DialHandler {
  return {
    onConnected(conn) {
      const { host, client } = target;
      const error = judge(conn, client === undefined ? null : { host, client }, grounds);
      if (error === null) {
        handler.onConnected(conn);
        return;
      }
      conn.destroy();
      handler.onDialFailed(error);
    },
    onDialFailed(error, isUnknown) {
      if (isUnknown) onOldest();
      handler.onDialFailed(error, isUnknown);
    },
  };
}

function makeAuthorizer({ config, log }: DataPlaneDeps): Authorizer {
  return new Authorizer({
    clock: wallClock,
    trustDomain: config.identity.trustDomain,
    onAudit(policy, target, request, dryRun, wouldDeny) {
      const { principal, sourceAddress, destinationPort: port } = request;
      const caller = principal === "" ? sourceAddress : principal;
      log("an audited policy matches", {
        policy,
        workload: target.key,
        port,
        caller,
        dryRun,
        wouldDeny,
      });
    },
    onProblem: (policy, reason) =>
      log("a policy cannot be used and fails closed", { policy, reason }),
  });
}

function makeLinks(
  { config, clock, recorder }: DataPlaneDeps,
  { deadlines, transport, grounds }: Pick<Plane, "deadlines" | "transport" | "grounds">,
): MeshLinks {
  const { limits, timeouts } = config;
  const { upstreamIdleMs: idleMs, freshMs, connectMs, handshakeMs } = timeouts;
  return new MeshLinks({
    dialLink: (route, handler) =>
      transport.dialLink(route, {
        onLinked(conn) {
          const error = judge(conn, null, grounds);
          if (error === null) handler.onLinked(conn);
          else {
            conn.destroy();
            handler.onDialFailed(error);
          }
        },
        onOlder: () => handler.onOlder(),
        onPlain: () => handler.onPlain(),
        onDialFailed: (error) => handler.onDialFailed(error),
      }),
    isTrusted: (conn) => transport.isTrusted(conn),
    isCurrent: (conn) => transport.isCurrent(conn),
    settings: { idleMs, freshMs },
    sessions: linkSessionLimits(config),
    ...{ limits, connectMs, handshakeMs, recorder, clock, deadlines },
  });
}

/** Opens tunnels for pools of connections; `made`: what a pool has of one. */
function tunnelDialer<C extends Carrier>(
  links: MeshLinks,
  transport: SecureTransport,
  made: (tunnel: Carrier) => C,
): Dialer<C> {
  return ({ host, port, mesh, limits }, handler) => {
    const opened: TunnelHandler = {
      onTunnel(carrier, conn) {
        const one = made(carrier);
        transport.vouch(one, conn);
        handler.onConnected(one);
      },
      onTunnelFailed: (error) => handler.onDialFailed(error),
      onNoTunnels: () => {
        const place = formatHostPort(host, port);
        handler.onDialFailed(new MeshError("MESH_REFUSED", `${place}: no tunnels there`), true);
      },
    };
    links.tunnel({ host, port }, mesh as MeshRoute, opened, limits?.connectTimeoutMs);
  };
}

function makePools(
  { config, clock, endpoints, serviceLimits, recorder }: DataPlaneDeps,
  {
    deadlines,
    transport,
    grounds,
    links,
  }: Pick<Plane, "deadlines" | "transport" | "grounds" | "links">,
): Pools {
  const { limits, timeouts, pool } = config;
  return new Pools({
    settings: {
      maxConnections: pool.maxConnectionsPerEndpoint,
      maxPending: pool.maxPendingPerEndpoint,
      maxIdle: pool.maxIdlePerEndpoint,
      maxRequestsPerConnection: pool.maxRequestsPerConnection,
      streamsPerConnection: pool.streamsPerConnection,
      queueMs: timeouts.poolQueueMs,
      idleMs: timeouts.upstreamIdleMs,
      freshMs: timeouts.freshMs,
    },
    limits,
    sessions: clientSessionLimits(config),
    counts: connectionCounts(endpoints, serviceLimits),
    dial: (target, handler) => {
      const { connectTimeoutMs: connectMs } = target.limits ?? {};
      const place = connectMs === undefined ? target : { ...target, connectMs };
      const onOldest = () => links.get(target.mesh as MeshRoute).noteOldest();
      transport.dial(place, judged(target, handler, grounds, onOldest));
    },
    dialTunnel: tunnelDialer(links, transport, (tunnel) => tunnel),
    dialTunnelled: tunnelDialer(links, transport, connOverCarrier),
    links,
    recorder,
    clock,
    deadlines,
  });
}

/** How often somebody who waits for room in buffers looks again, as other workers make room too. */
const ROOM_MS = 10;

function makeTurns({ config, recorder }: DataPlaneDeps): FairQueue {
  const { turnRequests } = config.limits;
  return new FairQueue({
    turnRequests: turnRequests === 0 ? Number.POSITIVE_INFINITY : turnRequests,
    defer: (action) => void setImmediate(action),
    later: (action) => void setTimeout(action, ROOM_MS).unref(),
    onWait: () => recorder.event("turn_waited"),
  });
}

/** Does something at each tick. */
function everyTick(action: () => void): Expirable {
  const self = {
    deadlineMs: 0,
    onDeadline() {
      self.deadlineMs = 0;
      action();
    },
  };
  return self;
}

function serverLimits({ limits, timeouts }: Config): ServerDeps["limits"] {
  const { headMs, downstreamIdleMs: idleMs, streamIdleMs } = timeouts;
  return { ...limits, headMs, idleMs, streamIdleMs };
}

/** Who begins a trace decides whether it is sampled; without a decision of the operator's, by the rate of what is recorded. */
function tracingOf({ config, clock, spans }: DataPlaneDeps): Pick<Plane, "trace" | "tracing"> {
  const { newTraces, tracing } = config.telemetry;
  const rate = spans === undefined ? 0 : tracing.sampling;
  const trace = new TraceContext(undefined, newTraces === "sampled" ? 1 : rate);
  if (spans === undefined) return { trace, tracing: null };
  const unix = new UnixTime(clock);
  const unixMs = (clockMs: number) => unix.of(clockMs);
  return { trace, tracing: { sink: spans, errors: tracing.errors === "on", unixMs } };
}

/** Tells whether a policy guards the workload at a place of this host. */
function guardedPlaces({
  services,
  workloads,
  authorizer,
}: Pick<Plane, "services" | "workloads" | "authorizer">): Grounds["isGuarded"] {
  return (address, port) => {
    const target = services.targetAt(address, port);
    if (target !== undefined && !authorizer.for(target).open) return true;
    const workload = workloads.at(address);
    return workload !== null && !authorizer.for(targetOfWorkload(workload)).open;
  };
}

/** Everything that one worker's data path works with. */
export function makePlane(deps: DataPlaneDeps): Plane {
  const { config, clock, random, endpoints, quotas, recorder } = deps;
  const { serviceLimits, budgets, rateLimits, adaptive, watch } = deps;
  const { timeouts } = config;
  const deadlines = new Deadlines(clock);
  deadlines.add(everyTick(() => budgets.flush()));
  const own = new OwnPlaces(deps.ownAddresses, deps.ownPorts);
  const tables = { services: new ServiceTable(), workloads: new WorkloadTable() };
  const authorizer = makeAuthorizer(deps);
  const guards = deps.destination !== null;
  const isGuarded = guardedPlaces({ ...tables, authorizer });
  const grounds = { own, recorder, guards, isGuarded };
  rateLimits.onOverflow = () => recorder.event("rate_limit_overflow");
  const contexts = new TlsContexts({ clock: wallClock });
  const transport = new SecureTransport({ clock, deadlines, contexts, timeouts });
  const links = makeLinks(deps, { deadlines, transport, grounds });
  const pools = makePools(deps, { deadlines, transport, grounds, links });
  const plane: Plane = {
    ...{ config, clock, random, deadlines, endpoints, quotas, recorder, watch },
    alarms: new Alarms(clock, deps.startTimer),
    ...tracingOf(deps),
    turns: makeTurns(deps),
    ...{ serviceLimits, budgets, adaptive, authorizer, contexts, transport },
    defaultBudget: budgetOf(config),
    outlier: new Outlier(endpoints, config.balance, random, () =>
      recorder.event("ejection_suppressed"),
    ),
    ...tables,
    routes: new RouteBook(rateLimits, (source, reason) =>
      deps.log("a rule cannot be used", { source, reason }),
    ),
    scopes: new ScopeBook(),
    callers: new Callers(),
    clusters: new Clusters(clusterDeps(deps), own),
    memory: new ProtocolMemory(config.detection),
    ...{ pools, links, own, grounds },
    server: { limits: serverLimits(config), clock, deadlines },
    serveStreams: (...connection) => StreamedRequests.takeOver(plane, ...connection),
    webSockets: new Set(),
    copies: 0,
    draining: false,
  };
  return plane;
}
