import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BalancerPolicy } from "../../../../src/core/model.ts";
import { endpoint, equal, NO_HASH, newWorld, tally, type World } from "./fixture.ts";

const RAMPED: readonly BalancerPolicy[] = ["round-robin", "random", "least-request", "peak-ewma"];

/** Adds an endpoint at the given time; all have answered equally fast, so that peak-EWMA has no favourite. */
function join(world: World, slot: number, atMs: number): void {
  world.state.reset(slot, atMs);
  for (let other = 0; other < 16; other++) world.state.observe(other, 5, false, world.clock.now());
}

/** Share of the last of `size` endpoints, with 1 for a fair one. */
function shareOfLast(world: World, policy: BalancerPolicy, size: number): number {
  const balancer = world.balancer(policy, equal(size), 10_000);
  return (tally(balancer, 20_000, world.random)[size - 1]! * size) / 20_000;
}

for (const policy of RAMPED) {
  describe(`slow start under ${policy}`, () => {
    test("raises a new endpoint's weight from a tenth to all of it in a straight line", () => {
      const world = newWorld();
      join(world, 4, world.clock.now());
      for (const [elapsedMs, ramp] of [
        [0, 0.1],
        [5_000, 0.5],
        [5_001, 1],
      ] as const) {
        world.clock.advance(elapsedMs);
        const expected = (5 * ramp) / (4 + ramp);
        const share = shareOfLast(world, policy, 5);
        assert.ok(Math.abs(share - expected) < 0.1, `after ${elapsedMs}: ${share}, ${expected}`);
      }
    });

    test("leaves the shares alone where all endpoints are new", () => {
      const world = newWorld();
      for (let slot = 0; slot < 3; slot++) join(world, slot, world.clock.now() - slot * 300);
      const share = shareOfLast(world, policy, 3);
      assert.ok(Math.abs(share - 1) < 0.1, `${share}`);
    });

    test("picks at once from one new endpoint alone, and from several of different age", () => {
      const world = newWorld();
      join(world, 0, world.clock.now());
      join(world, 1, world.clock.now() - 8_000);
      assert.equal(world.balancer(policy, [endpoint(0)], 10_000).pick(NO_HASH)?.slot, 0);
      const balancer = world.balancer(policy, equal(2), 10_000);
      const counts = tally(balancer, 2_000, world.random, 2);
      assert.equal(counts[0]! + counts[1]!, 2_000);
      assert.ok(counts[0]! > 0 && counts[0]! < counts[1]! / 2, `${counts}`);
    });

    test("starts again when an ejection ends, without an update", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, equal(2), 10_000);
      const share = () => tally(balancer, 4_000, world.random, 2)[1]! / 2_000;
      world.state.eject(1, world.clock.now() + 30_000, 1);
      assert.equal(share(), 0);
      world.clock.advance(30_000);
      const returned = share();
      assert.ok(returned > 0.02 && returned < 0.4, `${returned}`);
      world.clock.advance(10_000);
      assert.ok(Math.abs(share() - 1) < 0.1);
    });

    test("is off at zero", () => {
      const world = newWorld();
      join(world, 1, world.clock.now());
      const counts = tally(world.balancer(policy, equal(2), 0), 4_000, world.random, 2);
      assert.ok(Math.abs(counts[1]! - 2_000) < 200, `${counts}`);
    });
  });
}

test("a pick costs the same with 10,000 endpoints of which half are ejected", () => {
  const world = newWorld({ slots: 10_000 });
  let reads = 0;
  const isEjected = world.state.isEjected.bind(world.state);
  const ejectedUntil = world.state.ejectedUntil.bind(world.state);
  world.state.isEjected = (slot, nowMs) => {
    reads++;
    return isEjected(slot, nowMs);
  };
  world.state.ejectedUntil = (slot) => {
    reads++;
    return ejectedUntil(slot);
  };
  for (let slot = 0; slot < 10_000; slot += 2) world.state.eject(slot, 2_000_000, 1);
  for (const policy of [...RAMPED, "ring-hash", "maglev"] as const) {
    const balancer = world.balancer(policy, equal(10_000));
    balancer.pick(NO_HASH);
    reads = 0;
    for (let at = 0; at < 1_000; at++) balancer.pick({ hash: at * 4_000_000, tried: [] });
    assert.ok(reads < 20_000, `${policy} looked at ${reads / 1_000} endpoints per pick`);
  }
});

test("a service of which all is ejected is searched once and not at every pick", () => {
  const world = newWorld({ slots: 10_000 });
  for (let slot = 0; slot < 10_000; slot++) world.state.eject(slot, 2_000_000, 1);
  const balancer = world.balancer("peak-ewma", equal(10_000));
  balancer.pick(NO_HASH);
  let reads = 0;
  const ejectedUntil = world.state.ejectedUntil.bind(world.state);
  world.state.ejectedUntil = (slot) => {
    reads++;
    return ejectedUntil(slot);
  };
  for (let at = 0; at < 1_000; at++) balancer.pick(NO_HASH);
  assert.equal(reads, 0);
});
