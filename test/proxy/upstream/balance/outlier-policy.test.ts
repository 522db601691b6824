import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Random } from "../../../../src/core/random.ts";
import type { OutlierPolicy } from "../../../../src/core/traffic.ts";
import {
  Outlier,
  type OutlierGroup,
  type TryResult,
} from "../../../../src/proxy/upstream/balance/outlier.ts";
import { equal, newState } from "./fixture.ts";

const POLICY: OutlierPolicy = {
  consecutive5xx: 5,
  ...{ consecutiveGateway: 0, consecutiveLocal: 5, splitLocalErrors: false },
  ...{ intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionMs: 300_000 },
  ...{ maxEjectionPercent: 100, minHealthPercent: 0 },
};
const SETTINGS = {
  ...{ consecutiveFailures: 5, baseEjectionMs: 1_000, maxEjectionMs: 1_000 },
  maxEjectionPercent: 50,
};

const answer = (status: number, latencyMs = 5): TryResult => ({ status, local: false, latencyMs });
const LOST: TryResult = { status: 0, local: true, latencyMs: 5 };

interface Setting {
  readonly random?: Random;
  readonly ejectionJitterPercent?: number;
}

function setUp(size: number, over: Partial<OutlierPolicy> = {}, setting: Setting = {}) {
  const state = newState(size);
  const group: OutlierGroup = {
    endpoints: equal(size),
    outlier: { ...POLICY, ...over },
    accrual: null,
  };
  const suppressed: number[] = [];
  const { random = () => 0.5, ejectionJitterPercent = 0 } = setting;
  const settings = { ...SETTINGS, ejectionJitterPercent };
  const outlier = new Outlier(state, settings, random, (_, { slot }) => suppressed.push(slot));
  const results = (slot: number, result: TryResult, times: number, nowMs = 0) =>
    Array.from({ length: times }, () =>
      outlier.onResult(group, group.endpoints[slot]!, result, nowMs),
    );
  const ejectedAt = (slot: number, result: TryResult, nowMs = 0) =>
    results(slot, result, 50, nowMs).indexOf(true) + 1;
  const analyse = (nowMs: number) => outlier.analyse(group, nowMs).map(({ slot }) => slot);
  return { state, group, outlier, suppressed, results, ejectedAt, analyse };
}

describe("failures in a row, by a policy", () => {
  test("any 5xx counts, and so does a failure without a response", () => {
    assert.equal(setUp(2, { consecutive5xx: 3 }).ejectedAt(0, answer(500)), 3);
    assert.equal(setUp(2, { consecutive5xx: 3 }).ejectedAt(0, LOST), 3);
    assert.equal(setUp(2, { consecutive5xx: 3 }).ejectedAt(0, answer(499)), 0);
    assert.equal(setUp(2, { consecutive5xx: 0 }).ejectedAt(0, answer(500)), 0);
  });

  test("502, 503 and 504 have a limit of their own, and other failures start it anew", () => {
    const over = { consecutive5xx: 0, consecutiveGateway: 2 };
    for (const status of [502, 503, 504])
      assert.equal(setUp(2, over).ejectedAt(0, answer(status)), 2);
    assert.equal(setUp(2, over).ejectedAt(0, LOST), 2);
    for (const status of [500, 501, 505])
      assert.equal(setUp(2, over).ejectedAt(0, answer(status)), 0);
    const { results } = setUp(2, over);
    results(0, answer(503), 1);
    results(0, answer(500), 1);
    assert.deepEqual(results(0, answer(503), 1), [false]);
    assert.deepEqual(results(0, answer(200), 1), [false]);
    assert.deepEqual(results(0, answer(503), 2), [false, true]);
  });

  test("failures without a response are counted apart where the policy says so", () => {
    const over = { splitLocalErrors: true, consecutive5xx: 2, consecutiveLocal: 4 };
    assert.equal(setUp(2, over).ejectedAt(0, LOST), 4);
    assert.equal(setUp(2, over).ejectedAt(0, answer(503)), 2);
    const { results, state } = setUp(2, over);
    results(0, LOST, 3);
    results(0, answer(500), 1);
    assert.equal(state.failures(0, "local"), 0, "what was answered was reached");
    results(0, LOST, 1);
    assert.deepEqual(
      results(0, answer(500), 1),
      [true],
      "a lost try leaves the answers' count alone",
    );
  });

  test("the settings' detector is not asked where a policy is given, even if that has none", () => {
    const off = { consecutive5xx: 0, consecutiveLocal: 0 };
    assert.equal(setUp(2, off).ejectedAt(0, answer(500)), 0);
  });

  test("one ejection is forgiven for every healthy interval of the policy", () => {
    const { state, results } = setUp(3, { intervalMs: 1_000 });
    results(0, answer(500), 5, 0);
    results(0, answer(500), 5, 30_000);
    assert.equal(state.ejections(0), 2);
    results(0, answer(500), 5, 90_000 + 1_500);
    assert.equal(state.ejections(0), 2, "one more, one forgiven");
  });

  test("an ejection lasts up to the given part longer, at random", () => {
    const length = (random: Random) => {
      const { state, results } = setUp(3, {}, { random, ejectionJitterPercent: 10 });
      results(0, answer(500), 5);
      return state.ejectedUntil(0);
    };
    assert.equal(
      length(() => 0),
      30_000,
    );
    assert.equal(
      length(() => 0.5),
      31_500,
    );
    assert.ok(length(() => 0.999) < 33_000);
  });

  test("an ejection that the limits forbid is told, once for each time that the limit is reached", () => {
    const { results, suppressed } = setUp(1);
    results(0, answer(500), 12);
    assert.deepEqual(suppressed, [0, 0]);
  });

  test("a health check that passes again ends an ejection", () => {
    const { state, results } = setUp(2);
    results(0, answer(500), 5);
    state.readmit(0, 10_000);
    assert.equal(state.isEjected(0, 10_000), false);
    assert.equal(state.servingSince(0), 10_000, "and the ramp begins");
    state.readmit(1, 10_000);
    assert.equal(state.ejectedUntil(1), 0);
  });
});

const OFF = { consecutive5xx: 0, consecutiveLocal: 0 };

describe("detectors that compare endpoints", () => {
  /** Successes per hundred requests of each endpoint, in the first interval. */
  function withRates(rates: readonly number[], over: Partial<OutlierPolicy>) {
    const set = setUp(rates.length, { ...OFF, ...over });
    rates.forEach((rate, slot) => {
      set.results(slot, answer(200), rate, 1_000);
      set.results(slot, answer(500), 100 - rate, 1_000);
    });
    return set;
  }
  const successRate = { minHosts: 5, minRequests: 100, stdevFactor: 1.9 };

  test("a success rate below mean - 1.9 standard deviations ejects", () => {
    // Mean 94, deviation 12: the threshold is 71.2.
    const { analyse, state } = withRates([100, 100, 100, 100, 100, 100, 100, 100, 80, 60], {
      successRate,
    });
    assert.deepEqual(analyse(9_999), [], "the interval is not over");
    assert.deepEqual(analyse(10_000), [9]);
    assert.equal(state.isEjected(9, 10_000), true);
    assert.equal(state.ejectedUntil(9), 40_000);
  });

  test("endpoints that are all as bad are left alone", () => {
    assert.deepEqual(withRates([40, 40, 40, 40, 40], { successRate }).analyse(10_000), []);
  });

  test("too few endpoints or requests say nothing", () => {
    const rates = [100, 100, 100, 100, 100, 0];
    assert.deepEqual(
      withRates(rates, { successRate: { ...successRate, minHosts: 7 } }).analyse(10_000),
      [],
    );
    assert.deepEqual(
      withRates(rates, { successRate: { ...successRate, minRequests: 101 } }).analyse(10_000),
      [],
    );
    assert.deepEqual(withRates(rates, { successRate }).analyse(10_000), [5]);
  });

  test("an interval is analysed once, and only right after it", () => {
    const rates = [100, 100, 100, 100, 100, 0];
    const { analyse, state } = withRates(rates, { successRate });
    assert.deepEqual(analyse(10_000), [5]);
    state.readmit(5, 10_001);
    assert.deepEqual(analyse(10_500), []);
    assert.deepEqual(withRates(rates, { successRate }).analyse(20_000), [], "too old");
  });

  test("a fixed share of failures ejects, the worst first, within the limits", () => {
    const failurePercentage = { percent: 85, minHosts: 3, minRequests: 50 };
    const rates = [100, 15, 16, 0, 100, 100];
    const all = withRates(rates, { failurePercentage });
    assert.deepEqual(all.analyse(10_000), [3, 1]);
    const one = withRates(rates, { failurePercentage, maxEjectionPercent: 20 });
    assert.deepEqual(one.analyse(10_000), [3]);
    assert.deepEqual(one.suppressed, [1]);
  });

  test("failures without a response count, unless they are counted apart", () => {
    const failurePercentage = { percent: 50, minHosts: 1, minRequests: 50 };
    for (const splitLocalErrors of [false, true]) {
      const set = setUp(3, { ...OFF, failurePercentage, splitLocalErrors });
      set.results(0, LOST, 60, 1_000);
      set.results(1, answer(200), 60, 1_000);
      assert.deepEqual(set.analyse(10_000), splitLocalErrors ? [] : [0]);
    }
  });

  describe("by latency", () => {
    function withLatencies(latencies: readonly number[], minMs = 10, samples = 10) {
      const set = setUp(latencies.length, {
        ...OFF,
        latency: { factor: 3, minMs, minHosts: 3 },
      });
      latencies.forEach((latencyMs, slot) => {
        set.results(slot, answer(200, latencyMs), samples, 1_000);
      });
      return set.analyse(10_000);
    }

    test("one that takes more than three times the median of the others is ejected", () => {
      assert.deepEqual(withLatencies([10, 12, 11, 34]), [3]);
      assert.deepEqual(withLatencies([10, 12, 11, 33]), [], "three times 11 is not more");
      assert.deepEqual(withLatencies([10, 10, 100, 100]), [2, 3], "each against the others");
      assert.deepEqual(withLatencies([100, 100, 100]), []);
    });

    test("fast ones, few endpoints and few answers are left alone", () => {
      assert.deepEqual(withLatencies([1, 1, 1, 9]), []);
      assert.deepEqual(withLatencies([10, 100]), []);
      assert.deepEqual(withLatencies([10, 12, 11, 99], 10, 9), []);
    });
  });

  test("no work is done where the policy compares nothing", () => {
    const { outlier, group, results } = setUp(3);
    results(0, answer(500), 3, 1_000);
    assert.equal(outlier.analyse(group, 10_000), outlier.analyse(group, 20_000));
  });
});
