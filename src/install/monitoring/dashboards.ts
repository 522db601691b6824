import type { Dashboard, Variable } from "./dashboard.ts";
import { chart, figure, query, RANGE } from "./panels.ts";
import { failureRate, latency, requestRate, successRatio } from "./queries.ts";
import { REGISTRY_ROW } from "./registry-row.ts";

const SERVICE = 'destination=~"$service"';
const INSTANCE = 'instance=~"$instance"';

const service: Variable = {
  ...{ name: "service", label: "Service", multiple: true },
  ...{ metric: "hostmesh_requests_total", of: "destination" },
};
const instance: Variable = {
  ...{ name: "instance", label: "Host", multiple: true },
  ...{ metric: "hostmesh_build_info", of: "instance" },
};

/** Sum of a counter's rate over the hosts that are chosen. */
function rateOf(metric: string, by: string, where = INSTANCE): string {
  return `sum by (${by}) (rate(${metric}{${where}}[${RANGE}]))`;
}

function gauge(metric: string, by = "instance"): string {
  return `max by (${by}) (${metric}{${INSTANCE}})`;
}

const mesh: Dashboard = {
  uid: "hostmesh-mesh",
  title: "hostmesh / Mesh",
  description: "All services: traffic, success, latency, and what is wrong with the mesh itself.",
  variables: [],
  rows: [
    {
      title: "Golden signals",
      panels: [
        figure("Requests", "reqps", `sum(${requestRate(RANGE, "destination")})`),
        figure("Success", "percentunit", `sum(${successRatio(RANGE, "")})`, {
          ...{ from: 0.99, below: true },
        }),
        figure("p99", "s", latency(0.99, RANGE, "")),
        figure("In flight", "short", "sum(hostmesh_requests_in_flight)"),
        figure("Hosts", "short", "count(hostmesh_build_info)"),
        figure("Endpoints ejected", "short", "max(hostmesh_endpoints_ejected)", { from: 1 }),
        chart(
          "Requests by service",
          "reqps",
          12,
          query(requestRate(RANGE, "destination"), "{{destination}}"),
        ),
        chart(
          "Success by service",
          "percentunit",
          12,
          query(successRatio(RANGE, "destination"), "{{destination}}"),
        ),
        chart(
          "p99 by service",
          "s",
          12,
          query(latency(0.99, RANGE, "destination"), "{{destination}}"),
        ),
        chart(
          "How traffic is secured",
          "reqps",
          12,
          query(requestRate(RANGE, "security"), "{{security}}"),
        ),
      ],
    },
    {
      title: "The mesh itself",
      panels: [
        chart(
          "Registry connected",
          "none",
          8,
          query("hostmesh_registry_connected", "{{instance}}"),
        ),
        chart(
          "Age of the configuration",
          "s",
          8,
          query("hostmesh_config_age_seconds", "{{instance}}"),
        ),
        chart(
          "First certificate expires in",
          "s",
          8,
          query("hostmesh_certificate_expiry_seconds", "{{instance}}"),
        ),
      ],
    },
    REGISTRY_ROW,
  ],
};

const ofService: Dashboard = {
  uid: "hostmesh-service",
  title: "hostmesh / Service",
  description: "One service: who calls it, what they see, and what hides behind retries.",
  variables: [service],
  rows: [
    {
      title: "What callers see",
      panels: [
        chart(
          "Requests by caller",
          "reqps",
          8,
          query(requestRate(RANGE, "source", SERVICE), "{{source}}"),
        ),
        chart(
          "Success by caller",
          "percentunit",
          8,
          query(successRatio(RANGE, "source", SERVICE), "{{source}}"),
        ),
        chart(
          "Latency",
          "s",
          8,
          query(latency(0.5, RANGE, "", SERVICE), "p50"),
          query(latency(0.95, RANGE, "", SERVICE), "p95"),
          query(latency(0.99, RANGE, "", SERVICE), "p99"),
        ),
        chart(
          "Failures by error",
          "reqps",
          12,
          query(failureRate(RANGE, "error", SERVICE), "{{error}}"),
        ),
        chart("In flight by caller", "short", 12, {
          expr: `sum by (source) (hostmesh_requests_in_flight{${SERVICE}})`,
          legend: "{{source}}",
        }),
      ],
    },
    {
      title: "Behind it",
      panels: [
        chart(
          "Retries",
          "reqps",
          8,
          query(rateOf("hostmesh_retries_total", "error", SERVICE), "{{error}}"),
        ),
        chart(
          "Ejections",
          "cps",
          8,
          query(rateOf("hostmesh_ejections_total", "destination", SERVICE), "{{destination}}"),
        ),
        chart("Wait for a connection, p99", "s", 8, {
          expr: `histogram_quantile(0.99, sum by (le) (rate(hostmesh_queue_time_seconds_bucket{${SERVICE}}[${RANGE}])))`,
          legend: "p99",
        }),
        chart(
          "Bytes",
          "Bps",
          12,
          query(
            rateOf("hostmesh_request_bytes_total", "destination", SERVICE),
            "{{destination}} in",
          ),
          query(
            rateOf("hostmesh_response_bytes_total", "destination", SERVICE),
            "{{destination}} out",
          ),
        ),
        chart("Size of responses, p95", "bytes", 12, {
          expr: `histogram_quantile(0.95, sum by (le) (rate(hostmesh_response_size_bytes_bucket{${SERVICE}}[${RANGE}])))`,
          legend: "p95",
        }),
      ],
    },
  ],
};

const host: Dashboard = {
  uid: "hostmesh-host",
  title: "hostmesh / Host",
  description: "One host: its workloads, connections, identities and configuration.",
  variables: [instance],
  rows: [
    {
      title: "Traffic",
      panels: [
        chart("Requests by workload", "reqps", 12, {
          expr: requestRate(RANGE, "source", INSTANCE),
          legend: "{{source}}",
        }),
        chart("In flight by workload", "short", 12, {
          expr: `sum by (source) (hostmesh_requests_in_flight{${INSTANCE}})`,
          legend: "{{source}}",
        }),
        chart(
          "Connections",
          "short",
          8,
          query(gauge("hostmesh_connections_open"), "{{instance}} clients"),
          query(gauge("hostmesh_pool_connections_open"), "{{instance}} endpoints"),
          query(gauge("hostmesh_tunnels_open"), "{{instance}} tunnels"),
        ),
        chart(
          "Refused connections",
          "cps",
          8,
          query(
            rateOf("hostmesh_connections_refused_total", "instance, reason"),
            "{{instance}} {{reason}}",
          ),
        ),
        chart("Buffered", "bytes", 8, query(gauge("hostmesh_buffered_bytes"), "{{instance}}")),
      ],
    },
    {
      title: "State",
      panels: [
        chart(
          "Capture",
          "none",
          6,
          query(gauge("hostmesh_capture_active", "instance, mode"), "{{instance}} {{mode}}"),
        ),
        chart("Revision", "none", 6, query(gauge("hostmesh_config_revision"), "{{instance}}")),
        chart("Workloads", "short", 6, query(gauge("hostmesh_workloads"), "{{instance}}")),
        chart(
          "Certificates",
          "short",
          6,
          query(gauge("hostmesh_certificates", "instance, state"), "{{instance}} {{state}}"),
        ),
        chart(
          "Handshakes from other hosts",
          "cps",
          12,
          query(
            rateOf("hostmesh_mesh_connections_total", "instance, result"),
            "{{instance}} {{result}}",
          ),
        ),
        chart(
          "Renewals",
          "cps",
          12,
          query(
            rateOf("hostmesh_certificate_renewals_total", "instance, result"),
            "{{instance}} {{result}}",
          ),
        ),
      ],
    },
  ],
};

const proxy: Dashboard = {
  uid: "hostmesh-proxy",
  title: "hostmesh / Proxy",
  description:
    "The daemon as a program: CPU, memory, event loop, pools, and what it adds to a request.",
  variables: [instance],
  rows: [
    {
      title: "Program",
      panels: [
        chart(
          "CPU",
          "short",
          6,
          query(rateOf("hostmesh_process_cpu_seconds_total", "instance"), "{{instance}}"),
        ),
        chart(
          "Memory",
          "bytes",
          6,
          query(gauge("hostmesh_process_resident_memory_bytes"), "{{instance}}"),
        ),
        chart(
          "Lag of the main thread, p99",
          "s",
          6,
          query(gauge("hostmesh_nodejs_eventloop_lag_p99_seconds"), "{{instance}}"),
        ),
        chart(
          "Workers",
          "short",
          6,
          query(gauge("hostmesh_workers"), "{{instance}}"),
          query(
            `sum by (instance) (increase(hostmesh_worker_restarts_total{${INSTANCE}}[${RANGE}]))`,
            "{{instance}} replaced",
          ),
        ),
      ],
    },
    {
      title: "Data path",
      panels: [
        chart("Time spent in the proxy", "s", 8, {
          expr: `histogram_quantile(0.99, sum by (le, protocol) (rate(hostmesh_proxy_time_seconds_bucket{${INSTANCE}}[${RANGE}])))`,
          legend: "{{protocol}} p99",
        }),
        chart(
          "Connections to endpoints",
          "cps",
          8,
          query(
            rateOf("hostmesh_pool_connections_opened_total", "instance"),
            "{{instance}} opened",
          ),
          query(
            rateOf("hostmesh_pool_connections_reused_total", "instance"),
            "{{instance}} reused",
          ),
          query(
            rateOf("hostmesh_pool_connections_failed_total", "instance"),
            "{{instance}} failed",
          ),
        ),
        chart(
          "Lines for connections",
          "cps",
          8,
          query(rateOf("hostmesh_pool_queued_total", "instance"), "{{instance}} waited"),
          query(rateOf("hostmesh_pool_queue_full_total", "instance"), "{{instance}} refused"),
          query(rateOf("hostmesh_pool_queue_timeouts_total", "instance"), "{{instance}} in vain"),
        ),
        chart("Versions of HTTP", "reqps", 12, {
          expr: rateOf("hostmesh_http_versions_total", "client, upstream"),
          legend: "{{client}} to {{upstream}}",
        }),
        chart("How protocols became known", "cps", 12, {
          expr: rateOf("hostmesh_protocol_detections_total", "result"),
          legend: "{{result}}",
        }),
        chart(
          "Label sets",
          "short",
          12,
          query(gauge("hostmesh_metric_series", "instance, table"), "{{instance}} {{table}}"),
        ),
        chart(
          "Label sets folded",
          "cps",
          12,
          query(
            rateOf("hostmesh_metric_series_folded_total", "instance, table"),
            "{{instance}} {{table}}",
          ),
        ),
      ],
    },
  ],
};

export const DASHBOARDS: readonly Dashboard[] = [mesh, ofService, host, proxy];
