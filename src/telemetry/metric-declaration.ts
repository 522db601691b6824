import type { Exemplar } from "./exposition.ts";
import type { SeriesReader } from "./series-reader.ts";

/** Certificates of this host and its workloads. */
export interface CertificateFigures {
  /** Wanted identities by the state of their certificate. */
  readonly states: Readonly<Record<"valid" | "overdue" | "expired" | "missing", number>>;
  /** Time until the first of them expires, in ms; null: there is none. */
  readonly expiresInMs: number | null;
  /** Attempts to get or renew one, by result. */
  readonly renewals: Readonly<Record<"issued" | "failed" | "refused", number>>;
}

/** Documents with the keys of issuers of tokens, by their state, and fetches by their result. */
export interface JwksFigures {
  readonly current: number;
  readonly stale: number;
  readonly missing: number;
  readonly fetched: number;
  readonly failed: number;
}

/** Spans by what became of them, and those that wait for the collector. */
export interface TraceFigures {
  readonly exported: number;
  readonly dropped: number;
  readonly refused: number;
  readonly waiting: number;
}

/** What the metrics read; parts of the daemon that own a value hand in a plain getter. */
export interface MetricsSources {
  readonly series: SeriesReader;
  /** Version of hostmesh and of Node. */
  readonly build: { readonly version: string; readonly node: string };
  /** Revision that the data path acts on; 0 before the first. */
  revision(): number;
  /** Time since the daemon last knew its snapshot to be the registry's latest, in ms. */
  configAgeMs(): number;
  registryConnected(): boolean;
  /** Revisions that this daemon refused. */
  revisionsRefused(): number;
  /** Size of the snapshot, and what shared memory had no room for. */
  services(): number;
  endpoints(): number;
  endpointsRefused(): number;
  workloads(): number;
  workloadsRefused(): number;
  /** Bytes that all workers keep for workloads. */
  bufferedBytes(): number;
  /** Endpoints that are ejected just now. */
  endpointsEjected(): number;
  workersAlive(): number;
  workerRestarts(): number;
  /** Mode in force, and whether its rules and their dead-man entry are in place. */
  capture(): { readonly mode: string; readonly active: boolean };
  certificates(): CertificateFigures;
  jwks(): JwksFigures;
  traces(): TraceFigures;
}

interface Declared {
  readonly name: `hostmesh_${string}` | `istio_${string}`;
  readonly help: string;
  readonly labels: readonly string[];
}

/** Label values in the order of the declared names, and the value. */
export type Sample = readonly [labels: readonly string[], value: number];

export interface ValueMetric<Sources = MetricsSources> extends Declared {
  readonly type: "counter" | "gauge";
  readonly read: (sources: Sources) => Iterable<Sample>;
}

/** Buckets are not cumulative; the last one is `+Inf`. The sum is in the unit of the bounds. */
export interface HistogramSample {
  readonly labels: readonly string[];
  readonly buckets: readonly number[];
  readonly sum: number;
  /** By bucket; absent: there are none. */
  readonly exemplars?: readonly (Exemplar | undefined)[] | undefined;
}

export interface HistogramMetric<Sources = MetricsSources> extends Declared {
  readonly type: "histogram";
  readonly bounds: readonly number[];
  readonly read: (sources: Sources) => Iterable<HistogramSample>;
}

/** One metric: what it is called, what it means, and where its values come from. */
export type MetricDeclaration<Sources = MetricsSources> =
  | ValueMetric<Sources>
  | HistogramMetric<Sources>;

/** A metric without labels. */
export function single<Sources = MetricsSources>(
  type: "counter" | "gauge",
  name: Declared["name"],
  help: string,
  read: (sources: Sources) => number,
): ValueMetric<Sources> {
  return { type, name, help, labels: [], read: (sources) => [[[], read(sources)]] };
}
