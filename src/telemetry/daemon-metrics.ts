import type { DataEvent } from "../core/facts.ts";
import {
  type MetricDeclaration,
  type Sample,
  single,
  type ValueMetric,
} from "./metric-declaration.ts";
import { DETECTIONS, TABLES } from "./series.ts";

function events(name: ValueMetric["name"], help: string, event: DataEvent): ValueMetric {
  return single("counter", name, help, ({ series }) =>
    series.total((region) => region.event(event)),
  );
}

function open(
  name: ValueMetric["name"],
  help: string,
  opened: DataEvent,
  closed: DataEvent,
): ValueMetric {
  // A worker counts both while this thread reads, so a difference may be off by one for a moment.
  return single("gauge", name, help, ({ series }) =>
    Math.max(
      0,
      series.total((region) => region.event(opened) - region.event(closed)),
    ),
  );
}

function perLabel(values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([label, value]) => [[label], value]);
}

const CONNECTION_METRICS: readonly MetricDeclaration[] = [
  events(
    "hostmesh_connections_opened_total",
    "Connections accepted from clients",
    "connection_opened",
  ),
  open(
    "hostmesh_connections_open",
    "Connections from clients that are open",
    "connection_opened",
    "connection_closed",
  ),
  {
    type: "counter",
    name: "hostmesh_connections_refused_total",
    help: "Connections refused at once: the worker's limit, or the workload's quota",
    labels: ["reason"],
    read: ({ series }) => [
      [["limit"], series.total((region) => region.event("connection_refused_limit"))],
      [["quota"], series.total((region) => region.event("connection_refused_quota"))],
    ],
  },
  {
    type: "counter",
    name: "hostmesh_mesh_connections_total",
    help: "Connections to the mesh port by what came of handshake, certificate and request",
    labels: ["result"],
    read: ({ series }) => [
      [["accepted"], series.total((region) => region.event("mesh_accepted"))],
      [["refused"], series.total((region) => region.event("mesh_refused"))],
    ],
  },
  events(
    "hostmesh_turn_waits_total",
    "Requests and pieces of streams that waited as their source had had its share of a turn",
    "turn_waited",
  ),
  single(
    "gauge",
    "hostmesh_buffered_bytes",
    "Bytes kept in buffers for workloads of this host",
    (sources) => sources.bufferedBytes(),
  ),
  events("hostmesh_tunnels_opened_total", "TCP tunnels opened", "tunnel_opened"),
  open("hostmesh_tunnels_open", "TCP tunnels that are open", "tunnel_opened", "tunnel_closed"),
  events(
    "hostmesh_loops_refused_total",
    "Connections whose destination was the proxy itself",
    "loop_refused",
  ),
  {
    type: "counter",
    name: "hostmesh_protocol_detections_total",
    help: "Connections by how their protocol became known",
    labels: ["result"],
    read: ({ series }) =>
      DETECTIONS.map((found) => [[found], series.total((region) => region.detection(found))]),
  },
];

const POOL_METRICS: readonly MetricDeclaration[] = [
  {
    type: "counter",
    name: "hostmesh_retries_refused_total",
    help: "Retries that the service's budget, or its limit of retries under way, forbade",
    labels: ["reason"],
    read: ({ series }) => [
      [["budget"], series.total((region) => region.event("retry_over_budget"))],
      [["limit"], series.total((region) => region.event("retry_over_limit"))],
    ],
  },
  {
    type: "counter",
    name: "hostmesh_mirrored_requests_total",
    help: "Copies for mirrors: answered, failed, or not made as the body was too long or too many were under way",
    labels: ["result"],
    read: ({ series }) => [
      [["answered"], series.total((region) => region.event("mirror_sent"))],
      [["failed"], series.total((region) => region.event("mirror_failed"))],
      [["skipped"], series.total((region) => region.event("mirror_skipped"))],
    ],
  },
  events(
    "hostmesh_rate_limit_overflows_total",
    "Requests that no rate limit could hold, as limits.rateBuckets is reached",
    "rate_limit_overflow",
  ),
  events(
    "hostmesh_ejections_suppressed_total",
    "Ejections that the limits on ejected endpoints forbade",
    "ejection_suppressed",
  ),
  events(
    "hostmesh_pool_connections_opened_total",
    "Connections opened to endpoints",
    "upstream_connection_opened",
  ),
  events(
    "hostmesh_pool_connections_closed_total",
    "Connections to endpoints that ended",
    "upstream_connection_closed",
  ),
  open(
    "hostmesh_pool_connections_open",
    "Connections to endpoints that are open, idle ones included",
    "upstream_connection_opened",
    "upstream_connection_closed",
  ),
  events(
    "hostmesh_pool_connections_failed_total",
    "Connections to endpoints that could not be opened",
    "upstream_connection_failed",
  ),
  events(
    "hostmesh_pool_connections_reused_total",
    "Requests that took a connection which had served before",
    "upstream_connection_reused",
  ),
  events(
    "hostmesh_pool_connections_evicted_total",
    "Idle connections closed by the pool",
    "upstream_connection_evicted",
  ),
  events("hostmesh_pool_queued_total", "Requests that waited for a connection", "pool_queued"),
  events(
    "hostmesh_pool_queue_full_total",
    "Requests refused because the queue was full",
    "pool_queue_full",
  ),
  events(
    "hostmesh_pool_queue_timeouts_total",
    "Requests that waited for a connection in vain",
    "pool_queue_timeout",
  ),
];

const CONTROL_METRICS: readonly MetricDeclaration[] = [
  single("gauge", "hostmesh_config_revision", "Revision that the data path acts on", (sources) =>
    sources.revision(),
  ),
  single(
    "gauge",
    "hostmesh_config_age_seconds",
    "Time since the snapshot was last known to be the registry's latest",
    (sources) => sources.configAgeMs() / 1000,
  ),
  single(
    "counter",
    "hostmesh_config_refused_total",
    "Revisions refused by this daemon",
    (sources) => sources.revisionsRefused(),
  ),
  single("gauge", "hostmesh_registry_connected", "1 while the registry's watch is up", (sources) =>
    sources.registryConnected() ? 1 : 0,
  ),
  single("gauge", "hostmesh_services", "Services of the snapshot", (sources) => sources.services()),
  single("gauge", "hostmesh_endpoints", "Endpoints of the snapshot", (sources) =>
    sources.endpoints(),
  ),
  single("gauge", "hostmesh_endpoints_ejected", "Endpoints ejected just now", (sources) =>
    sources.endpointsEjected(),
  ),
  single(
    "gauge",
    "hostmesh_endpoints_refused",
    "Endpoints left out because limits.endpoints is reached",
    (sources) => sources.endpointsRefused(),
  ),
  single("gauge", "hostmesh_workloads", "Workloads of this host", (sources) => sources.workloads()),
  single(
    "gauge",
    "hostmesh_workloads_refused",
    "Workloads left out because limits.workloads is reached",
    (sources) => sources.workloadsRefused(),
  ),
  {
    type: "gauge",
    name: "hostmesh_capture_active",
    help: "1 while the capture rules and their dead-man entry are in place",
    labels: ["mode"],
    read: (sources) => {
      const { mode, active } = sources.capture();
      return [[[mode], active ? 1 : 0]];
    },
  },
  single("gauge", "hostmesh_workers", "Worker threads that are alive", (sources) =>
    sources.workersAlive(),
  ),
  single("counter", "hostmesh_worker_restarts_total", "Worker threads replaced", (sources) =>
    sources.workerRestarts(),
  ),
];

const IDENTITY_METRICS: readonly MetricDeclaration[] = [
  {
    type: "gauge",
    name: "hostmesh_certificates",
    help: "Identities of this host and its workloads, by the state of their certificate",
    labels: ["state"],
    read: (sources) => perLabel(sources.certificates().states),
  },
  {
    type: "gauge",
    name: "hostmesh_certificate_expiry_seconds",
    help: "Time until the first certificate expires; below 0: it has; absent: there is none",
    labels: [],
    read: (sources) => {
      const { expiresInMs } = sources.certificates();
      return expiresInMs === null ? [] : [[[], expiresInMs / 1000]];
    },
  },
  {
    type: "counter",
    name: "hostmesh_certificate_renewals_total",
    help: "Attempts to get or renew a certificate",
    labels: ["result"],
    read: (sources) => perLabel(sources.certificates().renewals),
  },
  {
    type: "gauge",
    name: "hostmesh_jwks_documents",
    help: "Documents with the keys of issuers of tokens, by their state",
    labels: ["state"],
    read: (sources) => {
      const { current, stale, missing } = sources.jwks();
      return perLabel({ current, stale, missing });
    },
  },
  {
    type: "counter",
    name: "hostmesh_jwks_fetches_total",
    help: "Fetches of such documents",
    labels: ["result"],
    read: (sources) => {
      const { fetched, failed } = sources.jwks();
      return perLabel({ fetched, failed });
    },
  },
];

const TRACE_METRICS: readonly MetricDeclaration[] = [
  {
    type: "counter",
    name: "hostmesh_trace_spans_total",
    help: "Spans that were recorded, by what became of them",
    labels: ["result"],
    read: (sources) => {
      const { exported, dropped, refused } = sources.traces();
      return perLabel({ exported, dropped, refused });
    },
  },
  single(
    "gauge",
    "hostmesh_trace_spans_waiting",
    "Spans that wait for the collector",
    (sources) => sources.traces().waiting,
  ),
];

const SELF_METRICS: readonly MetricDeclaration[] = [
  {
    type: "gauge",
    name: "hostmesh_metric_series",
    help: "Label sets in use",
    labels: ["table"],
    read: ({ series }) => TABLES.map((table) => [[table], series.size(table)]),
  },
  {
    type: "counter",
    name: "hostmesh_metric_series_folded_total",
    help: "Uses of the label set other because limits.metricSeries was reached",
    labels: ["table"],
    read: ({ series }) => TABLES.map((table) => [[table], series.folded(table)]),
  },
  single("counter", "hostmesh_access_log_lines_total", "Lines taken by the access log", (sources) =>
    sources.series.total((region) => region.accessLogLines()),
  ),
  single(
    "counter",
    "hostmesh_access_log_dropped_total",
    "Lines of the access log dropped because its reader was too slow or gone",
    (sources) => sources.series.total((region) => region.accessLogDropped()),
  ),
  {
    type: "gauge",
    name: "hostmesh_build_info",
    help: "Always 1; the labels say what runs",
    labels: ["version", "node"],
    read: ({ build }) => [[[build.version, build.node], 1]],
  },
];

/** What the daemon itself does: connections, pool, configuration, workers. */
export const DAEMON_METRICS: readonly MetricDeclaration[] = [
  ...CONNECTION_METRICS,
  ...POOL_METRICS,
  ...CONTROL_METRICS,
  ...IDENTITY_METRICS,
  ...TRACE_METRICS,
  ...SELF_METRICS,
];
