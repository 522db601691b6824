import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import { EndpointState } from "../../../../src/proxy/upstream/balance/endpoint-state.ts";
import {
  Outlier,
  type OutlierGroup,
  type OutlierSettings,
  type TryResult,
} from "../../../../src/proxy/upstream/balance/outlier.ts";
import { endpoint, equal, LATENCY, newState } from "./fixture.ts";

const SETTINGS: OutlierSettings = {
  consecutiveFailures: 5,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  maxEjectionPercent: 50,
};

const OK: TryResult = { status: 200, local: false, latencyMs: 5 };
const FAILED: TryResult = { status: 500, local: false, latencyMs: 5 };

function groupOf(endpoints: readonly DataEndpoint[]): OutlierGroup {
  return { endpoints, outlier: null, accrual: null };
}

function setUp(size: number, over: Partial<OutlierSettings> = {}) {
  const state = newState(size);
  const endpoints = equal(size);
  const group = groupOf(endpoints);
  const suppressed: string[] = [];
  const outlier = new Outlier(state, { ...SETTINGS, ...over }, seeded(1), (_, { id }) => {
    suppressed.push(id);
  });
  const result = (slot: number, failed: boolean, nowMs: number) =>
    outlier.onResult(group, endpoints[slot]!, failed ? FAILED : OK, nowMs);
  const fail = (slot: number, nowMs: number, times = 5) =>
    Array.from({ length: times }, () => result(slot, true, nowMs));
  return { state, result, fail, suppressed };
}

describe("passive ejection", () => {
  test("ejects at the fifth failure in a row, for the base time, and says so once", () => {
    const { state, fail } = setUp(3);
    assert.deepEqual(fail(0, 1_000, 8), [false, false, false, false, true, false, false, false]);
    assert.equal(state.isEjected(0, 1_000), true);
    assert.equal(state.isEjected(0, 30_999), true);
    assert.equal(state.isEjected(0, 31_000), false);
  });

  test("starts counting again after a success", () => {
    const { state, result, fail } = setUp(3);
    fail(0, 0, 4);
    assert.equal(result(0, false, 0), false);
    assert.ok(!fail(0, 0, 4).includes(true));
    assert.equal(state.failures(0), 4);
  });

  test("takes late failures of an ejected endpoint for no news", () => {
    const { state, fail } = setUp(3);
    fail(0, 0);
    assert.ok(!fail(0, 29_999, 20).includes(true));
    assert.deepEqual([state.failures(0), state.ejections(0)], [0, 1]);
  });

  test("lasts longer with every ejection in a row, up to the maximum", () => {
    const { state, fail } = setUp(3);
    const lengths: number[] = [];
    let nowMs = 0;
    for (let round = 0; round < 12; round++) {
      assert.ok(fail(0, nowMs).includes(true));
      lengths.push((state.ejectedUntil(0) - nowMs) / 1_000);
      nowMs = state.ejectedUntil(0);
    }
    assert.deepEqual(lengths, [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
  });

  test("forgives one ejection for every ten healthy seconds", () => {
    const { state, fail } = setUp(3);
    let nowMs = 0;
    for (let round = 0; round < 4; round++) {
      fail(0, nowMs);
      nowMs = state.ejectedUntil(0);
    }
    fail(0, nowMs + 25_000);
    assert.equal(state.ejections(0), 3);
    fail(0, state.ejectedUntil(0) + 3_600_000);
    assert.equal(state.ejections(0), 1);
  });

  test("uses the base time where the maximum is below it", () => {
    const { state, fail } = setUp(2, { maxEjectionMs: 1_000 });
    fail(0, 0);
    assert.equal(state.ejectedUntil(0), 30_000);
  });

  test("ejects no more than the given share", () => {
    const { state, fail, suppressed } = setUp(10, { maxEjectionPercent: 30 });
    const ejected = equal(10).map(({ slot }) => fail(slot, 0).includes(true));
    assert.deepEqual(ejected.slice(0, 4), [true, true, true, false]);
    assert.equal(ejected.filter(Boolean).length, 3);
    assert.equal(suppressed.length, 7, "each one that may not be ejected is told");
    assert.equal(state.failures(9), 0);
    // Once one is back, another may be ejected.
    assert.ok(fail(9, 30_000).includes(true));
  });

  test("may always eject one of two or more, and never the last", () => {
    const two = setUp(2, { maxEjectionPercent: 0 });
    assert.ok(two.fail(0, 0).includes(true));
    assert.ok(!two.fail(1, 0).includes(true));
    assert.ok(!setUp(1, { maxEjectionPercent: 100 }).fail(0, 0).includes(true));
    const all = setUp(3, { maxEjectionPercent: 100 });
    const ejected = [0, 1, 2].map((slot) => all.fail(slot, 0).includes(true));
    assert.deepEqual(ejected, [true, true, false]);
  });

  test("does not count endpoints that take no traffic as remaining", () => {
    const state = newState(3);
    const endpoints = [
      endpoint(0),
      endpoint(1, { weight: 0 }),
      endpoint(2, { health: "critical" }),
    ];
    const outlier = new Outlier(state, SETTINGS, seeded(1));
    const group = groupOf(endpoints);
    for (let at = 0; at < 10; at++) {
      assert.equal(outlier.onResult(group, endpoints[0]!, FAILED, 0), false);
    }
  });

  test("is off at zero failures", () => {
    assert.ok(!setUp(3, { consecutiveFailures: 0 }).fail(0, 0, 20).includes(true));
  });

  test("counts failures over all workers, and one of them ejects", () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(3, 2));
    const endpoints = equal(3);
    const [first, second] = [0, 1].map(
      (worker) =>
        new Outlier(new EndpointState(buffer, 0, 3, 2, worker, LATENCY), SETTINGS, seeded(1)),
    );
    const group = groupOf(endpoints);
    const results: boolean[] = [];
    for (let at = 0; at < 3; at++) {
      results.push(first!.onResult(group, endpoints[1]!, FAILED, at));
      results.push(second!.onResult(group, endpoints[1]!, FAILED, at));
    }
    assert.deepEqual(results, [false, false, false, false, true, false]);
    assert.equal(new EndpointState(buffer, 0, 3, 2, -1, LATENCY).isEjected(1, 5), true);
  });

  test("leaves the decision to the next failure while another worker decides", () => {
    const buffer = new SharedArrayBuffer(EndpointState.bytesFor(3, 2));
    const endpoints = equal(3);
    const other = new EndpointState(buffer, 0, 3, 2, 1, LATENCY);
    const state = new EndpointState(buffer, 0, 3, 2, 0, LATENCY);
    const outlier = new Outlier(state, SETTINGS, seeded(1));
    const fail = () => outlier.onResult(groupOf(endpoints), endpoints[0]!, FAILED, 0);
    assert.equal(other.tryLockEjections(), true);
    for (let at = 0; at < 6; at++) assert.equal(fail(), false);
    other.unlockEjections();
    assert.equal(fail(), true);
    assert.equal(other.tryLockEjections(), true);
  });
});
