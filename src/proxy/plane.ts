import type { Config } from "../config/schema.ts";
import type { Alarms } from "../core/alarms.ts";
import type { Clock } from "../core/clock.ts";
import type { Deadlines } from "../core/deadlines.ts";
import type { Watch } from "../core/exchange-details.ts";
import type { Recorder } from "../core/facts.ts";
import type { Random } from "../core/random.ts";
import type { RetryBudgetRule } from "../core/traffic.ts";
import type { Carrier } from "../http/carrier.ts";
import type { ServerDeps } from "../http/h1/server.ts";
import type { Upgraded } from "../http/h2/server-session.ts";
import type { TlsContexts } from "../identity/tls-contexts.ts";
import type { TraceContext } from "../telemetry/trace-context.ts";
import type { Tracing } from "../telemetry/tracing/span.ts";
import type { Callers } from "./callers.ts";
import type { Clusters } from "./clusters.ts";
import type { Origin } from "./context.ts";
import type { WorkloadTable } from "./downstream/identify.ts";
import type { ProtocolMemory } from "./downstream/protocol.ts";
import type { Grounds } from "./judge.ts";
import type { OwnPlaces } from "./own-places.ts";
import type { RouteBook } from "./route-parts.ts";
import type { Authorizer } from "./routing/authorize/authorizer.ts";
import type { ServiceTable } from "./routing/match/table.ts";
import type { AdaptiveLimits } from "./routing/policy/adaptive-limit.ts";
import type { FairQueue } from "./routing/policy/fair-queue.ts";
import type { RetryBudgets } from "./routing/policy/retry-budget.ts";
import type { ServiceLimits } from "./routing/policy/service-limits.ts";
import type { WorkloadQuotas } from "./routing/policy/workload-quotas.ts";
import type { ScopeBook } from "./scopes.ts";
import type { SecureTransport } from "./secure-transport.ts";
import type { Tunnel } from "./tunnel.ts";
import type { EndpointState } from "./upstream/balance/endpoint-state.ts";
import type { Outlier } from "./upstream/balance/outlier.ts";
import type { MeshLinks } from "./upstream/pool/mesh-links.ts";
import type { Pools } from "./upstream/pool/pools.ts";

/** The streams of a client's connection. */
export interface Streams {
  review(): void;
  drain(): void;
  destroy(): void;
}

/** All that the spine works with: one of each per worker, over the memory that workers share. */
export interface Plane {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  readonly alarms: Alarms;
  readonly recorder: Recorder;
  /** What those to whom it reports want to know beyond numbers. */
  readonly watch: Readonly<Watch>;
  readonly trace: TraceContext;
  /** Null: no spans are recorded here. */
  readonly tracing: Tracing | null;
  readonly endpoints: EndpointState;
  readonly quotas: WorkloadQuotas;
  /** Divides this worker's time among the sources of its work. */
  readonly turns: FairQueue;
  readonly serviceLimits: ServiceLimits;
  readonly budgets: RetryBudgets;
  /** Of services that say nothing of it; null: none. */
  readonly defaultBudget: RetryBudgetRule | null;
  readonly adaptive: AdaptiveLimits;
  readonly authorizer: Authorizer;
  /** Certificates of this host's workloads. */
  readonly contexts: TlsContexts;
  readonly transport: SecureTransport;
  readonly outlier: Outlier;
  readonly services: ServiceTable;
  readonly routes: RouteBook;
  readonly scopes: ScopeBook;
  readonly workloads: WorkloadTable;
  readonly callers: Callers;
  readonly clusters: Clusters;
  readonly pools: Pools;
  /** Connections to other hosts. */
  readonly links: MeshLinks;
  readonly memory: ProtocolMemory;
  readonly own: OwnPlaces;
  /** By which connections are judged that were just made. */
  readonly grounds: Grounds;
  readonly server: ServerDeps;
  /**
   * Serves what a client that speaks HTTP/2 asks for, on a connection of its own; `rest`: what is read of it already.
   * `upgraded`: the request by which it came to that; else the head that the preface begins with was read.
   */
  readonly serveStreams: (
    origin: Origin,
    carrier: Carrier,
    rest: Buffer,
    onEnd: () => void,
    upgraded?: Upgraded,
  ) => Streams;
  /** WebSockets that are open, of which each end can be told that it will be over. */
  readonly webSockets: Set<Tunnel>;
  /** Copies of requests that are under way to mirrors. */
  copies: number;
  /** True from the first word of a shutdown on: connections close after their current request. */
  draining: boolean;
}
