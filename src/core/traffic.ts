/**
 * How requests are routed and how failures are met: the one internal model to which the resources of Istio, Gateway API,
 * SMI, Linkerd and Consul are translated. It is plain data (JSON): it is stored, sent to daemons and posted to workers.
 */

import { GRPC_RETRY_CONDITIONS } from "./grpc.ts";
import type { LocalityRule } from "./locality-rule.ts";
import type { AppProtocol, BalancerConfig } from "./model.ts";

/** `namespace/name`, or `host:NAME` for whatever service answers to that name, which may begin with `*.`, or be `*`. */
export type ServiceRef = string;

/** `regex`: RE2 syntax, for the whole value. `segments` (paths only): whole path elements, as Gateway API's PathPrefix. */
export type TextMatch =
  | {
      readonly kind: "exact" | "prefix" | "suffix";
      readonly value: string;
      readonly ignoreCase?: true;
    }
  | { readonly kind: "segments" | "regex"; readonly value: string }
  | { readonly kind: "present" };

/** Of a header (lower-case name; repeated fields are joined by commas) or a query parameter (of which the first counts). */
export interface FieldMatch {
  readonly name: string;
  readonly match: TextMatch;
  /** Matches where `match` does not, and where the field is absent. */
  readonly invert?: true;
}

/** All that is given must match. */
export interface RouteMatch {
  /** The normalised path, without query. */
  readonly path?: TextMatch;
  readonly method?: TextMatch;
  readonly scheme?: TextMatch;
  /** The host without its port. */
  readonly authority?: TextMatch;
  readonly headers?: readonly FieldMatch[];
  readonly query?: readonly FieldMatch[];
  /** Port of the called service. */
  readonly port?: number;
  /** Labels of the calling workload. */
  readonly sourceLabels?: Readonly<Record<string, string>>;
  readonly sourceNamespace?: string;
  /** TCP only: the dialled address is in one of these (CIDR). */
  readonly destinationSubnets?: readonly string[];
}

/** In this order: `remove`, `set` (replaces), `add` (appends). */
export interface HeaderEdits {
  readonly set?: readonly (readonly [name: string, value: string])[];
  readonly add?: readonly (readonly [name: string, value: string])[];
  readonly remove?: readonly string[];
}

/**
 * `prefix` replaces the prefix by which the rule matched (`segments`: by Gateway API's rules for slashes; a rule that
 * asks for no path matched by `/`); `regex` replaces every match, `\1` being its first group. The query stays.
 */
export type PathRewrite =
  | { readonly kind: "full" | "prefix"; readonly value: string }
  | { readonly kind: "regex"; readonly pattern: string; readonly substitution: string };

export interface Rewrite {
  readonly path?: PathRewrite;
  readonly authority?: string;
}

export interface Redirect {
  readonly scheme?: "http" | "https";
  readonly host?: string;
  /** `default`: that of the scheme, `request`: that of the request. Absent: the request's, unless `scheme` is given. */
  readonly port?: number | "default" | "request";
  readonly path?: PathRewrite;
  readonly status: 301 | 302 | 303 | 307 | 308;
}

/** One of several places where a rule sends requests. */
export interface Backend {
  /** Null: the reference leads nowhere, and its share gets `missingStatus`. */
  readonly service: ServiceRef | null;
  /** Only endpoints of this subset, which a {@link TrafficPolicy} defines; one that nobody defines has no endpoints. */
  readonly subset?: string;
  /** Port of that service; absent: the port with the number that was called, or its only one. */
  readonly port?: number;
  /** Relative; 0: none, unless it is the only one. */
  readonly weight: number;
  readonly requestHeaders?: HeaderEdits;
  readonly responseHeaders?: HeaderEdits;
  readonly rewrite?: Rewrite;
  /** Answer where the service is unknown; absent: 503. */
  readonly missingStatus?: number;
  /** Where to go instead, in this order, while the backend has no healthy endpoint (Consul's failover). */
  readonly failover?: readonly Omit<Backend, "weight" | "failover">[];
}

/** Envoy's `retry_on` in its spelling, and `timeout`: a try that took longer than its own limit. */
export const RETRY_CONDITIONS = [
  "5xx",
  "gateway-error",
  "connect-failure",
  "refused-stream",
  "reset",
  "reset-before-request",
  "retriable-4xx",
  "timeout",
  ...GRPC_RETRY_CONDITIONS,
] as const;
export type RetryCondition = (typeof RETRY_CONDITIONS)[number];

export interface RetryRule {
  /** Tries after the first; 0: none. */
  readonly attempts: number;
  /** For one try, until its response begins; 0 or absent: none of its own. */
  readonly perTryMs?: number;
  readonly on: readonly RetryCondition[];
  /** Statuses to retry besides, as ranges with both ends. */
  readonly statuses: readonly (readonly [from: number, to: number])[];
  /** Full jitter: uniform in [0, (2^n - 1) * base], at most `maxMs` (Envoy). */
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  /** The author knows that repeating is safe, whatever the method. */
  readonly unsafe: boolean;
  /** Avoid endpoints that were tried (Istio's retryIgnorePreviousHosts). */
  readonly avoidTried: boolean;
  /** The largest body that is kept for it, in bytes; absent: the daemon's limit. */
  readonly bodyBytes?: number;
}

/** In ms; 0: no limit; absent: the daemon's settings. */
export interface RouteTimeouts {
  /** The whole request, tries and pauses included, from its last byte to the last of the response (Linkerd), or to its end. */
  readonly requestMs?: number;
  /** No byte in either direction. */
  readonly idleMs?: number;
  /** For one try, until its response begins, whoever says how often it is tried; that of a {@link RetryRule} comes first. */
  readonly perTryMs?: number;
}

export interface FaultRule {
  readonly delay?: { readonly ms: number; readonly percent: number };
  /** `grpcStatus`: what a call of gRPC is answered with; absent: what `status` is to it. */
  readonly abort?: Readonly<{ status: number; grpcStatus?: number; percent: number }>;
}

export interface CorsRule {
  readonly allowOrigins: readonly TextMatch[];
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** In seconds; -1: not said. */
  readonly maxAgeSeconds: number;
  readonly allowCredentials: boolean;
  /** Does a preflight of a foreign origin go on to the application (Istio's FORWARD)? Else it gets 200 without CORS headers. */
  readonly forwardUnmatched: boolean;
}

export interface MirrorRule {
  readonly backend: Omit<Backend, "weight" | "failover">;
  /** 0 to 100. */
  readonly percent: number;
}

/** What a limit counts apart: every caller, and every value of a header. */
export type RateKey =
  | { readonly kind: "source" }
  | { readonly kind: "header"; readonly name: string };

/** `requests` in `periodMs`, and `burst` at once (at least 1). Nothing in `per`: all requests together. */
export interface RateLimitRule {
  /** Unique over the mesh: buckets go by it. */
  readonly name: string;
  readonly requests: number;
  readonly periodMs: number;
  readonly burst: number;
  readonly per: readonly RateKey[];
  /** Only requests that one of these matches; absent: all. */
  readonly matches?: readonly RouteMatch[];
  /** Limits of its own for callers (SPIFFE ID, or `namespace/account`). */
  readonly overrides?: readonly {
    readonly sources: readonly string[];
    readonly requests: number;
  }[];
}

export type RouteAction =
  /** No backends: to the service that was called. */
  | { readonly kind: "forward"; readonly backends: readonly Backend[] }
  | { readonly kind: "redirect"; readonly redirect: Redirect }
  | { readonly kind: "respond"; readonly status: number; readonly body: string };

export interface RouteRule {
  /** For people; "" where the author gave none. */
  readonly name: string;
  /** One of them must match; none given: every request matches. */
  readonly matches: readonly RouteMatch[];
  readonly action: RouteAction;
  readonly rewrite?: Rewrite;
  readonly requestHeaders?: HeaderEdits;
  readonly responseHeaders?: HeaderEdits;
  readonly cors?: CorsRule;
  readonly timeouts?: RouteTimeouts;
  readonly retry?: RetryRule;
  readonly fault?: FaultRule;
  readonly mirrors?: readonly MirrorRule[];
  readonly rateLimits?: readonly RateLimitRule[];
}

/** Of the tables for one service and caller those of the highest rank count, and of these see `order`. */
export const ROUTE_RANKS = {
  "grpcroute-consumer": 60,
  "httproute-consumer": 50,
  "grpcroute-producer": 40,
  "httproute-producer": 35,
  istio: 30,
  consul: 20,
  smi: 10,
} as const;

/** Rules for requests to some services. Key of the record: its resource's, with `#n` where one resource makes several. */
export interface RouteTable {
  /** `VirtualService shop/reviews`, for people. */
  readonly source: string;
  readonly createdMs: number;
  readonly protocol: "http" | "tcp";
  /** `profile`: adds timeouts and retries to whatever else holds (Linkerd's ServiceProfile), and routes nothing. */
  readonly role: "route" | "profile";
  readonly services: readonly ServiceRef[];
  /** Only for calls of this port of the service; absent: of any. */
  readonly port?: number;
  /** Namespaces of the callers; null: of all. */
  readonly clients: readonly string[] | null;
  readonly rank: number;
  /**
   * `listed`: the oldest table of the rank counts, and in it the first rule that matches. `specific`: the rules of all
   * tables together, by Gateway API's precedence.
   */
  readonly order: "listed" | "specific";
  /** Where no rule matches: 404 (TCP: closed), or on to the service as if there were no table. */
  readonly otherwise: "refuse" | "service";
  readonly rules: readonly RouteRule[];
}

/** Of one service (or subset), over all workers of this host. Absent: no limit but the daemon's own. */
export interface ConnectionLimits {
  readonly maxConnections?: number;
  /** Requests that wait for a connection. */
  readonly maxPending?: number;
  readonly maxRequests?: number;
  /** Retries under way at the same time. */
  readonly maxRetries?: number;
  readonly maxRequestsPerConnection?: number;
  readonly connectTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly maxConnectionMs?: number;
  readonly tcpKeepalive?: { readonly idleMs: number };
}

/** Ejection of endpoints that fail; 0 switches a detector off. The defaults are Envoy's, as its dialects give them. */
export interface OutlierPolicy {
  readonly consecutive5xx: number;
  /** 502, 503, 504, and failures without a response unless these are counted apart. */
  readonly consecutiveGateway: number;
  /** Failures to connect, timeouts, resets; only where `splitLocalErrors`. */
  readonly consecutiveLocal: number;
  readonly splitLocalErrors: boolean;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** Below this share of healthy endpoints (percent) ejections do not count any more (panic); 0: never. */
  readonly minHealthPercent: number;
  /** Success rate below mean - factor * standard deviation of all endpoints (Envoy); factor 0: off. */
  readonly successRate?: {
    readonly minHosts: number;
    readonly minRequests: number;
    readonly stdevFactor: number;
  };
  readonly failurePercentage?: {
    readonly percent: number;
    readonly minHosts: number;
    readonly minRequests: number;
  };
  /** Latency above this many times the median of the others' (0: off), and above `minMs`. */
  readonly latency?: { readonly factor: number; readonly minMs: number; readonly minHosts: number };
}

/** Linkerd's circuit breaker per endpoint: shut after failures, then one request as a probe after each pause. */
export interface FailureAccrual {
  /** 0: off. */
  readonly maxFailures: number;
  readonly minPenaltyMs: number;
  readonly maxPenaltyMs: number;
  readonly jitterRatio: number;
  /** Absent: only failures in a row count. */
  readonly successRate?: {
    readonly threshold: number;
    readonly windowMs: number;
    readonly minRequests: number;
  };
}

/** Retries may be `ratio` of the requests, and `minPerSecond` besides, over a window of `ttlMs` (Finagle, Linkerd). */
export interface RetryBudgetRule {
  readonly ratio: number;
  readonly minPerSecond: number;
  readonly ttlMs: number;
  /** Retries that may always be under way together (Envoy's min_retry_concurrency). */
  readonly minConcurrent?: number;
}

/** Gradient limit on requests in flight per endpoint (Netflix concurrency-limits Gradient2, Envoy adaptive concurrency). */
export interface AdaptiveConcurrency {
  readonly minLimit: number;
  readonly maxLimit: number;
}

/** What holds for requests to a service; absent: the daemon's defaults. */
export interface TrafficSettings {
  readonly balancer?: BalancerConfig;
  readonly connections?: ConnectionLimits;
  readonly outlier?: OutlierPolicy;
  readonly accrual?: FailureAccrual;
  readonly retryBudget?: RetryBudgetRule;
  /** For rules that say nothing of their own. */
  readonly retry?: RetryRule;
  readonly timeouts?: RouteTimeouts;
  readonly locality?: LocalityRule;
  readonly concurrency?: AdaptiveConcurrency;
  /** Enforced where the endpoint is, for all its callers together, per host. */
  readonly rateLimits?: readonly RateLimitRule[];
  /** `required`: never in the clear to other hosts; `disable`: always. */
  readonly mtls?: "required" | "disable";
  /**
   * What its endpoints speak, where neither they nor the service declare it; of one port: whatever the service declares.
   * The same for all callers.
   */
  readonly protocol?: AppProtocol;
}

export interface SubsetPolicy {
  readonly name: string;
  /** `Meta` of the endpoints (labels of the pods), all of them. */
  readonly labels: Readonly<Record<string, string>>;
  /** Field by field before the service's own. */
  readonly settings?: TrafficSettings;
  readonly ports?: Readonly<Record<string, TrafficSettings>>;
}

/**
 * What a caller does with the endpoints of a service. Where several speak of the same service, that of the caller's
 * namespace wins over that of the service's, and that over one of a root namespace (Istio); then the oldest. Subsets of
 * the oldest few of one namespace are joined.
 */
export interface TrafficPolicy {
  readonly source: string;
  readonly createdMs: number;
  readonly service: ServiceRef;
  /** Namespace of the resource. */
  readonly namespace: string;
  /** Is `namespace` a root namespace? */
  readonly root: boolean;
  /**
   * Said by the service itself or of it in passing (trafficDistribution, annotations): holds field by field beneath
   * whichever other policy counts, and hides none. Of several the oldest first.
   */
  readonly base?: true;
  /** Namespaces of the callers; null: of all. */
  readonly clients: readonly string[] | null;
  readonly settings: TrafficSettings;
  /** By port of the service: in place of `settings`, not merged with it (Istio's portLevelSettings). */
  readonly ports: Readonly<Record<string, TrafficSettings>>;
  readonly subsets: readonly SubsetPolicy[];
}

/** Which services a workload sees (Istio's Sidecar). The rest is for it as if it were outside the mesh. */
export interface ClientScope {
  readonly source: string;
  readonly createdMs: number;
  /** Workloads of this namespace (null: of all) with all these labels. */
  readonly namespace: string | null;
  readonly labels: Readonly<Record<string, string>>;
  /** `namespace/host` with `*`, `.` or `~` for the namespace, as in Sidecar.egress.hosts. Null: all. */
  readonly egress: readonly string[] | null;
  /** May it leave the mesh? Null: as the daemon's settings say. */
  readonly outside: "allow" | "refuse" | null;
}
