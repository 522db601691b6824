import assert from "node:assert/strict";
import { test } from "node:test";
import { hostReportSchema } from "../../src/sight/host-report-schema.ts";
import { FINE_BUCKETS } from "../../src/telemetry/buckets.ts";
import { endpointReport, flowReport, hostReport } from "./reports.ts";

const full = hostReport("a", {
  flows: [flowReport({ fine: [3, 10, FINE_BUCKETS - 1, 1], errors: { NO_ENDPOINT: 2 } })],
  endpoints: [endpointReport({ latencyEwmaMs: 1.5 })],
  recentErrors: [
    {
      ...{ atMs: 1, source: "shop/web", destination: "shop/api", endpoint: null },
      ...{ method: "GET", path: "/", status: 503, error: "NO_ENDPOINT", traceId: "" },
    },
  ],
});

test("a report is read as it was written, and what a newer daemon adds is overlooked", () => {
  assert.deepEqual(hostReportSchema.parse(JSON.parse(JSON.stringify(full))), full);
  const newer = { ...full, more: 1, flows: full.flows.map((flow) => ({ ...flow, more: {} })) };
  assert.deepEqual(hostReportSchema.parse(newer), full);
});

test("what is no report is refused", () => {
  const [flow] = full.flows;
  const flowWith = (more: object) => ({ ...full, flows: [{ ...flow, ...more }] });
  for (const wrong of [
    null,
    [],
    { ...full, host: 1 },
    { ...full, windowMs: -1 },
    { ...full, windowMs: null },
    { ...full, workers: undefined },
    { ...full, recentErrors: Array.from({ length: 101 }, () => full.recentErrors[0]) },
    flowWith({ requests: "1" }),
    flowWith({ requests: -1 }),
    flowWith({ fine: [1] }),
    flowWith({ fine: [FINE_BUCKETS, 1] }),
    flowWith({ fine: [0.5, 1] }),
    flowWith({ fine: [1, -1] }),
    flowWith({ security: "none" }),
    flowWith({ reporter: "nobody" }),
    flowWith({ errors: { x: "1" } }),
  ]) {
    assert.equal(hostReportSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
  }
});
