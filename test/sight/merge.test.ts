import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SECURITIES } from "../../src/core/security.ts";
import type { Counts, FlowReport } from "../../src/sight/host-report.ts";
import { type MergeContext, mergeReports } from "../../src/sight/merge.ts";
import type { Figures, MeshReport } from "../../src/sight/mesh-report.ts";
import { FINE_BUCKETS, fineBucket, quantileMs } from "../../src/telemetry/buckets.ts";
import { check } from "../properties/check.ts";
import { endpointReport, flowReport, hostReport } from "./reports.ts";

const CONTEXT: MergeContext = { atMs: 1_000, revision: 7, hosts: [], services: [] };
const count = fc.nat({ max: 1_000_000 });
const counts: fc.Arbitrary<Counts> = fc
  .record({
    recent: fc.nat({ max: 1_000 }),
    before: count,
    requestBytes: count,
    responseBytes: count,
    recentBytes: count,
    failed: fc.double({ min: 0, max: 1, noNaN: true }),
    fine: fc.array(fc.tuple(fc.nat({ max: FINE_BUCKETS - 1 }), fc.integer({ min: 1, max: 99 }))),
  })
  .map(({ recent, before, failed, fine, ...bytes }) => ({
    ...bytes,
    requests: recent + before,
    failures: Math.floor((recent + before) * failed),
    recent,
    recentFailures: Math.floor(recent * failed),
    fine: fine.flat(),
  }));
const name = fc.constantFrom("shop/web", "shop/api", "shop/db", "unknown");
const flows = fc.array(
  fc
    .record({
      counts,
      source: name,
      destination: name,
      protocol: fc.constantFrom("http", "tcp"),
      security: fc.constantFrom(...SECURITIES),
      inFlight: fc.nat({ max: 50 }),
      reporter: fc.constantFrom("source" as const, "both" as const),
      errors: fc.dictionary(fc.constantFrom("connect_failed", "timeout"), count),
    })
    .map(({ counts: sums, ...rest }) => flowReport({ ...sums, ...rest })),
  { maxLength: 12 },
);
const reports = fc
  .array(fc.record({ flows, windowMs: fc.integer({ min: 1_000, max: 12_000 }) }), { maxLength: 5 })
  .map((all) => all.map((parts, at) => hostReport(`host-${at}`, parts)));

const sum = (all: readonly Figures[], key: "requests" | "failures" | "responseBytes" | "rps") =>
  all.reduce((total, figures) => total + figures[key], 0);

test("services, sources, edges and hosts add up to the same calls", () => {
  const property = fc.property(reports, (all) => {
    const merged = mergeReports(all, CONTEXT);
    const sent = all.flatMap((one) => one.flows);
    for (const key of ["requests", "failures", "responseBytes"] as const) {
      const expected = sent.reduce((total, one) => total + one[key], 0);
      for (const list of [merged.services, merged.sources, merged.edges]) {
        assert.equal(sum(list, key), expected);
      }
      assert.equal(
        merged.hosts.reduce((total, { figures }) => total + figures[key], 0),
        expected,
      );
    }
    const rps = all
      .map(({ flows: own, windowMs }) => own.reduce((t, f) => t + f.recent, 0) / (windowMs / 1000))
      .reduce((total, one) => total + one, 0);
    assert.ok(Math.abs(sum(merged.edges, "rps") - rps) < 0.001 * (merged.edges.length + 1));
    const errors = sent.flatMap((one) => Object.values(one.errors)).reduce((t, n) => t + n, 0);
    const told = merged.services.flatMap((one) => Object.values(one.errors));
    assert.equal(
      told.reduce((t, n) => t + n, 0),
      errors,
    );
  });
  check(property, 300);
});

test("the total is that of everything that was called, each call once", () => {
  const twice = { requests: 40, recent: 20, recentFailures: 5, fine: [fineBucket(8), 20] };
  const merged = mergeReports(
    [
      hostReport("a", {
        flows: [flowReport(twice), flowReport({ ...twice, destination: "shop/db" })],
      }),
      hostReport("b", { flows: [flowReport({ ...twice, reporter: "destination" })] }),
    ],
    CONTEXT,
  );
  assert.equal(merged.total?.requests, 80);
  assert.equal(merged.total?.rps, 4);
  assert.equal(merged.total?.success, 0.75);
  assert.equal(merged.total?.p50Ms, merged.services[0]?.p50Ms);
});

test("percentiles are those of all hosts' durations together", () => {
  const property = fc.property(reports, (all) => {
    const merged = mergeReports(all, CONTEXT);
    for (const service of merged.services) {
      const fine = new Float64Array(FINE_BUCKETS);
      for (const own of all.flatMap((one) => one.flows)) {
        if (own.destination !== service.service) continue;
        for (let at = 0; at < own.fine.length; at += 2) fine[own.fine[at]!]! += own.fine[at + 1]!;
      }
      for (const [share, found] of [
        [0.5, service.p50Ms],
        [0.95, service.p95Ms],
        [0.99, service.p99Ms],
      ] as const) {
        const expected = quantileMs(fine, share);
        if (expected === null) assert.equal(found, null);
        else assert.ok(Math.abs((found ?? -1) - expected) <= 0.000501, `${found} for ${expected}`);
      }
    }
  });
  check(property, 200);
});

test("the order of the reports does not matter", () => {
  const figures = ({ services, sources, edges, hosts }: MeshReport) =>
    JSON.stringify([
      services.map((one) => [one.service, one.requests, one.p99Ms, one.errors]),
      sources.map((one) => [one.source, one.requests]),
      edges.map((one) => [one.source, one.destination, one.protocol, one.requests, one.secured]),
      hosts.map((one) => one.host),
    ]);
  const property = fc.property(reports, (all) => {
    const backwards = mergeReports([...all].reverse(), CONTEXT);
    assert.equal(figures(backwards), figures(mergeReports(all, CONTEXT)));
  });
  check(property, 200);
});

test("a call that both hosts report counts once, at its caller's", () => {
  const call = { requests: 10, recent: 10, recentBytes: 500, fine: [fineBucket(3), 10] };
  const merged = mergeReports(
    [
      hostReport("a", { flows: [flowReport(call)] }),
      hostReport("b", {
        flows: [
          flowReport({
            ...call,
            source: "shop/web-account",
            entry: "mesh",
            reporter: "destination",
          }),
          flowReport({
            requests: 2,
            recent: 2,
            source: "unknown",
            entry: "inbound",
            reporter: "both",
          }),
        ],
      }),
    ],
    CONTEXT,
  );
  assert.deepEqual(
    merged.sources.map(({ source, requests }) => [source, requests]),
    [
      ["shop/web", 10],
      ["unknown", 2],
    ],
  );
  assert.equal(merged.services[0]?.requests, 12);
  assert.equal(merged.services[0]?.rps, 1.2);
  assert.deepEqual(
    merged.hosts.map(({ host, figures }) => [host, figures.requests]),
    [
      ["a", 10],
      ["b", 12],
    ],
  );
});

test("where no caller of a destination reports, its own host is believed", () => {
  const served = flowReport({ requests: 5, recent: 5, entry: "mesh", reporter: "destination" });
  const merged = mergeReports([hostReport("b", { flows: [served] })], CONTEXT);
  assert.deepEqual(
    merged.edges.map(({ source, requests, securities }) => [source, requests, securities]),
    [["shop/web", 5, { mutual_tls: 5 }]],
  );
});

test("an edge names how its requests were secured: the latest, or else all", () => {
  const edge = (...all: FlowReport[]) => {
    const [found] = mergeReports([hostReport("a", { flows: all })], CONTEXT).edges;
    return [found?.securities, found?.secured];
  };
  const old = flowReport({ requests: 9, security: "no_identity" });
  assert.deepEqual(edge(old), [{ no_identity: 9 }, false]);
  assert.deepEqual(edge(old, flowReport({ requests: 4, recent: 4 })), [{ mutual_tls: 4 }, true]);
  assert.deepEqual(edge(flowReport({ security: "disabled", inFlight: 1 })), [{}, false]);
  const both = [flowReport({ recent: 1 }), flowReport({ recent: 2, security: "same_host" })];
  assert.deepEqual(edge(...both), [{ mutual_tls: 1, same_host: 2 }, true]);
});

test("an endpoint is joined over the hosts that called it", () => {
  const [service] = mergeReports(
    [
      hostReport("a", {
        endpoints: [
          endpointReport({
            requests: 30,
            recent: 30,
            latencyEwmaMs: 10,
            inFlight: 2,
            connections: 3,
          }),
          endpointReport({ id: "api-2", recent: 10, requests: 10 }),
        ],
      }),
      hostReport("c", {
        atMs: 950,
        endpoints: [
          endpointReport({
            requests: 10,
            ejected: true,
            latencyEwmaMs: 50,
            inFlight: 1,
            weight: 5,
          }),
        ],
      }),
    ],
    CONTEXT,
  ).services;
  const [first, second] = service?.endpoints ?? [];
  assert.equal(first?.requests, 40);
  assert.equal(first?.latencyEwmaMs, (30 * 10 + 10 * 50) / 40);
  assert.deepEqual([first?.inFlight, first?.connections], [3, 3]);
  assert.deepEqual(first?.ejectedBy, ["c"]);
  assert.equal(first?.weight, 5, "the newest report's word");
  assert.deepEqual([first?.share, second?.share], [0.75, 0.25]);
  assert.equal(second?.latencyEwmaMs, null);
});

test("services, endpoints and hosts without any report are listed too", () => {
  const known = { id: "api-1", address: "10.0.0.1", port: 80, host: "b" };
  const merged = mergeReports(
    [hostReport("b", { endpoints: [endpointReport({ health: "passing", requests: 1 })] })],
    {
      ...CONTEXT,
      hosts: [
        { host: "b", zone: "y", version: "2", state: "reporting", revision: 5, refusal: null },
        { host: "a", zone: "y", version: "", state: "gone", revision: null, refusal: null },
      ],
      services: [
        { service: "shop/idle", endpoints: [] },
        { service: "shop/api", endpoints: [{ ...known, health: "critical", weight: 3 }] },
      ],
    },
  );
  assert.deepEqual(
    merged.services.map(({ service, success, p50Ms }) => [service, success, p50Ms]),
    [
      ["shop/api", null, null],
      ["shop/idle", null, null],
    ],
  );
  const [api] = merged.services[0]?.endpoints ?? [];
  assert.deepEqual([api?.health, api?.weight, api?.requests], ["critical", 3, 1]);
  assert.deepEqual(
    merged.hosts.map(({ host, state, revision, uptimeMs }) => [host, state, revision, uptimeMs]),
    [
      ["a", "gone", null, null],
      ["b", "reporting", 5, 5_000],
    ],
  );
});

test("the newest failures of all hosts are named, each with its host", () => {
  const failures = (host: string, from: number) =>
    hostReport(host, {
      recentErrors: Array.from({ length: 100 }, (_, at) => ({
        ...{ atMs: from - at * 10, source: "shop/web", destination: "shop/api", endpoint: null },
        ...{ method: "GET", path: "/", status: 503, error: "connect_failed", traceId: "" },
      })),
    });
  const all = [failures("a", 5_000), failures("b", 5_005), failures("c", 5_002)];
  const { recentErrors } = mergeReports(all, CONTEXT);
  assert.equal(recentErrors.length, 200);
  assert.deepEqual(
    recentErrors.slice(0, 4).map(({ host, atMs }) => [host, atMs]),
    [
      ["b", 5_005],
      ["c", 5_002],
      ["a", 5_000],
      ["b", 4_995],
    ],
  );
});

test("retries add up over the hosts; where no host tells of any they are unknown, not none", () => {
  const flows = [flowReport(), flowReport({ destination: "shop/calm" })];
  const retries = (count: number, recent: number) => [
    { service: "shop/api", retries: count, recent },
  ];
  const told = mergeReports(
    [
      hostReport("a", { flows, retries: retries(5, 2) }),
      hostReport("b", { flows, retries: retries(7, 3), windowMs: 5_000 }),
      hostReport("old", { flows }),
    ],
    CONTEXT,
  );
  assert.deepEqual(
    told.services.map(({ service, retries: all, retriesPerSecond }) => [
      service,
      all,
      retriesPerSecond,
    ]),
    [
      ["shop/api", 12, 0.8],
      ["shop/calm", 0, 0],
    ],
  );
  const untold = mergeReports([hostReport("old", { flows })], CONTEXT);
  assert.ok(untold.services.every((service) => !("retries" in service)));
});
