import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../src/core/clock.ts";
import type { RetryReason } from "../../src/core/facts.ts";
import { FINE_BUCKETS, quantileMs } from "../../src/telemetry/buckets.ts";
import { RateSampler } from "../../src/telemetry/rate-sampler.ts";
import { FLOW, SHAPES } from "../../src/telemetry/series.ts";
import { makeEndpoint, makeFacts, makeService, makeWorkload } from "./make-facts.ts";
import { groupOf, setUpSeries } from "./set-up-series.ts";

const facts = makeFacts({ source: makeWorkload("web"), service: makeService("catalog") });
const LABELS = ["default/web", "default/catalog", "captured", "http", "same_host"] as const;

function setUp(perTable = 64) {
  const clock = new FakeClock(1_000);
  const { series, recorders, regions } = setUpSeries(1, perTable);
  const sampler = new RateSampler({ series, clock });
  const record = (times: number, durationMs = 2): void => {
    for (let round = 0; round < times; round += 1) recorders[0]?.exchange({ ...facts, durationMs });
  };
  const retry = (reason: RetryReason, times: number): void => {
    for (let round = 0; round < times; round += 1) recorders[0]?.retry(facts.service, reason);
  };
  const step = (): void => {
    clock.advance(2_000);
    sampler.tick();
  };
  return { clock, series, regions, sampler, record, retry, step };
}

test("before the first reading everything since the start counts", () => {
  const { clock, series, sampler, record } = setUp();
  record(30);
  clock.advance(500);
  const window = sampler.window();
  assert.equal(window.lengthMs, 500);
  const group = groupOf(series, "flows", ...LABELS);
  assert.equal(window.count(group), 30);
  assert.equal(window.perSecond(30), 60);
});

test("a window is ten seconds and never more than a step longer", () => {
  const { clock, series, sampler, record, step } = setUp();
  record(1);
  const group = groupOf(series, "flows", ...LABELS);
  const seen: [number, number][] = [];
  for (let round = 0; round < 10; round += 1) {
    step();
    record(2);
    clock.advance(1_000);
    const window = sampler.window();
    seen.push([window.lengthMs, window.count(group)]);
    clock.advance(-1_000);
  }
  assert.deepEqual(seen.slice(-3), [
    [11_000, 12],
    [11_000, 12],
    [11_000, 12],
  ]);
});

test("percentiles are of the window only", () => {
  const { series, sampler, record, step } = setUp();
  record(1_000, 500);
  for (let round = 0; round < 7; round += 1) step();
  record(10, 4);
  const fine = new Float64Array(FINE_BUCKETS);
  sampler.window().addFine("flows", groupOf(series, "flows", ...LABELS), fine);
  const p99 = quantileMs(fine, 0.99) ?? 0;
  assert.ok(Math.abs(p99 - 4) <= 0.2, `${p99}`);
});

test("a label set that was let go and came back counts from zero", () => {
  const { clock, series, sampler, record, step } = setUp(1);
  record(50);
  step();
  series.retire(clock.now());
  assert.ok(series.retire(clock.now() + 600_000) > 0);
  record(3);
  assert.equal(sampler.window().count(groupOf(series, "flows", ...LABELS)), 3);
});

test("buckets that pass 2^32 within the window are still right", () => {
  const { series, regions, sampler, record, step } = setUp();
  record(1, 2);
  const words = regions[0]?.tables.flows.words ?? new Float64Array(0);
  const group = groupOf(series, "flows", ...LABELS);
  const index = words.findIndex((word, at) => at > SHAPES.flows.words + FLOW.fine && word === 1);
  words[index] = 2 ** 32 - 1;
  record(1, 2);
  words[index] = 2 ** 32 - 1;
  step();
  record(5, 2);
  for (let round = 0; round < 4; round += 1) step();
  const fine = new Float64Array(FINE_BUCKETS);
  step();
  sampler.window().addFine("flows", group, fine);
  assert.equal(
    fine.reduce((sum, count) => sum + count, 0),
    5,
  );
});

test("failures and bytes are of the window, too", () => {
  const { series, recorders } = setUpSeries(1, 64);
  const clock = new FakeClock(1_000);
  const sampler = new RateSampler({ series, clock });
  const record = (times: number, status: number): void => {
    const one = { ...facts, status, endpoint: makeEndpoint("h/1") };
    for (let round = 0; round < times; round += 1) recorders[0]?.exchange(one);
  };
  record(4, 500);
  for (let round = 0; round < 6; round += 1) {
    clock.advance(2_000);
    sampler.tick();
  }
  record(2, 500);
  record(1, 200);
  const window = sampler.window();
  const route = groupOf(series, "routes", "default/web", "default/catalog", "default");
  const endpoint = groupOf(series, "endpoints", "default/catalog", "h/1");
  assert.deepEqual([window.failures("routes", route), window.bytes("routes", route)], [2, 3_030]);
  assert.equal(window.failures("endpoints", endpoint), 2);
  assert.equal(window.bytes("endpoints", endpoint), 3_030);
  assert.equal(window.bytes("flows", groupOf(series, "flows", ...LABELS)), 3_030);
});

test("retries are counted within the window, whatever their reason", () => {
  const { clock, series, sampler, step, retry } = setUp();
  retry("STATUS", 3);
  const group = groupOf(series, "destinations", "default/catalog");
  for (let round = 0; round < 7; round += 1) step();
  retry("STATUS", 2);
  retry("CONNECT_REFUSED", 1);
  clock.advance(1_000);
  assert.equal(sampler.window().retries(group), 3);
});
