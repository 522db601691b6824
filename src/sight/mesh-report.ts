import type {
  CertificateReport,
  ErrorReport,
  Security,
  WorkerReport,
  WorkloadReport,
} from "./host-report.ts";

/**
 * What all daemons together have seen: `GET /v1/mesh/sight/report` of the registry. Rates, success and percentiles are of
 * the last seconds (`windowMs`), other counts since each data path's start. Times in ms, sizes in bytes.
 */
export interface MeshReport {
  /** Time of day, since 1970. */
  readonly atMs: number;
  readonly windowMs: number;
  /** The registry's newest revision. */
  readonly revision: number;
  /** Of everything that was called. Absent: from a registry that did not tell it yet. */
  readonly total?: Figures;
  /** By name. */
  readonly hosts: readonly HostSummary[];
  /** Every service of the registry and whatever else was called, by name. */
  readonly services: readonly ServiceFigures[];
  /** By name. */
  readonly sources: readonly SourceFigures[];
  /** Who talks to whom. */
  readonly edges: readonly EdgeFigures[];
  readonly routes: readonly RouteFigures[];
  readonly recentErrors: readonly (ErrorReport & { readonly host: string })[];
}

export interface Figures {
  readonly requests: number;
  readonly failures: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly rps: number;
  readonly bytesPerSecond: number;
  /** Share that did not fail, 0 to 1; null when nothing ended within the window. */
  readonly success: number | null;
  /** Of HTTP requests; null when none ended within the window. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
}

export interface ServiceFigures extends Figures {
  /** `namespace/name`, `passthrough` or `none`. */
  readonly service: string;
  readonly protocols: readonly string[];
  readonly inFlight: number;
  readonly errors: Readonly<Record<string, number>>;
  readonly endpoints: readonly EndpointFigures[];
  /** Since the data paths' start; absent: no daemon told. */
  readonly retries?: number;
  readonly retriesPerSecond?: number;
}

/** What all hosts together sent to it, each request counted where it was tried last; in flight and connections are sums, `ejectedBy` names the hosts that ejected it. */
export interface EndpointFigures extends Figures {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly host: string;
  readonly health: string;
  readonly weight: number;
  readonly inFlight: number;
  readonly connections: number;
  /** Mean over the hosts that called it, by their requests; null: nobody measured it. */
  readonly latencyEwmaMs: number | null;
  readonly ejectedBy: readonly string[];
  /** Of the service's requests within the window, 0 to 1; null when there were none. */
  readonly share: number | null;
}

export interface SourceFigures extends Figures {
  readonly source: string;
  readonly inFlight: number;
}

export interface EdgeFigures extends Figures {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  /** Requests within the window by how they were secured (since the start where there were none in it). */
  readonly securities: Readonly<Partial<Record<Security, number>>>;
  /** Everything was `mutual_tls` or `same_host`. */
  readonly secured: boolean;
  readonly inFlight: number;
}

export interface RouteFigures extends Figures {
  readonly source: string;
  readonly destination: string;
  readonly route: string;
}

export interface HostSummary {
  readonly host: string;
  readonly zone: string;
  readonly version: string;
  /** `reporting`; `silent`: it watches but did not answer in time; `old`: its version cannot report; `gone`: known, but no daemon watches. */
  readonly state: "reporting" | "silent" | "old" | "gone";
  readonly uptimeMs: number | null;
  /** That it acknowledged. */
  readonly revision: number | null;
  readonly refusal: { readonly revision: number; readonly reason: string } | null;
  readonly capture: { readonly mode: string; readonly active: boolean } | null;
  readonly workers: readonly WorkerReport[];
  readonly workloads: readonly WorkloadReport[];
  readonly certificates: readonly CertificateReport[];
  readonly figures: Figures;
}
