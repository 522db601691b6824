import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Finding } from "../../../src/cli/check/finding.ts";
import { lossFindings } from "../../../src/cli/check/losses-group.ts";
import { hostFindings } from "../../../src/cli/check/mesh/host-findings.ts";
import { trafficFindings } from "../../../src/cli/check/mesh/traffic-findings.ts";
import type { CertificateReport } from "../../../src/sight/host-report.ts";
import type { HostSummary } from "../../../src/sight/mesh-report.ts";
import { endpoint, host, meshReport, service } from "../sight/mesh-report.ts";

const NOW_MS = 1_000_000_000_000;

const lines = (findings: readonly Finding[]) =>
  findings.map(({ verdict, text }) => `${verdict} ${text}`);

const ofHost = (more: Partial<HostSummary>) =>
  lines(hostFindings(meshReport({ hosts: [host("node-a"), host("node-b", more)] })));

test("a mesh that is well is told of in one line each", () => {
  assert.deepEqual(lines(hostFindings(meshReport())), [
    "ok all 2 daemons report, have revision 41, and are well",
  ]);
  const well = meshReport({ services: [service("shop/web", { success: 1 })] });
  assert.match(lines(trafficFindings(well)).join(), /^ok no service fails/);
});

test("a daemon that is gone, silent, old, behind or refusing is named with what to do", () => {
  assert.match(ofHost({ state: "gone" }).join(), /^failure host node-b: no daemon is connected/);
  assert.match(ofHost({ state: "silent" }).join(), /^warning host node-b: .* not answer in time$/);
  assert.match(ofHost({ state: "old" }).join(), /^warning host node-b: version 0\.1\.0 cannot/);
  assert.match(ofHost({ revision: 40 }).join(), /^warning host node-b has revision 40 of 41$/);
  const refusal = { revision: 41, reason: "route shop/web: bad" };
  assert.deepEqual(ofHost({ revision: 40, refusal }), [
    "failure host node-b refused revision 41: route shop/web: bad",
  ]);
  assert.match(ofHost({ version: "0.2.0" }).join(), /versions: 0\.1\.0 on node-a; 0\.2\.0 on/);
});

test("capture, workers, quotas and certificates of every host are looked at", () => {
  const capture = { mode: "tproxy", active: false };
  assert.match(ofHost({ capture }).join(), /^failure host node-b captures nothing/);
  assert.deepEqual(ofHost({ capture: { mode: "explicit", active: false } }).length, 1);
  const workers = [
    { id: 0, alive: false, restarts: 3 },
    { id: 1, alive: true, restarts: 0 },
  ];
  assert.deepEqual(ofHost({ workers }), [
    "failure host node-b: 1 of 2 workers are not alive",
    "warning host node-b: workers were replaced 3 times since the start",
  ]);
  const of = (state: CertificateReport["state"], leftMs: number | null) => {
    const notAfterMs = leftMs === null ? null : NOW_MS + leftMs;
    return ofHost({ certificates: [{ identity: "spiffe://a/b", state, notAfterMs }] }).join();
  };
  assert.match(of("valid", 600_000), /^warning .* ends in 10m.* and is not renewed$/);
  assert.match(of("valid", -1), /^failure .* has expired$/);
  assert.match(of("missing", null), /^failure .* no certificate for spiffe:\/\/a\/b$/);
  assert.match(of("valid", 7_200_000), /^ok /);
  const none = (identity: string) =>
    ({ identity, state: "missing", notAfterMs: null }) satisfies CertificateReport;
  const certificates = ["spiffe://a/ns/hostmesh-hosts/sa/b", "spiffe://a/b"].map(none);
  assert.deepEqual(ofHost({ certificates }), [
    "warning host node-b: it has no identity, so it serves without mutual TLS",
  ]);
  const workload = {
    ...{ workload: "shop/web", addresses: [], identity: null, connections: 95, recent: 1 },
    ...{ connectionLimit: 100, inFlight: 1, inFlightLimit: 100, bufferedBytes: 0, refused: 7 },
  };
  assert.match(ofHost({ workloads: [workload] }).join(), /95 of 100 connections .* 7 were refused/);
});

test("the incident is found: one endpoint slow, one service failing, one ejected for good", () => {
  const slow = service("shop/catalog", {
    success: 1,
    endpoints: [
      endpoint("a/1", { p50Ms: 4 }),
      endpoint("a/2", { p50Ms: 5 }),
      endpoint("b/1", { p50Ms: 220, share: 0.02, address: "10.0.0.9" }),
    ],
  });
  const failing = service("shop/cart", { success: 0.4, rps: 20, errors: { CONNECT_FAILED: 9 } });
  const gone = service("shop/db", {
    success: 1,
    endpoints: [endpoint("c/1", { ejectedBy: ["node-a"] })],
  });
  const bad = service("shop/pay", {
    success: 0.995,
    endpoints: [
      endpoint("d/1", { success: 0.2, rps: 5, host: "node-d" }),
      endpoint("d/2", { success: 1, rps: 5 }),
    ],
  });
  const error = {
    ...{ atMs: NOW_MS, host: "node-a", source: "shop/web", destination: "shop/cart" },
    ...{ endpoint: null, method: "GET", path: "/cart", status: 502, error: "CONNECT_FAILED" },
    traceId: "",
  };
  const services = [slow, failing, gone, bad];
  const found = trafficFindings(meshReport({ services, recentErrors: [error] }));
  assert.deepEqual(lines(found), [
    "warning shop/catalog: endpoint b/1 at 10.0.0.9:8080 on node-a takes 220 ms, its peers 4.0 ms; it gets 2.0 % of the requests in place of 33.3 %",
    "failure shop/cart: 60.0 % of 200 requests fail; most since the start: CONNECT_FAILED; last: GET /cart from shop/web to no endpoint got 502 CONNECT_FAILED",
    "failure shop/db: 1 of 1 endpoints are ejected: c/1 by node-a; none is left",
    "failure shop/pay: endpoint d/1 at 10.0.0.7:8080 on node-d fails 80.0 % of its requests, its peers almost none; it gets 100 % of the requests",
  ]);
  assert.ok(found.every(({ remedy }) => remedy !== undefined));
  const few = service("shop/cart", { success: 0.4, rps: 1 });
  assert.match(lines(trafficFindings(meshReport({ services: [few] }))).join(), /^ok /);
});

test("what telemetry lost is found in the metrics", () => {
  const text = [
    "# TYPE hostmesh_access_log_dropped_total counter",
    "hostmesh_access_log_dropped_total 3",
    'hostmesh_metric_series_folded_total{table="flows"} 0',
    'hostmesh_metric_series_folded_total{table="routes"} 12',
    "hostmesh_requests_total 5",
    'hostmesh_trace_spans_total{result="exported"} 900',
    'hostmesh_trace_spans_total{result="dropped"} 332',
    'hostmesh_trace_spans_total{result="refused"} 4',
    "hostmesh_rate_limit_overflows_total 1",
  ].join("\n");
  assert.deepEqual(lines(lossFindings(text)), [
    "warning hostmesh_access_log_dropped_total is 3 since the start",
    'warning hostmesh_metric_series_folded_total{table="routes"} is 12 since the start',
    'warning hostmesh_trace_spans_total{result="dropped"} is 332 since the start',
    'warning hostmesh_trace_spans_total{result="refused"} is 4 since the start',
    "warning hostmesh_rate_limit_overflows_total is 1 since the start",
  ]);
  const documented = readFileSync(new URL("../../../docs/metrics.md", import.meta.url), "utf8");
  for (const { text: line } of lossFindings(text)) {
    const [name = ""] = line.split(/[ {]/);
    assert.ok(documented.includes(`\`${name}\``), `${name} is a metric that the daemon has`);
  }
  assert.deepEqual(lines(lossFindings("")), ["ok no metric, log line or span was lost"]);
});
