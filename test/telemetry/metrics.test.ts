import assert from "node:assert/strict";
import { test } from "node:test";
import { HTTP2_COUNTS } from "../../src/core/http2.ts";
import type { ExpositionFormat } from "../../src/telemetry/exposition.ts";
import type { MetricDeclaration, MetricsSources } from "../../src/telemetry/metric-declaration.ts";
import { METRICS, Metrics, PIECE_LENGTH } from "../../src/telemetry/metrics.ts";
import type { SeriesReader } from "../../src/telemetry/series-reader.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";
import { setUpSeries } from "./set-up-series.ts";

function makeSources(series: SeriesReader): MetricsSources {
  return {
    series,
    build: { version: "1.2.3", node: "v24.0.0" },
    revision: () => 42,
    configAgeMs: () => 1_500,
    registryConnected: () => true,
    revisionsRefused: () => 2,
    bufferedBytes: () => 4_096,
    services: () => 3,
    endpoints: () => 4,
    endpointsRefused: () => 5,
    workloads: () => 6,
    workloadsRefused: () => 7,
    endpointsEjected: () => 8,
    workersAlive: () => 9,
    workerRestarts: () => 10,
    capture: () => ({ mode: "tproxy", active: true }),
    certificates: () => ({
      states: { valid: 11, overdue: 12, expired: 13, missing: 14 },
      expiresInMs: 15_500,
      renewals: { issued: 16, failed: 17, refused: 18 },
    }),
    jwks: () => ({ current: 19, stale: 20, missing: 21, fetched: 22, failed: 23 }),
    traces: () => ({ exported: 24, dropped: 25, refused: 26, waiting: 27 }),
  };
}

/** What a scrape gets. */
async function textOf(metrics: Metrics, format: ExpositionFormat = "text"): Promise<string> {
  let text = "";
  for await (const piece of metrics.expose(format)) text += piece;
  return text;
}

/** Sample lines of the text format, without comments. */
async function scrape(series: SeriesReader): Promise<string[]> {
  const text = await textOf(new Metrics(makeSources(series), METRICS));
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

const service = makeService("catalog");
const endpoint = makeEndpoint("h/catalog-1");
const source = makeWorkload("web");

test("a call of gRPC counts as what its status means, with its messages", async () => {
  const { series, recorders } = setUpSeries();
  for (const grpcStatus of [0, 14, 5]) {
    const messages = { requestMessages: 2, responseMessages: 3 };
    recorders[0]?.exchange(makeFacts({ source, service, endpoint, grpcStatus, ...messages }));
  }
  const lines = await scrape(series);
  for (const code of ["2xx", "5xx", "4xx"]) {
    assert.ok(
      lines.some((line) => line.includes(`code="${code}"`) && line.endsWith("} 1")),
      code,
    );
  }
  const value = (name: string) => lines.find((line) => line.startsWith(name))?.split("} ")[1];
  assert.equal(value("hostmesh_request_messages_total"), "6");
  assert.equal(value("hostmesh_response_messages_total"), "9");
  assert.equal(value("hostmesh_endpoint_failures_total") ?? "1", "1");
});

test("requests are exposed first, and every name begins with hostmesh_", async () => {
  const { series, recorders } = setUpSeries();
  recorders[0]?.exchange(makeFacts({ source, service, endpoint }));
  const lines = await scrape(series);
  assert.equal(
    lines[0],
    'hostmesh_requests_total{source="default/web",destination="default/catalog",code="2xx",error="",entry="captured",protocol="http",security="same_host"} 1',
  );
  for (const line of lines) {
    assert.match(
      line,
      /^hostmesh_[a-zA-Z0-9_]+(\{([a-z_]+="(?:[^"\\]|\\.)*",?)*\})? ([-+0-9.e]+|nan)( \d+)?$/i,
    );
  }
  assert.ok(lines.some((line) => line.startsWith("hostmesh_process_cpu_seconds_total ")));
  assert.ok(lines.some((line) => line.startsWith("hostmesh_nodejs_eventloop_lag_seconds ")));
});

test("histograms are cumulative, end in +Inf, and agree with their count and sum", async () => {
  const { series, recorders } = setUpSeries(2);
  for (const durationMs of [0.05, 0.15, 3, 3, 700, 90_000]) {
    for (const recorder of recorders) {
      recorder.exchange(makeFacts({ source, service, endpoint, durationMs }));
    }
  }
  const labels =
    'source="default/web",destination="default/catalog",entry="captured",protocol="http",security="same_host"';
  const lines = await scrape(series);
  const value = (name: string): number =>
    Number(
      lines
        .find((line) => line.startsWith(`${name} `))
        ?.split(" ")
        .at(-1),
    );
  const name = "hostmesh_request_duration_seconds";
  const bucket = (le: string): number => value(`${name}_bucket{le="${le}",${labels}}`);
  assert.deepEqual(
    ["0.0001", "0.0002", "0.002", "0.005", "0.5", "1", "60", "+Inf"].map(bucket),
    [2, 4, 4, 8, 8, 10, 10, 12],
  );
  assert.equal(value(`${name}_count{${labels}}`), 12);
  const expected = (2 * (0.05 + 0.15 + 3 + 3 + 700 + 90_000)) / 1000;
  assert.ok(Math.abs(value(`${name}_sum{${labels}}`) - expected) < 1e-9);
  for (const declared of METRICS.filter(({ type }) => type === "histogram")) {
    const all = lines.filter((line) => line.startsWith(`${declared.name}_bucket`));
    const infinite = all.filter((line) => line.includes('le="+Inf"'));
    assert.ok(infinite.length > 0, declared.name);
    for (const line of infinite) {
      const rest = line.replace('le="+Inf",', "").replace("_bucket", "_count");
      assert.ok(lines.includes(rest), rest);
    }
  }
});

test("every declared metric has a sample once there was traffic, with exactly its labels", async () => {
  const { series, recorders } = setUpSeries();
  recorders[0]?.started(source, service);
  recorders[0]?.exchange(makeFacts({ source, service, endpoint }));
  recorders[0]?.retry(service, "CONNECT_TIMEOUT");
  for (const what of HTTP2_COUNTS) recorders[0]?.http2("downstream", what, 0);
  const lines = await scrape(series);
  for (const { name, type, labels } of METRICS) {
    const sample = type === "histogram" ? `${name}_count` : name;
    const line = lines.find(
      (text) =>
        text === sample || (/^[{ ]/.test(text.slice(sample.length)) && text.startsWith(sample)),
    );
    assert.ok(line !== undefined, name);
    const found = [...line.matchAll(/([a-z_]+)="/g)].map((match) => match[1]);
    assert.deepEqual(found, [...labels], name);
  }
});

test("values of the daemon's parts are read at each scrape", async () => {
  const { series } = setUpSeries();
  let revision = 1;
  const metrics = new Metrics({ ...makeSources(series), revision: () => revision }, METRICS);
  assert.match(await textOf(metrics), /\nhostmesh_config_revision 1\n/);
  revision = 2;
  const text = await textOf(metrics);
  for (const line of [
    "hostmesh_config_revision 2",
    "hostmesh_config_age_seconds 1.5",
    "hostmesh_config_refused_total 2",
    "hostmesh_registry_connected 1",
    "hostmesh_services 3",
    "hostmesh_endpoints 4",
    "hostmesh_endpoints_refused 5",
    "hostmesh_workloads 6",
    "hostmesh_workloads_refused 7",
    "hostmesh_endpoints_ejected 8",
    "hostmesh_workers 9",
    "hostmesh_worker_restarts_total 10",
    'hostmesh_capture_active{mode="tproxy"} 1',
    'hostmesh_build_info{version="1.2.3",node="v24.0.0"} 1',
  ]) {
    assert.ok(text.includes(`\n${line}\n`), line);
  }
});

test("versions of HTTP and connections of HTTP/2 are summed over the workers, by bounded names", async () => {
  const { series, recorders } = setUpSeries(2);
  for (const recorder of recorders) {
    recorder.exchange(makeFacts({ source, service, version: 2, upstreamVersion: 1 }));
    recorder.exchange(makeFacts({ source, service, version: 0, upstreamVersion: 0 }));
    recorder.http2("downstream", "refused", 7);
    recorder.http2("downstream", "goaway-sent", 0);
    recorder.http2("upstream", "goaway-received", 11);
    for (const code of [8, 14, 99, 0xffff_ffff]) recorder.http2("upstream", "reset-received", code);
  }
  const lines = await scrape(series);
  for (const line of [
    'hostmesh_http_versions_total{client="HTTP/2",upstream="HTTP/1"} 2',
    'hostmesh_http_versions_total{client="HTTP/1",upstream="none"} 0',
    "hostmesh_http2_streams_refused_total 2",
    'hostmesh_http2_goaways_total{side="downstream",direction="sent",reason="NO_ERROR"} 2',
    'hostmesh_http2_goaways_total{side="upstream",direction="received",reason="ENHANCE_YOUR_CALM"} 2',
    'hostmesh_http2_resets_received_total{side="upstream",reason="CANCEL"} 2',
    'hostmesh_http2_resets_received_total{side="upstream",reason="UNKNOWN"} 6',
  ]) {
    assert.ok(lines.includes(line), line);
  }
  assert.ok(!lines.some((line) => line.startsWith("hostmesh_http2_sessions_failed_total{")));
});

test("counters do not grow by being scraped", async () => {
  const { series, recorders } = setUpSeries();
  const metrics = new Metrics(makeSources(series), METRICS);
  recorders[0]?.event("tunnel_opened");
  await textOf(metrics);
  assert.match(await textOf(metrics), /\nhostmesh_tunnels_opened_total 1\n/);
});

test("what was open when a worker died is open no more", async () => {
  const { series, recorders, start } = setUpSeries();
  recorders[0]?.event("connection_opened");
  assert.ok((await scrape(series)).includes("hostmesh_connections_open 1"));
  start(0);
  const lines = await scrape(series);
  assert.ok(lines.includes("hostmesh_connections_open 0"));
  assert.ok(lines.includes("hostmesh_connections_opened_total 1"));
});

test("label sets that were folded are counted and shown as other", async () => {
  const { series, recorders } = setUpSeries(1, 2);
  for (let index = 0; index < 5; index += 1) {
    recorders[0]?.exchange(makeFacts({ source, service: makeService(`s${index}`) }));
  }
  const lines = await scrape(series);
  assert.ok(lines.includes('hostmesh_metric_series_folded_total{table="flows"} 3'));
  assert.ok(lines.includes('hostmesh_metric_series{table="flows"} 2'));
  assert.ok(lines.some((line) => /^hostmesh_requests_total\{source="other",.*\} 3$/.test(line)));
});

test("names that would break the text format are escaped", async () => {
  const { series, recorders } = setUpSeries();
  recorders[0]?.exchange(makeFacts({ source: makeWorkload('a"b\\c\nd') }));
  const lines = await scrape(series);
  assert.ok(lines[0]?.startsWith('hostmesh_requests_total{source="default/a\\"b\\\\c\\nd",'));
});

test("a scrape of 2,000 label sets over four workers takes less than three seconds", async () => {
  const { series, recorders } = setUpSeries(4, 2048);
  const sources = Array.from({ length: 40 }, (_, index) => makeWorkload(`w${index}`));
  const services = Array.from({ length: 50 }, (_, index) => makeService(`s${index}`));
  for (const recorder of recorders) {
    for (const each of sources) {
      for (const to of services) recorder.exchange(makeFacts({ source: each, service: to }));
    }
  }
  const metrics = new Metrics(makeSources(series), METRICS);
  const before = performance.now();
  const text = await textOf(metrics);
  const took = performance.now() - before;
  assert.equal(text.match(/^hostmesh_requests_total\{/gm)?.length, 2_000);
  assert.ok(took < 3_000, `${took} ms for ${text.length} bytes`);
});

test("a scrape is made piece by piece, and no more is read than the piece at hand needs", async () => {
  let read = 0;
  const line = `x="${"y".repeat(200)}"`.length;
  const many: MetricDeclaration = {
    ...{ type: "counter", name: "hostmesh_many_total", help: "Many", labels: ["x"] },
    *read() {
      for (; read < 10_000; ) yield [["y".repeat(200)], read++];
    },
  };
  const { series } = setUpSeries();
  const pieces = new Metrics(makeSources(series), [many]).expose("text");
  for (let piece = 1; piece <= 5; piece += 1) {
    const { value } = await pieces.next();
    assert.ok(value !== undefined && value.length < PIECE_LENGTH + 1_000, `${value?.length}`);
    assert.ok(read <= (piece * (PIECE_LENGTH + 1_000)) / line, `${read} samples for ${piece}`);
  }
});

test("in OpenMetrics families are named without _total, and buckets name the newest traced request", async () => {
  const { series, recorders } = setUpSeries();
  recorders[0]?.exchange(makeFacts({ source, service, endpoint, durationMs: 3 }));
  const flow = [...series.groups("flows")][0]?.key ?? "";
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  series.exemplars.learn({ flow, traceId: "old", durationMs: 4, atMs: 1 });
  series.exemplars.learn({ flow, traceId, durationMs: 3, atMs: 1_700_000_000_250 });
  const text = await textOf(new Metrics(makeSources(series), METRICS), "openmetrics");
  assert.ok(text.endsWith("\n# EOF\n"));
  assert.equal(text.match(/# EOF/g)?.length, 1);
  assert.match(text, /^# TYPE hostmesh_requests counter$/m);
  assert.match(text, /^hostmesh_requests_total\{/m);
  const exemplars = text.split("\n").filter((line) => line.includes(" # {"));
  assert.equal(exemplars.length, 1);
  assert.match(
    exemplars[0] ?? "",
    new RegExp(`_bucket\\{le="0.005",.*\\} 1 # \\{trace_id="${traceId}"\\} 0.003 1700000000.25$`),
  );
  assert.match(text, /le="1.0"/, "whole numbers have a point");
  const families = [...text.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]);
  assert.equal(new Set(families).size, families.length, "each family once");
  assert.doesNotMatch(await textOf(new Metrics(makeSources(series), METRICS)), / # \{|# EOF/);
});
