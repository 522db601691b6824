import type { Config } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import { Deadlines } from "../core/deadlines.ts";
import type { Recorder } from "../core/facts.ts";
import { hostSpiffeId } from "../core/identity.ts";
import { TlsContexts } from "../identity/tls-contexts.ts";
import { TraceContext } from "../telemetry/trace-context.ts";
import { Clusters, OwnPlaces } from "./clusters.ts";
import type { DataPlaneDeps } from "./data-plane.ts";
import { WorkloadTable } from "./downstream/identify.ts";
import { ProtocolMemory } from "./downstream/protocol.ts";
import { judge } from "./judge.ts";
import type { Plane } from "./plane.ts";
import { Authorizer } from "./routing/authorize/authorizer.ts";
import { ServiceTable } from "./routing/match/table.ts";
import { SecureTransport } from "./secure-transport.ts";
import { Outlier } from "./upstream/balance/outlier.ts";
import type { PoolTarget } from "./upstream/pool/pool.ts";
import { Pools } from "./upstream/pool/pools.ts";
import type { DialHandler } from "./upstream/transport/dial.ts";

/** SPIFFE ID of the host, which its own processes share; "" where the mesh has no identities. */
export function hostIdentity({ identity, host }: Config): string {
  return identity.mode === "off" ? "" : hostSpiffeId(identity.trustDomain, host);
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

/** Everything that one worker's data path works with. */
export function makePlane(deps: DataPlaneDeps): Plane {
  const { config, clock, random, endpoints, quotas, recorder } = deps;
  const { limits, timeouts, pool } = config;
  const deadlines = new Deadlines(clock);
  const own = new OwnPlaces(deps.ownAddresses, deps.ownPorts);
  const guards = deps.destination !== null;
  const contexts = new TlsContexts({ clock: wallClock });
  const transport = new SecureTransport({ clock, deadlines, contexts, timeouts });
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
      transport.dial(target, judged(target, handler, own, recorder, guards));
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
    authorizer: makeAuthorizer(deps),
    contexts,
    transport,
    outlier: new Outlier(endpoints, config.balance),
    services: new ServiceTable(),
    workloads: new WorkloadTable(),
    clusters: new Clusters({ state: endpoints, clock, random }, own),
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
    draining: false,
  };
}
