import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { equal, NO_HASH, newWorld, weighted } from "./fixture.ts";
import { around, simulate } from "./simulation.ts";

/** Throws `size` balls into as many bins and returns the fullest bin. */
function fullestBin(policy: "least-request" | "random", size: number, seed: number): number {
  const world = newWorld({ slots: size, seed });
  const balancer = world.balancer(policy, equal(size));
  for (let ball = 0; ball < size; ball++) world.state.begin(balancer.pick(NO_HASH)!.slot);
  let fullest = 0;
  for (let slot = 0; slot < size; slot++) {
    fullest = Math.max(fullest, world.state.inFlight(slot));
  }
  return fullest;
}

describe("the power of two choices", () => {
  test("keeps the longest queue near log log n where one choice lets it grow (Mitzenmacher 2001)", () => {
    const size = 20_000;
    // ln ln n / ln 2 + O(1) is 3.3 + O(1); ln n / ln ln n is 4.3 times 1 + o(1).
    for (let seed = 1; seed <= 3; seed++) {
      assert.ok(fullestBin("least-request", size, seed) <= 5);
      assert.ok(fullestBin("random", size, seed) >= 6);
    }
  });

  test("never takes the worse of two endpoints, whichever is drawn first", () => {
    const world = newWorld();
    const balancer = world.balancer("least-request", equal(2));
    world.state.begin(0);
    for (let at = 0; at < 200; at++) assert.equal(balancer.pick(NO_HASH)?.slot, 1);
  });

  test("takes the worst of many only if it is drawn twice, which distinct draws exclude", () => {
    const world = newWorld();
    const balancer = world.balancer("least-request", equal(5));
    world.state.begin(3);
    for (let at = 0; at < 500; at++) assert.notEqual(balancer.pick(NO_HASH)?.slot, 3);
  });

  test("draws distinct endpoints also while all of a service are in slow start together", () => {
    const world = newWorld();
    for (let slot = 0; slot < 5; slot++) world.state.reset(slot, world.clock.now() - 9_000 - slot);
    const balancer = world.balancer("least-request", equal(5), 10_000);
    world.state.begin(3);
    for (let at = 0; at < 500; at++) assert.notEqual(balancer.pick(NO_HASH)?.slot, 3);
  });

  test("gives up the only heavy endpoint for a clearly idler one", () => {
    const world = newWorld();
    const balancer = world.balancer("least-request", weighted(1, 9));
    for (let at = 0; at < 100; at++) world.state.begin(1);
    for (let at = 0; at < 100; at++) assert.equal(balancer.pick(NO_HASH)?.slot, 0);
  });
});

describe("least-request", () => {
  test("keeps queues in proportion to weights under load", () => {
    const world = newWorld();
    const balancer = world.balancer("least-request", weighted(1, 2, 5));
    for (let at = 0; at < 800; at++) world.state.begin(balancer.pick(NO_HASH)!.slot);
    [100, 200, 500].forEach((expected, slot) => {
      const queue = world.state.inFlight(slot);
      assert.ok(Math.abs(queue - expected) < 0.15 * expected, `${slot}: ${queue}`);
    });
  });

  test("sends a slow endpoint less as its queue grows", () => {
    const world = newWorld();
    const counts = simulate(world, world.balancer("least-request", equal(3)), {
      requestsPerSecond: 2_000,
      durationMs: 10_000,
      answer: ({ slot }) => ({ latencyMs: around(slot === 0 ? 50 : 5, world.random) }),
    });
    const total = counts.reduce((sum, count) => sum + count, 0);
    assert.ok(counts[0]! < (total / 3) * 0.3, `${counts}`);
  });
});
