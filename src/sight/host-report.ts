import type { Security } from "../core/security.ts";

export type { Security } from "../core/security.ts";

/**
 * What one daemon has seen: the answer to the question `report`, and `GET /sight/report` of its admin API. Registries add
 * up those of all hosts (mesh-report.ts), so it carries counts and buckets in place of rates and percentiles.
 * Times in ms, sizes in bytes.
 */
export interface HostReport {
  readonly host: string;
  readonly zone: string;
  readonly version: string;
  /** Time of day at which it was made, since 1970. */
  readonly atMs: number;
  readonly uptimeMs: number;
  /** Revision that the data path acts on. */
  readonly revision: number;
  /** `recent` counts are of so long. */
  readonly windowMs: number;
  readonly flows: readonly FlowReport[];
  readonly routes: readonly RouteReport[];
  readonly endpoints: readonly EndpointReport[];
  /** Of services that have had any; absent: its version does not tell. */
  readonly retries?: readonly RetryReport[];
  readonly workloads: readonly WorkloadReport[];
  readonly workers: readonly WorkerReport[];
  readonly capture: { readonly mode: string; readonly active: boolean };
  readonly certificates: readonly CertificateReport[];
  /** The newest failures, at most 100, newest first; without what a client sent but method and path without query. */
  readonly recentErrors: readonly ErrorReport[];
}

/** Counts of requests, or of tunnels for `protocol` tcp. */
export interface Counts {
  /** Since the data path's start. */
  readonly requests: number;
  readonly failures: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Within the window. */
  readonly recent: number;
  readonly recentFailures: number;
  /** Bytes within the window, both ways. */
  readonly recentBytes: number;
  /** Durations within the window: pairs of a fine bucket (telemetry/buckets.ts) and its count, flattened. */
  readonly fine: readonly number[];
}

/** One source and one destination. */
export interface FlowReport extends Counts {
  /** `namespace/name`, or `unknown`. */
  readonly source: string;
  /** `namespace/name` of a service, `passthrough` or `none`. */
  readonly destination: string;
  readonly entry: string;
  readonly protocol: string;
  readonly security: Security;
  /**
   * `source`: this is the caller's host; `destination`: the callee's, and the caller's host reports the same traffic too;
   * `both`: they are the same host, or the caller's has no daemon. Add up `source` and `both` for each call once.
   */
  readonly reporter: "source" | "destination" | "both";
  readonly inFlight: number;
  /** Failures since the start by code of docs/errors.md. */
  readonly errors: Readonly<Record<string, number>>;
}

/** One route of one destination, as the caller's host chose it. */
export interface RouteReport extends Counts {
  readonly source: string;
  readonly destination: string;
  /** Name of the route's rule as its resource gives it, `default` where no rule matched. */
  readonly route: string;
}

/** How often requests to a service were tried again. */
export interface RetryReport {
  readonly service: string;
  /** Since the data path's start. */
  readonly retries: number;
  /** Within the window. */
  readonly recent: number;
}

/** One endpoint as this host sees it: each request counts where it was tried last. */
export interface EndpointReport extends Counts {
  /** `namespace/name`. */
  readonly service: string;
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly host: string;
  readonly health: string;
  readonly weight: number;
  readonly ejected: boolean;
  readonly inFlight: number;
  readonly connections: number;
  /** The balancer's estimate; null before the first measurement. */
  readonly latencyEwmaMs: number | null;
}

/** A workload of this host and how much of its quotas it uses. */
export interface WorkloadReport {
  readonly workload: string;
  readonly addresses: readonly string[];
  /** SPIFFE ID; null: it has none. */
  readonly identity: string | null;
  readonly connections: number;
  readonly connectionLimit: number;
  readonly inFlight: number;
  readonly inFlightLimit: number;
  readonly bufferedBytes: number;
  /** Requests within the window. */
  readonly recent: number;
  /** Connections and requests refused for its quotas, since the start. */
  readonly refused: number;
}

export interface WorkerReport {
  readonly id: number;
  readonly alive: boolean;
  readonly restarts: number;
}

export interface CertificateReport {
  /** SPIFFE ID. */
  readonly identity: string;
  readonly state: "valid" | "overdue" | "expired" | "missing";
  /** Time of day since 1970; null: there is none. */
  readonly notAfterMs: number | null;
}

/** A failure; without the query, which may hold secrets. */
export interface ErrorReport {
  readonly atMs: number;
  readonly source: string;
  readonly destination: string;
  readonly endpoint: string | null;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Code of docs/errors.md; null: the endpoint answered with a failure. */
  readonly error: string | null;
  readonly traceId: string;
}
