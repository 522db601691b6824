import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestFacts } from "../../src/core/facts.ts";
import type { DataEndpoint, DataService, DataWorkload } from "../../src/core/snapshot.ts";
import { bucketOf, ISTIO_BOUNDS } from "../../src/telemetry/istio/buckets.ts";
import { CONNECTION_LABELS, REQUEST_LABELS } from "../../src/telemetry/istio/labels.ts";
import { ISTIO_METRICS } from "../../src/telemetry/istio/metrics.ts";
import { workloadName } from "../../src/telemetry/istio/workload-name.ts";
import type { MetricsSources } from "../../src/telemetry/metric-declaration.ts";
import { Series } from "../../src/telemetry/series.ts";
import { SeriesReader } from "../../src/telemetry/series-reader.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";

const spiffe = (account: string) => `spiffe://cluster.local/ns/default/sa/${account}`;
const source: DataWorkload = {
  ...makeWorkload("web-7d4b9c6f5-x2x9k"),
  identity: spiffe("web"),
  labels: { app: "web", version: "v3", "pod-template-hash": "7d4b9c6f5" },
};
const remote: DataEndpoint = {
  ...makeEndpoint("node-b/catalog-1", 3),
  local: false,
  workload: "default/catalog-0",
  identity: spiffe("catalog"),
  meta: { app: "catalog", "statefulset.kubernetes.io/pod-name": "catalog-0" },
};
const service: DataService = makeService("catalog", [remote]);

function setUp(perTable = 64) {
  const region = new Series(new SharedArrayBuffer(Series.bytesFor(perTable)), 0, perTable);
  const series = new SeriesReader([region]);
  const recorder = new WorkerRecorder({
    series: region,
    onSeries: (label) => series.learn(0, label),
    istioCluster: "east",
  });
  const record = (changes: Partial<RequestFacts>) =>
    recorder.exchange(
      makeFacts({ source, service, endpoint: remote, security: "mutual_tls", ...changes }),
    );
  /** Values of a counter by labels, which are given as one object each. */
  const read = (name: string): { labels: Record<string, string>; value: number }[] => {
    const declared = ISTIO_METRICS.find((one) => one.name === name);
    if (declared?.type !== "counter") throw new Error(`${name} is no counter`);
    return [...declared.read({ series } as MetricsSources)].map(([labels, value]) => ({
      labels: Object.fromEntries(declared.labels.map((label, at) => [label, labels[at] ?? ""])),
      value,
    }));
  };
  return { series, recorder, record, read };
}

test("a request has all of Istio's labels, on the caller's host", () => {
  const { record, read } = setUp();
  record({});
  record({ durationMs: 70 });
  const [only, ...others] = read("istio_requests_total");
  assert.equal(others.length, 0);
  assert.equal(only?.value, 2);
  assert.deepEqual(only?.labels, {
    reporter: "source",
    source_workload: "web",
    source_canonical_service: "web",
    source_canonical_revision: "v3",
    source_workload_namespace: "default",
    source_principal: spiffe("web"),
    source_app: "web",
    source_version: "v3",
    source_cluster: "east",
    destination_workload: "catalog",
    destination_canonical_service: "catalog",
    destination_canonical_revision: "latest",
    destination_workload_namespace: "default",
    destination_principal: spiffe("catalog"),
    destination_app: "catalog",
    destination_version: "unknown",
    destination_cluster: "east",
    destination_service: "catalog.default.svc.cluster.local",
    destination_service_name: "catalog",
    destination_service_namespace: "default",
    request_protocol: "http",
    response_flags: "-",
    connection_security_policy: "mutual_tls",
    response_code: "200",
    grpc_response_status: "",
  });
});

test("statuses are exact, and failures have Envoy's flags", () => {
  const { record, read } = setUp();
  record({ status: 201 });
  record({ status: 404 });
  record({ status: 503, error: "NO_ENDPOINT", endpoint: null });
  record({ status: 200, grpcStatus: 14 });
  record({ status: 200, grpcStatus: 99 });
  const seen = read("istio_requests_total").map(({ labels }) => [
    labels["response_code"],
    labels["response_flags"],
    labels["request_protocol"],
    labels["grpc_response_status"],
    labels["destination_workload"],
  ]);
  assert.deepEqual(seen, [
    ["201", "-", "http", "", "catalog"],
    ["404", "-", "http", "", "catalog"],
    ["503", "UH", "http", "", "unknown"],
    ["200", "-", "grpc", "14", "catalog"],
    ["200", "-", "grpc", "unknown", "catalog"],
  ]);
});

test("within one host both sides report, between two each its own", () => {
  const sides = (changes: Partial<RequestFacts>) => {
    const { record, read } = setUp();
    record(changes);
    return read("istio_requests_total").map(({ labels, value }) => [
      labels["reporter"],
      labels["connection_security_policy"],
      value,
    ]);
  };
  const local = { ...remote, local: true };
  assert.deepEqual(sides({ endpoint: local, security: "same_host" }), [
    ["source", "unknown", 1],
    ["destination", "none", 1],
  ]);
  assert.deepEqual(sides({ endpoint: local, entry: "mesh" }), [["destination", "mutual_tls", 1]]);
  assert.deepEqual(sides({ security: "not_in_mesh" }), [["source", "unknown", 1]]);
  assert.deepEqual(sides({ endpoint: local, entry: "inbound", security: "unknown_caller" }), [
    ["destination", "none", 1],
  ]);
});

test("whoever is not known is called unknown, and what leaves the mesh PassthroughCluster", () => {
  const { record, read } = setUp();
  record({
    ...{ source: null, service: null, endpoint: null, entry: "passthrough" },
    security: "passthrough",
  });
  const [{ labels } = { labels: {} as Record<string, string> }] = read("istio_requests_total");
  assert.equal(labels["source_workload"], "unknown");
  assert.equal(labels["source_principal"], "unknown");
  assert.equal(labels["destination_service_name"], "PassthroughCluster");
  assert.equal(labels["destination_service"], "unknown");
});

test("a local endpoint is named by the workload that it is, or by its service where it has none", () => {
  const target = (key: string) => ({
    ...{ key, namespace: "default", serviceAccount: "x", labels: { app: "shop" }, services: [] },
    identity: "",
  });
  const nameOf = (endpoint: Partial<DataEndpoint>) => {
    const { record, read } = setUp();
    const { workload: _, ...rest } = remote;
    record({ endpoint: { ...rest, ...endpoint } });
    const [one] = read("istio_requests_total");
    return [one?.labels["destination_workload"], one?.labels["destination_app"]];
  };
  const nobody = "default/default/catalog@10.0.0.9#default/catalog {}";
  assert.deepEqual(nameOf({ target: target("default/shop-1#default/catalog {}") }), [
    "shop-1",
    "shop",
  ]);
  assert.deepEqual(nameOf({ target: target(nobody) }), ["catalog", "shop"]);
  assert.deepEqual(nameOf({ target: target("default/shop@10.0.0.9") }), ["shop", "shop"]);
  assert.deepEqual(nameOf({}), ["catalog", "catalog"]);
});

test("workloads are named as their controllers are", () => {
  for (const [pod, labels, name] of [
    ["web-7d4b9c6f5-x2x9k", { "pod-template-hash": "7d4b9c6f5" }, "web"],
    ["web-x2x9k", { "pod-template-hash": "7d4b9c6f5" }, "web-x2x9k"],
    ["db-12", { "statefulset.kubernetes.io/pod-name": "db-12" }, "db"],
    ["agent-x2x9k", { "controller-revision-hash": "abc" }, "agent"],
    ["web-1", {}, "web-1"],
  ] as const) {
    assert.equal(workloadName(pod, labels), name);
  }
});

test("a TCP connection is counted when it stands and when it ends, with its bytes", () => {
  const { recorder, record, read } = setUp();
  const tcp = { protocol: "tcp", status: 0, requestBytes: 30, responseBytes: 500 } as const;
  recorder.opened(makeFacts({ source, service, endpoint: remote, security: "mutual_tls", ...tcp }));
  const count = (name: string) =>
    read(`istio_tcp_${name}_total`).map(({ labels, value }) => [labels["response_flags"], value]);
  assert.deepEqual(count("connections_opened"), [["-", 1]]);
  assert.deepEqual(count("connections_closed"), [["-", 0]]);
  record({ ...tcp });
  record({ ...tcp, error: "CONNECT_REFUSED", requestBytes: 0, responseBytes: 0 });
  assert.deepEqual(count("connections_opened"), [
    ["-", 1],
    ["UF", 0],
  ]);
  assert.deepEqual(count("connections_closed"), [
    ["-", 1],
    ["UF", 1],
  ]);
  assert.deepEqual(count("received_bytes"), [
    ["-", 30],
    ["UF", 0],
  ]);
  assert.deepEqual(count("sent_bytes"), [
    ["-", 500],
    ["UF", 0],
  ]);
  assert.deepEqual(read("istio_requests_total"), [], "it is no request");
});

test("histograms have Envoy's bounds, and a value at a bound belongs below it", () => {
  for (const [index, bound] of ISTIO_BOUNDS.entries()) {
    assert.equal(bucketOf(bound), index);
    assert.equal(bucketOf(bound * 1.01), index + 1);
  }
  const { series, record } = setUp();
  record({ durationMs: 26, requestBytes: 0, responseBytes: 2_000 });
  const filled = ISTIO_METRICS.flatMap((declared) => {
    if (declared.type !== "histogram") return [];
    const [sample] = [...declared.read({ series } as MetricsSources)];
    return [[declared.name, declared.bounds[sample?.buckets.indexOf(1) ?? -1], sample?.sum]];
  });
  assert.deepEqual(filled, [
    ["istio_request_duration_milliseconds", 50, 26],
    ["istio_request_bytes", 0.5, 0],
    ["istio_response_bytes", 2_500, 2_000],
  ]);
});

test("what finds the table full is folded, and counted", () => {
  const { series, record, read } = setUp(2);
  for (const status of [200, 201, 202, 203]) record({ status });
  assert.equal(series.folded("istio_requests"), 2);
  const other = read("istio_requests_total").at(-1);
  assert.equal(other?.value, 2);
  assert.ok(Object.values(other?.labels ?? {}).every((value) => value === "other"));
});

test("nothing is counted where Istio's metrics are not asked for", () => {
  const region = new Series(new SharedArrayBuffer(Series.bytesFor(8)), 0, 8);
  const tables = new Set<string>();
  const recorder = new WorkerRecorder({
    series: region,
    onSeries: ({ table }) => tables.add(table),
  });
  recorder.opened(makeFacts({ source, service, endpoint: remote, protocol: "tcp" }));
  recorder.exchange(makeFacts({ source, service, endpoint: remote }));
  assert.ok(![...tables].some((table) => table.startsWith("istio")), [...tables].join());
});

test("the labels are those of Istio's proxies", () => {
  assert.equal(new Set(REQUEST_LABELS).size, 25);
  assert.ok(CONNECTION_LABELS.every((label) => REQUEST_LABELS.includes(label)));
});
