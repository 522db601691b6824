import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeEndpoints } from "../../src/sight/judge-endpoints.ts";
import type { EndpointFigures } from "../../src/sight/mesh-report.ts";
import { endpoint, service } from "../cli/sight/mesh-report.ts";

const WINDOW_MS = 10_000;

/** What is the matter with each, by name; those that nothing is the matter with are left out. */
function judged(...endpoints: EndpointFigures[]): Record<string, string> {
  const verdicts = judgeEndpoints(service("shop/catalog", { endpoints }), WINDOW_MS);
  const words = verdicts.map((verdict) => {
    const { isSlow, isFailing, isEjected, isAvoided, hasLostTraffic } = verdict;
    const said = Object.entries({ isSlow, isFailing, isEjected, isAvoided, hasLostTraffic });
    return [verdict.endpoint.id, said.flatMap(([name, is]) => (is ? name : [])).join(" ")];
  });
  return Object.fromEntries(words.filter(([, said]) => said !== ""));
}

const steady = endpoint("steady", { p50Ms: 13.5, latencyEwmaMs: 209.6, rps: 35, share: 0.68 });
const slow = endpoint("slow", { p50Ms: 87.5, latencyEwmaMs: 175.8, rps: 1.6, share: 0.03 });

test("on a busy host, whose estimates are all far off, the slow one is named and not the flaky one", () => {
  const flaky = endpoint("flaky", { p50Ms: 21, latencyEwmaMs: 2942, rps: 0.7, share: 0.01 });
  assert.deepEqual(judged(steady, { ...slow, rps: 15, share: 0.3 }, flaky), {
    slow: "isSlow",
    flaky: "isAvoided hasLostTraffic",
  });
});

test("the one that lost its traffic for its latency is slow, whatever the balancer's estimate is by now", () => {
  const both = "isSlow hasLostTraffic";
  assert.deepEqual(judged(steady, slow), { slow: both });
  assert.deepEqual(judged(steady, { ...slow, latencyEwmaMs: 4 }), { slow: both });
  assert.deepEqual(judged(steady, { ...slow, latencyEwmaMs: null }), { slow: both });
});

test("where nothing was answered within the window only the cost can tell, and nobody is called slow", () => {
  const idle = { ...slow, rps: 0, share: 0, p50Ms: null, success: null };
  assert.deepEqual(judged(steady, { ...idle, latencyEwmaMs: 1_000 }), {
    slow: "isAvoided hasLostTraffic",
  });
  assert.deepEqual(judged(steady, idle), { slow: "hasLostTraffic" });
});

test("one or two answers that were late do not make an endpoint slow", () => {
  assert.deepEqual(judged(steady, { ...slow, rps: 0.2, share: 0.4 }), {});
  assert.deepEqual(judged(steady, { ...slow, rps: 0.3, share: 0.4 }), { slow: "isSlow" });
});

test("of three two may be slow: the best is the measure", () => {
  assert.deepEqual(judged(steady, { ...slow, share: 0.3 }, { ...slow, id: "other", share: 0.3 }), {
    ...{ slow: "isSlow", other: "isSlow" },
  });
});

test("a smaller weight, or a split that sends little, is no reason to be named", () => {
  const canary = endpoint("canary", { p50Ms: 14, latencyEwmaMs: 210, rps: 4, share: 0.1 });
  assert.deepEqual(judged(steady, { ...canary, weight: 0.1 }), {});
  assert.deepEqual(judged(steady, canary), { canary: "hasLostTraffic" });
});

test("an endpoint fails alone, or its service fails", () => {
  const failing = endpoint("failing", { success: 0.5, share: 0.5 });
  const healthy = endpoint("healthy", { success: 1, share: 0.5 });
  assert.deepEqual(judged(failing, healthy), { failing: "isFailing" });
  assert.deepEqual(judged(failing, { ...failing, id: "too" }), {});
  assert.deepEqual(judged(failing), {});
  assert.deepEqual(judged({ ...failing, rps: 0.5 }, healthy), {});
});

test("an ejected one, or one whose health checks fail, has its reason told already", () => {
  const gone = endpoint("gone", { share: 0, rps: 0, p50Ms: null, latencyEwmaMs: 9_000 });
  assert.deepEqual(judged(steady, { ...gone, ejectedBy: ["node-a"] }), {
    gone: "isEjected hasLostTraffic",
  });
  assert.deepEqual(judged(steady, { ...gone, health: "critical" }), { gone: "hasLostTraffic" });
});

test("alone or without traffic there is nothing to compare", () => {
  assert.deepEqual(judged(slow), {});
  assert.deepEqual(judged(), {});
  const idle = { rps: 0, share: null, p50Ms: null, latencyEwmaMs: null, success: null };
  assert.deepEqual(judged(endpoint("a", idle), endpoint("b", idle)), {});
});
