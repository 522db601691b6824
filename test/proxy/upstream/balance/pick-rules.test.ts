import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  BALANCER_POLICIES,
  type BalancerConfig,
  type BalancerPolicy,
} from "../../../../src/core/model.ts";
import {
  type BalanceOptions,
  createBalancer,
} from "../../../../src/proxy/upstream/balance/balancer.ts";
import { endpoint, equal, newWorld, tally } from "./fixture.ts";

const HERE = { host: "a", zone: "", region: "", labels: {} };
const LONG = 10_000_000;

function setUp(policy: BalancerPolicy, options: Partial<BalanceOptions>, size = 10) {
  const world = newWorld();
  const balancer = createBalancer({ policy, slowStartMs: 0 }, equal(size), world, {
    here: HERE,
    ...options,
  });
  const used = () => tally(balancer, 2_000, world.random, size).filter((count) => count > 0).length;
  return { world, balancer, used };
}

for (const policy of BALANCER_POLICIES) {
  describe(`the panic threshold under ${policy}`, () => {
    test("below it all endpoints are used, at it only healthy ones", () => {
      const { world, used } = setUp(policy, { minHealthPercent: 50 });
      for (let slot = 0; slot < 5; slot++) world.state.eject(slot, LONG, 1);
      assert.equal(used(), 5);
      world.state.eject(5, LONG, 1);
      world.clock.advance(100);
      assert.equal(used(), 10);
      world.state.readmit(5, world.clock.now());
      world.clock.advance(200);
      assert.equal(used(), 5);
    });

    test("counts critical endpoints, and does not use them", () => {
      const { world, balancer, used } = setUp(policy, { minHealthPercent: 50 });
      balancer.update(
        equal(10).map((one) => (one.slot < 4 ? endpoint(one.slot, { health: "critical" }) : one)),
      );
      world.state.eject(4, LONG, 1);
      assert.equal(used(), 5);
      world.state.eject(5, LONG, 1);
      world.clock.advance(100);
      assert.equal(used(), 6);
    });

    test("is off at zero: one healthy endpoint gets everything", () => {
      const { world, used } = setUp(policy, { minHealthPercent: 0 });
      for (let slot = 0; slot < 9; slot++) world.state.eject(slot, LONG, 1);
      assert.equal(used(), 1);
    });
  });

  test(`a full endpoint is chosen only when all are (${policy})`, () => {
    const { world, balancer, used } = setUp(policy, {
      concurrency: (slot) => (slot === 0 ? 1 : 2),
    });
    for (let at = 0; at < 19; at++) {
      const chosen = balancer.pick({ hash: at * 1_000_003, tried: [] })!;
      world.state.begin(chosen.slot);
      const limit = chosen.slot === 0 ? 1 : 2;
      assert.ok(world.state.inFlight(chosen.slot) <= limit, `${chosen.slot} at ${at}`);
    }
    assert.ok(used() > 0, "all are full: somebody else refuses");
  });
}

describe("the form of slow start", () => {
  /** Share of a new endpoint among five, as a part of a fair one's weight, `elapsed` into the ramp. */
  function ramp(over: Partial<BalancerConfig>, elapsed: number): number {
    const world = newWorld();
    world.state.reset(4, world.clock.now());
    world.clock.advance(10_000 * elapsed);
    const config = { policy: "random", slowStartMs: 10_000, ...over } as const;
    const balancer = createBalancer(config, equal(5), world);
    const counts = tally(balancer, 40_000, world.random, 5);
    return (counts[4]! * 4) / (40_000 - counts[4]!);
  }
  const isClose = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < 0.03, `${actual} is not ${expected}`);

  test("begins where it is told to", () => {
    isClose(ramp({}, 0), 0.1);
    isClose(ramp({ slowStartMinPercent: 40 }, 0), 0.4);
    isClose(ramp({ slowStartMinPercent: 40 }, 0.7), 0.7);
    isClose(ramp({ slowStartMinPercent: 100 }, 0), 1);
  });

  test("rises by the root or the power that aggression says", () => {
    isClose(ramp({ slowStartAggression: 2 }, 0.25), 0.5);
    isClose(ramp({ slowStartAggression: 0.5 }, 0.5), 0.25);
    isClose(ramp({ slowStartAggression: 1 }, 0.5), 0.5);
  });

  test("bears figures that make no sense", () => {
    isClose(ramp({ slowStartAggression: 0 }, 0.5), 0.5);
    isClose(ramp({ slowStartAggression: Number.NaN }, 0.5), 0.5);
    isClose(ramp({ slowStartMinPercent: 0 }, 0), 0.01);
    isClose(ramp({ slowStartMinPercent: -5 }, 0), 0.01);
    isClose(ramp({ slowStartMinPercent: 900 }, 0), 1);
  });
});
