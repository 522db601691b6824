import type { Config } from "../config/schema.ts";
import { Alarms } from "../core/alarms.ts";
import { wallClock } from "../core/clock.ts";
import { Deadlines, type Expirable } from "../core/deadlines.ts";
import type { Recorder } from "../core/facts.ts";
import { hostSpiffeId } from "../core/identity.ts";
import type { RetryBudgetRule } from "../core/traffic.ts";
import { TlsContexts } from "../identity/tls-contexts.ts";
import { TraceContext } from "../telemetry/trace-context.ts";
import { Callers } from "./callers.ts";
import { type ClusterDeps, Clusters } from "./clusters.ts";
import { connectionCounts } from "./connection-counts.ts";
import type { DataPlaneDeps } from "./data-plane.ts";
import { WorkloadTable } from "./downstream/identify.ts";
import { ProtocolMemory } from "./downstream/protocol.ts";
import { judge } from "./judge.ts";
import { OwnPlaces } from "./own-places.ts";
import type { Plane } from "./plane.ts";
import { RouteBook } from "./route-parts.ts";
import { Authorizer } from "./routing/authorize/authorizer.ts";
import { ServiceTable } from "./routing/match/table.ts";
import { FairQueue } from "./routing/policy/fair-queue.ts";
import { ScopeBook } from "./scopes.ts";
import { SecureTransport } from "./secure-transport.ts";
import { Outlier } from "./upstream/balance/outlier.ts";
import type { PoolTarget } from "./upstream/pool/pool.ts";
import { Pools } from "./upstream/pool/pools.ts";
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

/** A connection is judged once it is known where it has led. */
function judged(
  target: PoolTarget,
  handler: DialHandler,
  own: OwnPlaces,
  recorder: Recorder,
  guards: boolean,
): DialHandler {
  return {
    onConnected(conn) {
      const error = judge(conn, target.client ?? null, own, recorder, guards);
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

function makePools(
  { config, clock, endpoints, serviceLimits, recorder }: DataPlaneDeps,
  { deadlines, transport, own, guards }: Pick<Plane, "deadlines" | "transport" | "own" | "guards">,
): Pools {
  const { limits, timeouts, pool } = config;
  return new Pools({
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
    counts: connectionCounts(endpoints, serviceLimits),
    dial: (target, handler) => {
      const { connectTimeoutMs: connectMs } = target.limits ?? {};
      const place = connectMs === undefined ? target : { ...target, connectMs };
      transport.dial(place, judged(target, handler, own, recorder, guards));
    },
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

/** Everything that one worker's data path works with. */
export function makePlane(deps: DataPlaneDeps): Plane {
  const { config, clock, random, endpoints, quotas, recorder } = deps;
  const { serviceLimits, budgets, rateLimits, adaptive } = deps;
  const { limits, timeouts } = config;
  const deadlines = new Deadlines(clock);
  deadlines.add(everyTick(() => budgets.flush()));
  const own = new OwnPlaces(deps.ownAddresses, deps.ownPorts);
  const guards = deps.destination !== null;
  rateLimits.onOverflow = () => recorder.event("rate_limit_overflow");
  const contexts = new TlsContexts({ clock: wallClock });
  const transport = new SecureTransport({ clock, deadlines, contexts, timeouts });
  const pools = makePools(deps, { deadlines, transport, own, guards });
  return {
    config,
    clock,
    random,
    deadlines,
    alarms: new Alarms(clock, deps.startTimer),
    recorder,
    trace: new TraceContext(),
    endpoints,
    quotas,
    turns: makeTurns(deps),
    serviceLimits,
    budgets,
    defaultBudget: budgetOf(config),
    adaptive,
    authorizer: makeAuthorizer(deps),
    contexts,
    transport,
    outlier: new Outlier(endpoints, config.balance, random, () =>
      recorder.event("ejection_suppressed"),
    ),
    services: new ServiceTable(),
    routes: new RouteBook(rateLimits, (source, reason) =>
      deps.log("a rule cannot be used", { source, reason }),
    ),
    scopes: new ScopeBook(),
    workloads: new WorkloadTable(),
    callers: new Callers(),
    clusters: new Clusters(clusterDeps(deps), own),
    pools,
    memory: new ProtocolMemory(config.detection),
    own,
    guards,
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
    copies: 0,
    draining: false,
  };
}
