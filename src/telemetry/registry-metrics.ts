import { COMMIT_BOUNDS_S } from "../core/commit-bounds.ts";
import { type MetricDeclaration, type Sample, single } from "./metric-declaration.ts";

type Counts = Readonly<Record<string, number>>;

/** What a registry's metrics read, at one moment; the units are those of its parts, and times are in ms. */
export interface RegistryMetricsSources {
  readonly build: { readonly version: string; readonly node: string };
  figures(): {
    readonly revision: number;
    readonly records: Counts;
    readonly resources: ReadonlyMap<string, Counts>;
    readonly daemons: Counts;
    readonly isLeader: boolean | null;
    readonly commits: {
      readonly buckets: readonly number[];
      readonly sumMs: number;
      readonly failed: number;
    };
    readonly identity: {
      readonly issued: number;
      readonly refused: Counts;
      readonly expiresInMs: number;
    } | null;
    readonly source: {
      readonly kind: string;
      readonly isSynced: boolean;
      readonly staleMs: number;
    };
    readonly requests: ReadonlyMap<string, ReadonlyMap<string, number>>;
    readonly questions: ReadonlyMap<string, Counts>;
  };
  /** Null: none is served. */
  dashboard(): {
    readonly sessions: number;
    readonly pages: number;
    readonly refusals: ReadonlyMap<string, number>;
  } | null;
}

type Sources = RegistryMetricsSources;
type Declaration = MetricDeclaration<Sources>;

function perLabel(values: Iterable<readonly [string, number]>): Sample[] {
  return [...values].map(([label, value]) => [[label], value]);
}

function perPair(
  values: Iterable<readonly [string, Iterable<readonly [string, number]>]>,
): Sample[] {
  return [...values].flatMap(([first, inner]) =>
    [...inner].map(([second, value]): Sample => [[first, second], value]),
  );
}

function perRecord(values: ReadonlyMap<string, Counts>): Sample[] {
  return perPair([...values].map(([name, counts]) => [name, Object.entries(counts)]));
}

const HOLDS: readonly Declaration[] = [
  single<Sources>(
    "gauge",
    "hostmesh_registry_revision",
    "Newest revision",
    ({ figures }) => figures().revision,
  ),
  {
    ...{ type: "gauge", name: "hostmesh_registry_records", labels: ["kind"] },
    help: "What the registry holds, by kind",
    read: ({ figures }) => perLabel(Object.entries(figures().records)),
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_resources", labels: ["kind", "state"] },
    help: "Resources by kind, and by what became of them",
    read: ({ figures }) => perRecord(figures().resources),
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_daemons", labels: ["state"] },
    help: "Daemons that watch this registry, by how they follow it",
    read: ({ figures }) => perLabel(Object.entries(figures().daemons)),
  },
];

const STORE: readonly Declaration[] = [
  {
    ...{ type: "gauge", name: "hostmesh_registry_leader", labels: [] },
    help: "1 while this registry does what only one may do; absent: nobody stands for it",
    read: ({ figures }) => {
      const { isLeader } = figures();
      return isLeader === null ? [] : [[[], isLeader ? 1 : 0]];
    },
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_source_synced", labels: ["source"] },
    help: "1 while all of what the registry serves is being followed where it is kept",
    read: ({ figures }) => {
      const { kind, isSynced } = figures().source;
      return [[[kind], isSynced ? 1 : 0]];
    },
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_source_stale_seconds", labels: ["source"] },
    help: "For how long a part of a cluster has not been followed; 0: all of it is",
    read: ({ figures }) => {
      const { kind, staleMs } = figures().source;
      return [[[kind], staleMs / 1_000]];
    },
  },
  {
    ...{ type: "histogram", name: "hostmesh_registry_commit_duration_seconds", labels: [] },
    help: "Time that the store took for a commit",
    bounds: COMMIT_BOUNDS_S,
    read: ({ figures }) => {
      const { buckets, sumMs } = figures().commits;
      return [{ labels: [], buckets, sum: sumMs / 1_000 }];
    },
  },
  single<Sources>(
    ...(["counter", "hostmesh_registry_commits_failed_total"] as const),
    "Commits that the store did not take",
    ({ figures }) => figures().commits.failed,
  ),
];

const IDENTITY: readonly Declaration[] = [
  {
    ...{ type: "counter", name: "hostmesh_registry_certificates_issued_total", labels: [] },
    help: "Certificates issued; absent: this registry is no authority",
    read: ({ figures }) => {
      const { identity } = figures();
      return identity === null ? [] : [[[], identity.issued]];
    },
  },
  {
    ...{ type: "counter", name: "hostmesh_registry_certificates_refused_total" },
    labels: ["reason"],
    help: "Certificates and enrolments refused",
    read: ({ figures }) => perLabel(Object.entries(figures().identity?.refused ?? {})),
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_authority_expiry_seconds", labels: [] },
    help: "Time until the authority that signs expires; below 0: it has",
    read: ({ figures }) => {
      const { identity } = figures();
      return identity === null ? [] : [[[], identity.expiresInMs / 1_000]];
    },
  },
];

const SERVES: readonly Declaration[] = [
  {
    ...{ type: "counter", name: "hostmesh_registry_requests_total", labels: ["port", "code"] },
    help: "Requests to the registry's API that were answered, by class of the status",
    read: ({ figures }) => perPair(figures().requests),
  },
  {
    ...{ type: "counter", name: "hostmesh_registry_questions_total", labels: ["kind", "result"] },
    help: "Questions to daemons that watch this registry",
    read: ({ figures }) => perRecord(figures().questions),
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_dashboard_sessions", labels: [] },
    help: "Logins to the dashboard that are in force; absent: it is not served",
    read: ({ dashboard }) => {
      const figures = dashboard();
      return figures === null ? [] : [[[], figures.sessions]];
    },
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_dashboard_pages", labels: [] },
    help: "Pages of the dashboard that are open and follow the mesh",
    read: ({ dashboard }) => {
      const figures = dashboard();
      return figures === null ? [] : [[[], figures.pages]];
    },
  },
  {
    ...{ type: "counter", name: "hostmesh_registry_dashboard_refusals_total" },
    labels: ["reason"],
    help: "Requests that the dashboard refused",
    read: ({ dashboard }) => perLabel(dashboard()?.refusals ?? []),
  },
  {
    ...{ type: "gauge", name: "hostmesh_registry_build_info", labels: ["version", "node"] },
    help: "Always 1; the labels say what runs",
    read: ({ build }) => [[[build.version, build.node], 1]],
  },
];

/** Every metric of a registry, in the order of the exposition; `docs/metrics.md` is compared with it. */
export const REGISTRY_METRICS: readonly Declaration[] = [
  ...HOLDS,
  ...STORE,
  ...IDENTITY,
  ...SERVES,
];
