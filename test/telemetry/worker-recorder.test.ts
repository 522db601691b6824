import assert from "node:assert/strict";
import { test } from "node:test";
import { EVENTS } from "../../src/core/facts.ts";
import { SECURITIES } from "../../src/core/security.ts";
import { FINE_BUCKETS, fineBucket, sizeBucket } from "../../src/telemetry/buckets.ts";
import {
  DESTINATION,
  DETECTIONS,
  ENDPOINT,
  ERROR_CODES,
  FLOW,
  OUTCOME,
  PAIR,
  ROUTE,
} from "../../src/telemetry/series.ts";
import { until } from "../helpers/until.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";
import { groupOf, setUpSeries } from "./set-up-series.ts";

const endpoint = makeEndpoint("h/catalog-1", 7);
const service = makeService("catalog", [endpoint]);
const source = makeWorkload("web");

test("an exchange is counted by source, destination, class, error, entry and protocol", () => {
  const { series, recorders } = setUpSeries();
  const [recorder] = recorders;
  const facts = makeFacts({ source, service, endpoint });
  recorder?.exchange(facts);
  recorder?.exchange({ ...facts, durationMs: 5, requestBytes: 90 });
  recorder?.exchange({ ...facts, status: 503, error: "NO_ENDPOINT", endpoint: null });
  recorder?.exchange({ ...facts, entry: "explicit" });
  recorder?.exchange({ ...facts, protocol: "tcp", status: 0 });
  const outcomes = [...series.groups("outcomes")].map((group) => [
    ...group.labels,
    group.sum(OUTCOME.count),
  ]);
  assert.deepEqual(outcomes, [
    ["default/web", "default/catalog", "2xx", "", "captured", "http", "same_host", 2],
    ["default/web", "default/catalog", "5xx", "NO_ENDPOINT", "captured", "http", "same_host", 1],
    ["default/web", "default/catalog", "2xx", "", "explicit", "http", "same_host", 1],
    ["default/web", "default/catalog", "0", "", "captured", "tcp", "same_host", 1],
  ]);
  const flow = groupOf(
    series,
    "flows",
    "default/web",
    "default/catalog",
    "captured",
    "http",
    "same_host",
  );
  assert.equal(flow.sum(FLOW.count), 3);
  assert.equal(flow.sum(FLOW.requestBytes), 10 + 90 + 10);
  assert.equal(flow.sum(FLOW.responseBytes), 3000);
  assert.equal(flow.sum(FLOW.sumMs), 2 + 5 + 2);
  const fine = new Float64Array(FINE_BUCKETS);
  flow.addTo(fine, FLOW.fine, FINE_BUCKETS);
  assert.equal(fine[fineBucket(2)], 2);
  assert.equal(fine[fineBucket(5)], 1);
});

test("each entry is counted under its own name", () => {
  const { series, recorders } = setUpSeries();
  const entries = ["captured", "explicit", "mesh", "inbound", "passthrough"] as const;
  for (const entry of entries) recorders[0]?.exchange(makeFacts({ service, endpoint, entry }));
  const counted = [...series.groups("outcomes")].map(({ labels }) => labels[4]);
  assert.deepEqual(counted, [...entries]);
});

test("containers that only their service names share its name as a source", () => {
  const { series, recorders } = setUpSeries();
  for (const address of ["10.0.0.6", "10.0.0.7"]) {
    const derived = { ...makeWorkload("catalog"), key: `default/catalog@${address}` };
    recorders[0]?.started(derived, service);
    recorders[0]?.exchange(makeFacts({ source: derived, service, endpoint }));
  }
  const pair = groupOf(series, "pairs", "default/catalog", "default/catalog");
  assert.equal(pair.sum(PAIR.started), 2);
  const flow = groupOf(
    series,
    "flows",
    "default/catalog",
    "default/catalog",
    "captured",
    "http",
    "same_host",
  );
  assert.equal(flow.sum(FLOW.count), 2);
});

test("a WebSocket or a CONNECT that was granted is an upgrade: its life is no latency", () => {
  const { series, recorders } = setUpSeries();
  const facts = makeFacts({ source, service, endpoint, durationMs: 60_000 });
  recorders[0]?.exchange({ ...facts, status: 101 });
  recorders[0]?.exchange({ ...facts, method: "CONNECT" });
  recorders[0]?.exchange({ ...facts, method: "CONNECT", status: 502, error: "CONNECT_REFUSED" });
  assert.deepEqual(
    [...series.groups("flows")].map((group) => [group.labels[3], group.sum(FLOW.count)]),
    [
      ["upgrade", 2],
      ["http", 1],
    ],
  );
  const group = groupOf(series, "endpoints", "default/catalog", "h/catalog-1");
  assert.deepEqual([group.sum(ENDPOINT.count), group.sum(ENDPOINT.sumMs)], [3, 60_000]);
  assert.equal(groupOf(series, "destinations", "default/catalog").sum(DESTINATION.requestSum), 10);
});

test("traffic without a workload or a service has labels of its own", () => {
  const { series, recorders } = setUpSeries();
  recorders[0]?.exchange(makeFacts({ entry: "passthrough", protocol: "tcp", status: 0 }));
  recorders[0]?.exchange(makeFacts({ status: 404, error: "NO_ROUTE" }));
  assert.deepEqual(
    [...series.groups("flows")].map((group) => group.labels),
    [
      ["unknown", "passthrough", "passthrough", "tcp", "same_host"],
      ["unknown", "none", "captured", "http", "same_host"],
    ],
  );
});

test("a request is in flight from start to exchange, whatever its entry turns out to be", () => {
  const { series, recorders } = setUpSeries();
  const [recorder] = recorders;
  recorder?.started(source, service);
  recorder?.started(source, service);
  recorder?.started(null, null);
  const named = groupOf(series, "pairs", "default/web", "default/catalog");
  const unnamed = groupOf(series, "pairs", "unknown", "none");
  assert.deepEqual([named.sum(PAIR.inFlight), unnamed.sum(PAIR.inFlight)], [2, 1]);
  recorder?.exchange(makeFacts({ source, service, entry: "explicit" }));
  recorder?.exchange(makeFacts({ entry: "passthrough", protocol: "tcp" }));
  assert.deepEqual([named.sum(PAIR.inFlight), unnamed.sum(PAIR.inFlight)], [1, 0]);
  recorder?.exchange(makeFacts());
  assert.equal(unnamed.sum(PAIR.inFlight), 0, "a gauge never falls below zero");
});

test("an endpoint's requests, failures and latency are counted; a tunnel's life is no latency", () => {
  const { series, recorders } = setUpSeries();
  const facts = makeFacts({ source, service, endpoint });
  recorders[0]?.exchange(facts);
  recorders[0]?.exchange({ ...facts, status: 500 });
  recorders[0]?.exchange({ ...facts, status: 502, error: "UPSTREAM_RESET" });
  recorders[0]?.exchange({ ...facts, status: 499, error: "CLIENT_CLOSED" });
  recorders[0]?.exchange({ ...facts, status: 0, protocol: "tcp", durationMs: 1e6 });
  const group = groupOf(series, "endpoints", "default/catalog", "h/catalog-1");
  assert.equal(group.sum(ENDPOINT.count), 5);
  assert.equal(group.sum(ENDPOINT.failures), 2);
  assert.equal(group.sum(ENDPOINT.sumMs), 8);
});

test("sizes, queue time, retries and ejections are counted per destination", () => {
  const { series, recorders } = setUpSeries();
  const [recorder] = recorders;
  recorder?.exchange(makeFacts({ source, service, endpoint, queueMs: 4, responseBytes: 5000 }));
  recorder?.exchange(makeFacts({ source, service, error: "NO_ENDPOINT", status: 503 }));
  recorder?.exchange(makeFacts({ source, service, endpoint, protocol: "tcp", queueMs: 9 }));
  recorder?.retry(service, "CONNECT_REFUSED");
  recorder?.retry(service, "CONNECT_REFUSED");
  recorder?.ejection(service, endpoint);
  const group = groupOf(series, "destinations", "default/catalog");
  assert.equal(group.sum(DESTINATION.requestSum), 20);
  assert.equal(group.sum(DESTINATION.requestSizes + sizeBucket(10)), 2);
  assert.equal(group.sum(DESTINATION.responseSizes + sizeBucket(5000)), 1);
  assert.equal(group.sum(DESTINATION.queueSumMs), 4, "only HTTP that reached an endpoint queued");
  assert.equal(group.sum(DESTINATION.queue + 2), 1);
  const retried = ERROR_CODES.indexOf("CONNECT_REFUSED");
  assert.equal(group.sum(DESTINATION.retries + retried), 2);
  assert.equal(group.sum(DESTINATION.ejections), 1);
});

test("every event and every detection has a counter of its own, added up over the workers", () => {
  const { series, recorders } = setUpSeries(2);
  for (const recorder of recorders) {
    for (const [index, event] of EVENTS.entries()) {
      for (let times = 0; times <= index; times += 1) recorder.event(event);
    }
    for (const [index, found] of DETECTIONS.entries()) {
      for (let times = 0; times <= index; times += 1) recorder.detection(found);
    }
  }
  for (const [index, event] of EVENTS.entries()) {
    assert.equal(
      series.total((region) => region.event(event)),
      2 * (index + 1),
      event,
    );
  }
  for (const [index, found] of DETECTIONS.entries()) {
    assert.equal(
      series.total((region) => region.detection(found)),
      2 * (index + 1),
      found,
    );
  }
});

test("new objects of the snapshot with old names go on counting in the old slots", () => {
  const { series, recorders } = setUpSeries();
  recorders[0]?.exchange(makeFacts({ source, service, endpoint }));
  recorders[0]?.exchange(
    makeFacts({
      source: makeWorkload("web"),
      service: makeService("catalog"),
      endpoint: makeEndpoint("h/catalog-1", 7),
    }),
  );
  const flow = groupOf(
    series,
    "flows",
    "default/web",
    "default/catalog",
    "captured",
    "http",
    "same_host",
  );
  assert.equal(flow.sum(FLOW.count), 2);
  assert.equal(flow.members.length, 1);
  assert.equal(groupOf(series, "endpoints", "default/catalog", "h/catalog-1").sum(0), 2);
});

test("an endpoint that takes another's slot in the shared state is counted apart", () => {
  const { series, recorders } = setUpSeries();
  recorders[0]?.exchange(makeFacts({ service, endpoint }));
  recorders[0]?.exchange(makeFacts({ service, endpoint: makeEndpoint("h/catalog-2", 7) }));
  assert.equal(groupOf(series, "endpoints", "default/catalog", "h/catalog-1").sum(0), 1);
  assert.equal(groupOf(series, "endpoints", "default/catalog", "h/catalog-2").sum(0), 1);
});

test("the access log gets each exchange once, and what it drops is counted", () => {
  let taken = 0;
  const { series, recorders } = setUpSeries(1, 8, {
    write: () => {
      taken += 1;
      return taken <= 2;
    },
  });
  for (let round = 0; round < 5; round += 1) recorders[0]?.exchange(makeFacts());
  assert.equal(taken, 5);
  assert.equal(
    series.total((region) => region.accessLogLines()),
    2,
  );
  assert.equal(
    series.total((region) => region.accessLogDropped()),
    3,
  );
});

test("recording costs no allocation once the label sets are known", async () => {
  const { recorders } = setUpSeries(1, 256);
  const [recorder] = recorders;
  const services = Array.from({ length: 10 }, (_, i) => makeService(`s${i}`));
  const sources = Array.from({ length: 10 }, (_, i) => makeWorkload(`w${i}`));
  const facts = makeFacts({ endpoint, durationMs: 2.3456, queueMs: 0.0123, proxyMs: 0.0456 });
  const run = (rounds: number): void => {
    for (let round = 0; round < rounds; round += 1) {
      facts.source = sources[round % 10] ?? null;
      facts.service = services[(round * 7) % 10] ?? null;
      recorder?.started(facts.source, facts.service);
      recorder?.exchange(facts);
    }
  };
  // An object per exchange would be 320 kB a round, whatever the compiler does. A collection in between makes
  // a round look cheaper, some work of the compiler dearer: the median is neither. The compiler works in the
  // background, and on a busy machine it takes its time.
  const medianGrowth = (): number => {
    const grown = Array.from({ length: 9 }, () => {
      const before = process.memoryUsage().heapUsed;
      run(20_000);
      return process.memoryUsage().heapUsed - before;
    });
    return grown.sort((x, y) => x - y)[4] ?? 0;
  };
  const isFree = () => {
    run(200_000);
    return medianGrowth() < 80_000;
  };
  await until(isFree, { timeoutMs: 20_000, what: "20,000 exchanges that take less than 80 kB" });
});

test("routes are counted where they were chosen, which is on the caller's host", () => {
  const { series, recorders } = setUpSeries();
  const facts = makeFacts({ source, service, endpoint, route: "canary" });
  recorders[0]?.exchange(facts);
  recorders[0]?.exchange({ ...facts, status: 503, error: "NO_ENDPOINT", endpoint: null });
  recorders[0]?.exchange({ ...facts, status: 499, error: "CLIENT_CLOSED", route: "default" });
  recorders[0]?.exchange({ ...facts, protocol: "tcp", status: 0, durationMs: 1e6 });
  for (const entry of ["mesh", "inbound"] as const) recorders[0]?.exchange({ ...facts, entry });
  recorders[0]?.exchange({ ...facts, service: null });
  const counted = [...series.groups("routes")].map((group) => [
    ...group.labels,
    ...[ROUTE.count, ROUTE.failures, ROUTE.sumMs, ROUTE.responseBytes].map((at) => group.sum(at)),
  ]);
  assert.deepEqual(counted, [
    ["default/web", "default/catalog", "canary", 3, 1, 4, 3000],
    ["default/web", "default/catalog", "default", 1, 0, 2, 1000],
  ]);
});

test("how a request was secured is part of its flow and its outcome", () => {
  const { series, recorders } = setUpSeries();
  const facts = makeFacts({ source, service, endpoint });
  for (const security of SECURITIES) recorders[0]?.exchange({ ...facts, security });
  for (const table of ["flows", "outcomes"] as const) {
    assert.deepEqual(
      [...series.groups(table)].map(({ labels }) => labels.at(-1)),
      [...SECURITIES],
    );
  }
});
