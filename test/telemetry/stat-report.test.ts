import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../src/core/clock.ts";
import type { DataService } from "../../src/core/snapshot.ts";
import { RateSampler } from "../../src/telemetry/rate-sampler.ts";
import { buildStatReport, type StatSources } from "../../src/telemetry/stat-report.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";
import { setUpSeries } from "./set-up-series.ts";

const fast = makeEndpoint("h/catalog-1", 0);
const slow = makeEndpoint("h/catalog-2", 1);
const catalog = makeService("catalog", [fast, slow]);
const web = makeWorkload("web");

function setUp(services: readonly DataService[] = [catalog, makeService("store")]) {
  const clock = new FakeClock(50_000);
  const { series, recorders } = setUpSeries(1, 1024);
  const sampler = new RateSampler({ series, clock });
  const sources: StatSources = {
    host: "host-a",
    version: "1.2.3",
    clock,
    startedMs: 50_000,
    series,
    sampler,
    revision: () => 42,
    services: () => services,
    endpoint: (slot) => ({
      ejected: slot === 1,
      inFlight: slot,
      connections: 3,
      latencyEwmaMs: slot === 0 ? 1.5 : null,
    }),
    workers: () => [{ id: 0, alive: true, restarts: 1 }],
  };
  return { clock, sampler, recorder: recorders[0]!, report: () => buildStatReport(sources) };
}

test("a daemon without traffic reports its services with nothing but zeroes", () => {
  const { clock, report } = setUp();
  clock.advance(3_000);
  const found = report();
  assert.deepEqual(
    { ...found, services: found.services.map(({ service }) => service) },
    {
      host: "host-a",
      version: "1.2.3",
      uptimeMs: 3_000,
      revision: 42,
      windowMs: 3_000,
      services: ["default/catalog", "default/store"],
      idleServices: 0,
      sources: [],
      passthrough: { requests: 0, rps: 0, requestBytes: 0, responseBytes: 0 },
      unrouted: { requests: 0, rps: 0, requestBytes: 0, responseBytes: 0 },
      workers: [{ id: 0, alive: true, restarts: 1 }],
    },
  );
  const [first] = found.services;
  assert.deepEqual([first?.success, first?.p50Ms, first?.endpoints[0]?.share], [null, null, null]);
});

test("a service's line says how much, how well, how fast, and who got it", () => {
  const { clock, recorder, report } = setUp();
  const facts = makeFacts({ source: web, service: catalog });
  for (let round = 0; round < 90; round += 1) {
    recorder.exchange({ ...facts, endpoint: fast, durationMs: 2 });
  }
  for (let round = 0; round < 8; round += 1) {
    recorder.exchange({ ...facts, endpoint: slow, durationMs: 300 });
  }
  for (let round = 0; round < 2; round += 1) {
    recorder.exchange({ ...facts, endpoint: slow, status: 502, error: "UPSTREAM_RESET" });
  }
  recorder.retry(catalog, "UPSTREAM_RESET");
  recorder.ejection(catalog, slow);
  recorder.started(web, catalog);
  clock.advance(10_000);
  const found = report();
  const { endpoints, ...line } = found.services[0]!;
  assert.deepEqual(line, {
    service: "default/catalog",
    requests: 100,
    rps: 10,
    requestBytes: 1000,
    responseBytes: 100_000,
    success: 0.98,
    p50Ms: 1.95,
    p95Ms: 290,
    p99Ms: 290,
    inFlight: 1,
    retries: 1,
    ejections: 1,
    errors: { UPSTREAM_RESET: 2 },
  });
  assert.deepEqual(endpoints[1], {
    id: "h/catalog-2",
    address: "10.0.0.9",
    port: 8080,
    host: "h",
    health: "passing",
    weight: 1,
    ejected: true,
    inFlight: 1,
    connections: 3,
    latencyEwmaMs: null,
    requests: 10,
    failures: 2,
    p50Ms: 290,
    p99Ms: 290,
    share: 0.1,
  });
  assert.equal(endpoints[0]?.share, 0.9);
  assert.deepEqual(
    found.sources.map(({ source, requests, inFlight }) => [source, requests, inFlight]),
    [["default/web", 100, 1]],
  );
});

test("counts are since the start, rates and shares are of the last ten seconds", () => {
  const { clock, sampler, recorder, report } = setUp();
  const facts = makeFacts({ source: web, service: catalog });
  for (let round = 0; round < 100; round += 1) recorder.exchange({ ...facts, endpoint: slow });
  for (let round = 0; round < 6; round += 1) {
    clock.advance(2_000);
    sampler.tick();
  }
  for (let round = 0; round < 5; round += 1) recorder.exchange({ ...facts, endpoint: fast });
  const [line] = report().services;
  assert.equal(line?.requests, 105);
  assert.equal(line?.rps, 0.5);
  assert.deepEqual(
    line?.endpoints.map(({ requests, share }) => [requests, share]),
    [
      [5, 1],
      [100, 0],
    ],
  );
});

test("errors of the client do not count against the service", () => {
  const { clock, recorder, report } = setUp();
  const facts = makeFacts({ source: web, service: catalog, endpoint: fast });
  recorder.exchange({ ...facts, status: 499, error: "CLIENT_CLOSED" });
  recorder.exchange({ ...facts, status: 404 });
  recorder.exchange({ ...facts, status: 429, error: "QUOTA_REQUESTS" });
  recorder.exchange({ ...facts, status: 500 });
  clock.advance(1_000);
  const [line] = report().services;
  assert.equal(line?.success, 0.5);
  assert.deepEqual(line?.errors, { CLIENT_CLOSED: 1, QUOTA_REQUESTS: 1 });
});

test("a tunnel counts as traffic, and its life is no latency", () => {
  const { clock, recorder, report } = setUp();
  recorder.exchange(
    makeFacts({ service: catalog, endpoint: fast, protocol: "tcp", status: 0, durationMs: 9e5 }),
  );
  clock.advance(1_000);
  const [line] = report().services;
  assert.deepEqual([line?.requests, line?.success, line?.p99Ms], [1, 1, null]);
});

test("traffic that reached no service is reported apart, and removed services are still listed", () => {
  const { clock, recorder, report } = setUp();
  recorder.exchange(makeFacts({ entry: "passthrough", protocol: "tcp", status: 0 }));
  recorder.exchange(makeFacts({ status: 404, error: "NO_ROUTE" }));
  recorder.exchange(makeFacts({ service: makeService("gone") }));
  clock.advance(1_000);
  const found = report();
  assert.deepEqual(found.passthrough, {
    requests: 1,
    rps: 1,
    requestBytes: 10,
    responseBytes: 1000,
  });
  assert.equal(found.unrouted.requests, 1);
  assert.deepEqual(
    found.services.map(({ service }) => service),
    ["default/catalog", "default/store", "default/gone"],
  );
  assert.deepEqual(
    found.sources.map(({ source, requests }) => [source, requests]),
    [["unknown", 3]],
  );
});

test("in a large mesh services without traffic are only counted", () => {
  const many = Array.from({ length: 600 }, (_, index) => makeService(`s${1000 + index}`));
  const { clock, recorder, report } = setUp(many);
  recorder.exchange(makeFacts({ service: many[17] ?? null }));
  clock.advance(1_000);
  const found = report();
  assert.deepEqual(
    found.services.map(({ service }) => service),
    ["default/s1017"],
  );
  assert.equal(found.idleServices, 599);
});
