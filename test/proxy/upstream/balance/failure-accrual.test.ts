import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BalancerPolicy } from "../../../../src/core/model.ts";
import { BALANCER_POLICIES } from "../../../../src/core/model.ts";
import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import type { FailureAccrual } from "../../../../src/core/traffic.ts";
import { createBalancer } from "../../../../src/proxy/upstream/balance/balancer.ts";
import { Outlier, type OutlierGroup } from "../../../../src/proxy/upstream/balance/outlier.ts";
import { equal, NO_HASH, newWorld } from "./fixture.ts";

/** Linkerd's defaults, but for the jitter. */
const RULE: FailureAccrual = {
  ...{ maxFailures: 7, minPenaltyMs: 1_000, maxPenaltyMs: 60_000, jitterRatio: 0 },
};
const HERE = { host: "a", zone: "", region: "", labels: {} };
const SETTINGS = {
  ...{ consecutiveFailures: 5, baseEjectionMs: 30_000, maxEjectionMs: 300_000 },
  maxEjectionPercent: 50,
};

function setUp(
  size: number,
  over: Partial<FailureAccrual> = {},
  policy: BalancerPolicy = "random",
) {
  const world = newWorld({ slots: size, nowMs: 1_000_000 });
  const accrual = { ...RULE, ...over };
  const group: OutlierGroup = { endpoints: equal(size), outlier: null, accrual };
  const outlier = new Outlier(world.state, SETTINGS, world.random);
  const balancer = createBalancer({ policy, slowStartMs: 0 }, group.endpoints, world, {
    here: HERE,
    accrual,
  });
  const result = (endpoint: DataEndpoint, status: number, probe = 0) =>
    outlier.onResult(
      group,
      endpoint,
      { status, local: status === 0, latencyMs: 5, probe },
      world.clock.now(),
    );
  const fail = (slot: number, times: number, status = 500) =>
    Array.from({ length: times }, () => result(group.endpoints[slot]!, status));
  const pick = (tried: readonly DataEndpoint[] = []) => {
    const endpoint = balancer.pick({ hash: -1, tried });
    return { endpoint, probe: balancer.probe };
  };
  const { clock, state } = world;
  return { world, state, clock, group, outlier, balancer, result, fail, pick };
}

describe("failure accrual, consecutive", () => {
  test("shuts at the seventh failure in a row, and says so once", () => {
    const { fail, state } = setUp(2);
    assert.deepEqual(fail(0, 9), [false, false, false, false, false, false, true, false, false]);
    assert.equal(state.accrual.isShut(0), true);
    assert.equal(state.isEjected(0, 1_000_000), false, "the settings' detector is not asked too");
  });

  test("starts counting again after a success; 429 is one", () => {
    const { fail, state } = setUp(2);
    fail(0, 6);
    fail(0, 1, 429);
    fail(0, 6, 0);
    assert.equal(state.accrual.isShut(0), false);
    fail(0, 1, 0);
    assert.equal(state.accrual.isShut(0), true);
  });

  test("is off at zero failures", () => {
    const { fail, state } = setUp(2, { maxFailures: 0 });
    fail(0, 100);
    assert.equal(state.accrual.isShut(0), false);
  });

  for (const policy of BALANCER_POLICIES) {
    test(`a shut endpoint gets nothing, then exactly one request (${policy})`, () => {
      const { fail, pick, clock } = setUp(3, {}, policy);
      fail(1, 7);
      for (let at = 0; at < 200; at++) assert.notEqual(pick().endpoint?.slot, 1);
      clock.advance(1_000);
      const { endpoint, probe } = pick();
      assert.equal(endpoint?.slot, 1);
      assert.notEqual(probe, 0);
      for (let at = 0; at < 200; at++) {
        const next = pick();
        assert.notEqual(next.endpoint?.slot, 1);
        assert.equal(next.probe, 0);
      }
    });
  }

  test("each failed probe doubles the pause, up to the longest", () => {
    const { fail, pick, clock, result } = setUp(2);
    fail(0, 7);
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) {
      let waitedMs = 0;
      let picked = pick();
      while (picked.probe === 0) {
        clock.advance(500);
        waitedMs += 500;
        picked = pick();
      }
      pauses.push(waitedMs / 1_000);
      result(picked.endpoint!, 503, picked.probe);
    }
    assert.deepEqual(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
  });

  test("a successful probe reopens, and the next pause is the shortest again", () => {
    const { fail, pick, clock, result, state } = setUp(2);
    fail(0, 7);
    clock.advance(1_000);
    const failed = pick();
    result(failed.endpoint!, 500, failed.probe);
    clock.advance(2_000);
    const probe = pick();
    result(probe.endpoint!, 200, probe.probe);
    assert.equal(state.accrual.isShut(0), false);
    fail(0, 6);
    assert.equal(state.accrual.isShut(0), false, "its record is clean");
    fail(0, 1);
    assert.equal(state.accrual.dueAt(0), clock.now() + 1_000);
  });

  test("what arrives late from a shut endpoint is no news, neither good nor bad", () => {
    const { fail, pick, clock, result, state, group } = setUp(2);
    fail(0, 7);
    result(group.endpoints[0]!, 200);
    assert.equal(state.accrual.isShut(0), true);
    clock.advance(1_000);
    const { endpoint, probe } = pick();
    result(group.endpoints[0]!, 200);
    fail(0, 20);
    assert.equal(state.accrual.isProbe(0, probe), true);
    result(endpoint!, 200, probe);
    assert.equal(state.accrual.isShut(0), false);
  });

  test("a probe that is abandoned is sent again at once", () => {
    const { fail, pick, clock, outlier } = setUp(2);
    fail(0, 7);
    clock.advance(1_000);
    const { endpoint, probe } = pick();
    outlier.abandon(endpoint!, probe);
    const again = pick();
    assert.equal(again.endpoint?.slot, 0);
    assert.notEqual(again.probe, 0);
    outlier.abandon(endpoint!, probe);
    assert.equal(pick().probe, 0, "only the probe under way can be given up");
  });

  test("after a minute without a result another probe is sent; the first may still reopen, and not shut", () => {
    const { fail, pick, clock, result, state } = setUp(2);
    fail(0, 7);
    clock.advance(1_000);
    const first = pick();
    clock.advance(59_999);
    assert.equal(pick().probe, 0);
    clock.advance(1);
    const second = pick();
    assert.notEqual(second.probe, 0);
    result(first.endpoint!, 500, first.probe);
    assert.equal(state.accrual.shuts(0), 1);
    assert.equal(state.accrual.isProbe(0, second.probe), true);
    result(first.endpoint!, 200, first.probe);
    assert.equal(state.accrual.isShut(0), false);
    fail(0, 7);
    result(first.endpoint!, 200, first.probe);
    result(second.endpoint!, 200, second.probe);
    assert.equal(state.accrual.isShut(0), true, "those are of an earlier time");
    clock.advance(1_000);
    assert.notEqual(pick().probe, 0);
  });

  test("an endpoint is not shut for callers whose policy shuts none", () => {
    const { fail, state, group, world } = setUp(2);
    fail(0, 7);
    createBalancer({ policy: "random", slowStartMs: 0 }, group.endpoints, world);
    assert.equal(state.accrual.isShut(0), false);
    assert.equal(state.isAvailable(0, world.clock.now()), true);
  });

  test("no endpoint is picked while all are shut, and nobody who was tried is probed", () => {
    const { fail, pick, clock, group } = setUp(2);
    fail(0, 7);
    fail(1, 7);
    assert.equal(pick().endpoint, null);
    clock.advance(1_000);
    assert.equal(pick([group.endpoints[0]!]).endpoint?.slot, 1);
    assert.equal(pick([group.endpoints[0]!]).endpoint, null);
    assert.equal(pick().endpoint?.slot, 0);
    assert.equal(pick().endpoint, null);
  });

  test("an endpoint that joins a shut service is used at once; one that left takes its record along", () => {
    const { fail, pick, balancer, state, clock } = setUp(3);
    balancer.update(equal(2));
    fail(0, 7);
    fail(1, 7);
    assert.equal(pick().endpoint, null);
    balancer.update(equal(3));
    assert.equal(pick().endpoint?.slot, 2);
    state.reset(0, clock.now());
    balancer.update(equal(3));
    assert.equal(state.accrual.isShut(0), false);
    assert.equal(state.accrual.isShut(1), true);
  });

  test("the pause has a random part on top", () => {
    const { fail, state, clock } = setUp(200, { jitterRatio: 0.5 });
    const pauses = Array.from({ length: 200 }, (_, slot) => {
      fail(slot, 7);
      return state.accrual.dueAt(slot) - clock.now();
    });
    assert.ok(Math.min(...pauses) >= 1_000 && Math.max(...pauses) <= 1_500);
    assert.ok(Math.max(...pauses) - Math.min(...pauses) > 400);
  });
});

describe("failure accrual, unified", () => {
  const successRate = { threshold: 0.8, windowMs: 10_000, minRequests: 5 };

  test("shuts when too few of the window succeed, however the failures are spread", () => {
    const { fail, state } = setUp(2, { successRate });
    for (let at = 0; at < 20; at++) fail(0, 4, 200);
    fail(0, 20);
    assert.equal(state.accrual.isShut(0), true, "seven in a row");
    for (let at = 0; at < 8; at++) fail(1, 4, 200);
    for (let at = 0; at < 9; at++) {
      assert.equal(state.accrual.isShut(1), false, `after ${at}`);
      fail(1, 1, 200);
      fail(1, 1);
    }
    // 50 results of which 9 failed are 82 %; the tenth and eleventh failure of 54 make it 79.6 %.
    fail(1, 1, 200);
    fail(1, 1);
    fail(1, 1, 200);
    fail(1, 1);
    assert.equal(state.accrual.isShut(1), true);
  });

  test("a few requests say nothing, and old ones are forgotten", () => {
    const { fail, state, clock } = setUp(2, { successRate, maxFailures: 0 });
    fail(0, 4);
    assert.equal(state.accrual.isShut(0), false);
    clock.advance(10_000);
    fail(0, 4);
    assert.equal(state.accrual.isShut(0), false);
    clock.advance(5_000);
    assert.deepEqual(fail(0, 1), [true]);
  });

  test("429 counts in the rate and fails a probe, but is no failure in a row", () => {
    const { fail, state, clock, pick, result } = setUp(2, {
      successRate: { ...successRate, minRequests: 20 },
    });
    fail(0, 19, 429);
    assert.equal(state.accrual.isShut(0), false);
    fail(0, 1, 429);
    assert.equal(state.accrual.isShut(0), true);
    clock.advance(1_000);
    const probe = pick();
    result(probe.endpoint!, 429, probe.probe);
    assert.equal(state.accrual.isShut(0), true);
    assert.equal(state.accrual.dueAt(0), clock.now() + 2_000);
  });

  test("the window is empty after reopening", () => {
    const { fail, state, clock, pick, result } = setUp(2, { successRate });
    fail(0, 7);
    clock.advance(1_000);
    const probe = pick();
    result(probe.endpoint!, 200, probe.probe);
    fail(0, 4);
    assert.equal(state.accrual.isShut(0), false);
    fail(0, 1);
    assert.equal(state.accrual.isShut(0), true);
  });

  test("a threshold of zero leaves failures in a row only", () => {
    const { fail, state } = setUp(2, { successRate: { ...successRate, threshold: 0 } });
    fail(0, 6);
    fail(0, 1, 429);
    fail(0, 6);
    assert.equal(state.accrual.isShut(0), false);
  });
});

test("a pick with accrual does not look at all endpoints while nothing is shut", () => {
  const { balancer, state } = setUp(10_000);
  balancer.pick(NO_HASH);
  let reads = 0;
  const isShut = state.accrual.isShut.bind(state.accrual);
  state.accrual.isShut = (slot) => {
    reads++;
    return isShut(slot);
  };
  for (let at = 0; at < 1_000; at++) balancer.pick(NO_HASH);
  assert.ok(reads < 5_000, `${reads}`);
});
