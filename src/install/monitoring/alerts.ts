/** An alert as Prometheus takes it. */
export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: "critical" | "warning" | "info";
  readonly summary: string;
  /** What it means, and what to do about it. */
  readonly description: string;
}

const SERVICES: readonly Alert[] = [
  {
    alert: "HostmeshServiceFailing",
    expr: "hostmesh:service_success:ratio5m < 0.95 and hostmesh:service_requests:rate5m > 0.1",
    ...{ for: "5m", severity: "critical" },
    summary: "{{ $labels.destination }} fails",
    description:
      "Only {{ $value | humanizePercentage }} of the requests to {{ $labels.destination }} succeed. See which endpoint and which error it is: hostmesh stat NAME.NAMESPACE and hostmesh describe NAME.NAMESPACE.",
  },
  {
    alert: "HostmeshServiceSlow",
    expr: "hostmesh:service_latency:p99_5m > 1 and on (destination) hostmesh:service_requests:rate5m > 0.1",
    ...{ for: "10m", severity: "warning" },
    summary: "{{ $labels.destination }} is slow",
    description:
      "One in a hundred requests to {{ $labels.destination }} takes longer than {{ $value | humanizeDuration }}. hostmesh stat NAME.NAMESPACE says whether it is one endpoint.",
  },
  {
    alert: "HostmeshServiceSaturated",
    expr: "sum by (instance) (rate(hostmesh_pool_queue_full_total[5m]) + rate(hostmesh_pool_queue_timeouts_total[5m])) > 0",
    ...{ for: "5m", severity: "warning" },
    summary: "requests wait for connections in vain on {{ $labels.instance }}",
    description:
      "Services that are called from {{ $labels.instance }} have as many requests under way as their limits allow, and the line is full. Add endpoints, or raise connectionPool of their DestinationRule.",
  },
  {
    alert: "HostmeshEndpointsEjected",
    expr: "hostmesh_endpoints_ejected > 0",
    ...{ for: "15m", severity: "warning" },
    summary: "{{ $value }} endpoints are ejected on {{ $labels.instance }}",
    description:
      "They failed and get no traffic. hostmesh stat NAME.NAMESPACE names them; their own logs say why they fail.",
  },
  {
    alert: "HostmeshRetriesOverBudget",
    expr: "sum by (instance) (rate(hostmesh_retries_refused_total[5m])) > 0",
    ...{ for: "10m", severity: "warning" },
    summary: "retries are refused on {{ $labels.instance }}",
    description:
      "More requests fail than the retry budget may hide: callers see the failures. hostmesh stat shows of which service.",
  },
  {
    alert: "HostmeshPlaintextWithoutIdentity",
    expr: 'sum by (instance, source, destination) (rate(hostmesh_requests_total{security="no_identity"}[5m])) > 0',
    ...{ for: "10m", severity: "warning" },
    summary: "{{ $labels.source }} calls {{ $labels.destination }} in the clear",
    description:
      "There is no certificate for the caller on {{ $labels.instance }}, so its traffic to other hosts is not encrypted. hostmesh check on that host says why.",
  },
];

const CONTROL: readonly Alert[] = [
  {
    alert: "HostmeshRegistryGone",
    expr: "hostmesh_registry_connected == 0",
    ...{ for: "5m", severity: "critical" },
    summary: "the daemon of {{ $labels.instance }} has no registry",
    description:
      "It serves what it knows, but learns of no new endpoint and renews no certificate. See whether the registry runs and can be reached from that host: hostmesh check.",
  },
  {
    alert: "HostmeshConfigOld",
    expr: "hostmesh_config_age_seconds > 300",
    ...{ for: "5m", severity: "warning" },
    summary: "{{ $labels.instance }} acts on old configuration",
    description:
      "What it acts on was last known to be current {{ $value | humanizeDuration }} ago. hostmesh proxy-status shows whether it is cut off or refuses a revision.",
  },
  {
    alert: "HostmeshConfigRefused",
    expr: "increase(hostmesh_config_refused_total[15m]) > 0",
    ...{ for: "0m", severity: "critical" },
    summary: "{{ $labels.instance }} refuses configuration",
    description:
      "hostmesh proxy-status gives the reason; hostmesh history and hostmesh rollback take the change back.",
  },
  {
    alert: "HostmeshDaemonGone",
    expr: "max by (instance) (hostmesh_build_info offset 30m) unless max by (instance) (hostmesh_build_info)",
    ...{ for: "5m", severity: "critical" },
    summary: "the daemon of {{ $labels.instance }} is gone",
    description:
      "It was there half an hour ago. Its containers are not captured any more (or cut off, with capture.failMode closed).",
  },
  {
    alert: "HostmeshCaptureInactive",
    expr: 'hostmesh_capture_active{mode!="explicit"} == 0',
    ...{ for: "5m", severity: "critical" },
    summary: "{{ $labels.instance }} captures nothing",
    description:
      "Its containers talk past the mesh: without encryption, policy and balancing. hostmesh check on that host says what is in the way.",
  },
  {
    alert: "HostmeshWorkersRestarting",
    expr: "increase(hostmesh_worker_restarts_total[15m]) > 2",
    ...{ for: "0m", severity: "critical" },
    summary: "worker threads of {{ $labels.instance }} end again and again",
    description:
      "Each end breaks the connections of that worker. The daemon's log has the reason; please report it with hostmesh bug-report.",
  },
  {
    alert: "HostmeshConnectionsRefused",
    expr: "sum by (instance, reason) (rate(hostmesh_connections_refused_total[5m])) > 0",
    ...{ for: "5m", severity: "warning" },
    summary: "{{ $labels.instance }} refuses connections ({{ $labels.reason }})",
    description:
      "limit: the host has as many as limits.connections allows; quota: one workload opens too many (limits.workloadConnections). The host's page of hostmesh dashboard shows who.",
  },
];

const IDENTITY: readonly Alert[] = [
  {
    alert: "HostmeshCertificateExpiring",
    expr: "hostmesh_certificate_expiry_seconds < 3600",
    ...{ for: "1m", severity: "critical" },
    summary: "a certificate of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}",
    description:
      "Certificates are renewed at half of their life, so renewals have failed for hours. hostmesh check and hostmesh identity list say which and why.",
  },
  {
    alert: "HostmeshCertificatesNotRenewed",
    expr: 'sum by (instance, state) (hostmesh_certificates{state=~"overdue|expired|missing"}) > 0',
    ...{ for: "10m", severity: "warning" },
    summary: "{{ $value }} certificates of {{ $labels.instance }} are {{ $labels.state }}",
    description: "The registry does not issue them, or cannot be reached. hostmesh check says why.",
  },
  {
    alert: "HostmeshTokenKeysMissing",
    expr: 'sum by (instance, state) (hostmesh_jwks_documents{state!="current"}) > 0',
    ...{ for: "10m", severity: "warning" },
    summary: "keys of token issuers cannot be fetched on {{ $labels.instance }}",
    description:
      "stale: the keys that were fetched before are in force; missing: requests with tokens of that issuer are refused.",
  },
];

const REGISTRY: readonly Alert[] = [
  {
    alert: "HostmeshAuthorityExpiring",
    expr: "min by (job, namespace) (hostmesh_registry_authority_expiry_seconds) < 30 * 86400",
    ...{ for: "10m", severity: "critical" },
    summary: "the mesh's authority expires in {{ $value | humanizeDuration }}",
    description:
      "No certificate outlives it. hostmesh identity rotate-ca begins the change to another one, which takes as long as a certificate lives.",
  },
  {
    alert: "HostmeshDaemonRefuses",
    expr: 'sum by (job, namespace) (hostmesh_registry_daemons{state="refusing"}) > 0',
    ...{ for: "2m", severity: "critical" },
    summary: "{{ $value }} daemons refuse the registry's newest revision",
    description:
      "They serve what they had before. hostmesh proxy-status gives the reason; hostmesh history and hostmesh rollback take the change back.",
  },
  {
    alert: "HostmeshDaemonBehind",
    expr: 'sum by (job, namespace) (hostmesh_registry_daemons{state="behind"}) > 0',
    ...{ for: "5m", severity: "warning" },
    summary: "{{ $value }} daemons do not come to the newest revision",
    description:
      "They are connected and take nothing new: a host without CPU time, or a link that is too slow. hostmesh proxy-status names them.",
  },
  {
    alert: "HostmeshRegistryNoLeader",
    expr: "max by (job, namespace) (hostmesh_registry_leader) == 0",
    ...{ for: "2m", severity: "critical" },
    summary: "no registry leads",
    description:
      "Traffic goes on, but checks do not run out and the status of resources is not written. See whether the registries reach etcd, or the Lease of the cluster.",
  },
  {
    alert: "HostmeshRegistryStale",
    expr: "hostmesh_registry_source_synced == 0",
    ...{ for: "5m", severity: "critical" },
    summary: "the registry {{ $labels.instance }} does not follow {{ $labels.source }}",
    description:
      "What it serves is as old as that: pods that came since get no traffic. Its log and source or store of /v1/mesh/status say why.",
  },
  {
    alert: "HostmeshCommitsFailing",
    expr: "increase(hostmesh_registry_commits_failed_total[10m]) > 0",
    ...{ for: "5m", severity: "warning" },
    summary: "writes to the registry {{ $labels.instance }} fail",
    description: "Its store does not take them: a full disk, or etcd without a majority.",
  },
];

const OBSERVING: readonly Alert[] = [
  {
    alert: "HostmeshMetricsFolded",
    expr: "sum by (instance, table) (increase(hostmesh_metric_series_folded_total[1h])) > 0",
    ...{ for: "0m", severity: "info" },
    summary: "{{ $labels.instance }} counts some traffic under `other`",
    description:
      "There are more label sets in the table {{ $labels.table }} than limits.metricSeries allows: raise it, or let it be.",
  },
  {
    alert: "HostmeshAccessLogDropped",
    expr: "rate(hostmesh_access_log_dropped_total[5m]) > 0",
    ...{ for: "10m", severity: "info" },
    summary: "lines of the access log are dropped on {{ $labels.instance }}",
    description: "Its reader is too slow. Sample it, or log failures only.",
  },
  {
    alert: "HostmeshSpansLost",
    expr: 'sum by (instance, result) (rate(hostmesh_trace_spans_total{result=~"dropped|refused"}[5m])) > 0',
    ...{ for: "10m", severity: "info" },
    summary: "spans of {{ $labels.instance }} are {{ $labels.result }}",
    description:
      "dropped: the collector is gone or too slow; refused: it does not take them, with the reason in the daemon's log. Traces have gaps.",
  },
];

/** By their group. */
export const ALERTS: Readonly<Record<string, readonly Alert[]>> = {
  services: SERVICES,
  control: CONTROL,
  identity: IDENTITY,
  registry: REGISTRY,
  observing: OBSERVING,
};
