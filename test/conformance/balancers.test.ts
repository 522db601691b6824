import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BALANCER_POLICIES } from "../../src/core/model.ts";
import { seeded } from "../../src/core/random.ts";
import type { DataEndpoint } from "../../src/core/snapshot.ts";
import {
  endpoint,
  equal,
  NO_HASH,
  newWorld,
  tally,
  weighted,
} from "../proxy/upstream/balance/fixture.ts";

/** What every policy must do, whatever else it does. */
for (const policy of BALANCER_POLICIES) {
  describe(`the ${policy} balancer`, () => {
    test("picks nothing where there is no endpoint", () => {
      const balancer = newWorld().balancer(policy, []);
      assert.equal(balancer.pick(NO_HASH), null);
    });

    test("picks nothing where all endpoints are critical or have no weight", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, [
        endpoint(0, { health: "critical" }),
        endpoint(1, { weight: 0 }),
      ]);
      assert.deepEqual(tally(balancer, 50, world.random, 2), [0, 0]);
    });

    test("picks the only endpoint, and one of warning health too", () => {
      const only = endpoint(3, { health: "warning" });
      assert.equal(newWorld().balancer(policy, [only]).pick(NO_HASH), only);
    });

    test("never picks an endpoint that is critical or has no weight", () => {
      const world = newWorld();
      const endpoints = [
        ...weighted(1, 0, 2),
        endpoint(3, { health: "critical" }),
        endpoint(4, { weight: 3 }),
      ];
      const counts = tally(world.balancer(policy, endpoints), 2_000, world.random, 5);
      assert.deepEqual([counts[1], counts[3]], [0, 0]);
      assert.ok(Math.min(counts[0]!, counts[2]!, counts[4]!) > 0);
    });

    test("gives equal endpoints equal shares", () => {
      const world = newWorld();
      const counts = tally(world.balancer(policy, equal(8)), 16_000, world.random, 8);
      for (const count of counts) assert.ok(Math.abs(count - 2_000) < 400, `${counts}`);
    });

    test("gives shares in proportion to weights when loads are alike", () => {
      const world = newWorld();
      const weights = [1, 2, 3, 10];
      const balancer = world.balancer(policy, weighted(...weights));
      const counts = tally(balancer, 32_000, world.random, 4);
      weights.forEach((weight, slot) => {
        const ratio = counts[slot]! / (weight * 2_000);
        assert.ok(ratio > 0.8 && ratio < 1.2, `${counts}`);
      });
    });

    test("avoids the endpoints that were tried", () => {
      const world = newWorld();
      const endpoints = equal(4);
      const balancer = world.balancer(policy, endpoints);
      const tried = [endpoints[1]!, endpoints[2]!];
      for (let at = 0; at < 500; at++) {
        const hash = Math.floor(world.random() * 0x1_0000_0000);
        const chosen = balancer.pick({ hash, tried });
        assert.ok(chosen !== null && !tried.includes(chosen), `${chosen?.slot}`);
      }
    });

    test("knows a tried endpoint again after an update brought new objects", () => {
      const world = newWorld();
      const tried = [equal(2)[0]!];
      const balancer = world.balancer(policy, equal(2));
      for (let hash = 0; hash < 100; hash++) {
        assert.equal(balancer.pick({ hash: hash * 40_000_000, tried })?.slot, 1);
      }
    });

    test("falls back to tried endpoints when no other is left", () => {
      const world = newWorld();
      const endpoints = equal(3);
      const balancer = world.balancer(policy, endpoints);
      assert.notEqual(balancer.pick({ hash: 7, tried: endpoints }), null);
      assert.notEqual(balancer.pick({ hash: -1, tried: endpoints }), null);
    });

    test("prefers a tried endpoint to an ejected one", () => {
      const world = newWorld();
      const endpoints = equal(2);
      const balancer = world.balancer(policy, endpoints);
      world.state.eject(1, world.clock.now() + 1_000, 1);
      for (let hash = -1; hash < 50; hash++) {
        assert.equal(balancer.pick({ hash, tried: [endpoints[0]!] })?.slot, 0);
      }
    });

    test("skips ejected endpoints until their time is over", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, equal(4));
      world.state.eject(2, world.clock.now() + 1_000, 1);
      const during = tally(balancer, 1_000, world.random, 4);
      assert.equal(during[2], 0);
      assert.ok(Math.min(during[0]!, during[1]!, during[3]!) > 150, `${during}`);
      world.clock.advance(1_001);
      assert.ok(tally(balancer, 1_000, world.random, 4)[2]! > 100);
    });

    test("picks among all when all are ejected, and only until the first comes back", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, equal(3));
      for (let slot = 0; slot < 3; slot++) {
        world.state.eject(slot, world.clock.now() + (slot + 1) * 1_000, 1);
      }
      const panic = tally(balancer, 600, world.random, 3);
      assert.ok(Math.min(...panic) > 100, `${panic}`);
      world.clock.advance(1_001);
      assert.deepEqual(tally(balancer, 100, world.random, 3), [100, 0, 0]);
    });

    test("picks from the endpoints of the last update", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, equal(3));
      tally(balancer, 10, world.random);
      balancer.update([endpoint(7), endpoint(8)]);
      const counts = tally(balancer, 400, world.random, 9);
      assert.equal(counts[7]! + counts[8]!, 400);
      assert.ok(Math.min(counts[7]!, counts[8]!) > 50, `${counts}`);
      balancer.update([]);
      assert.equal(balancer.pick(NO_HASH), null);
      balancer.update(equal(1));
      assert.equal(balancer.pick(NO_HASH)?.slot, 0);
    });

    test("passes a change of weight or health on though the set stays the same", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, equal(2));
      tally(balancer, 10, world.random);
      balancer.update([endpoint(0, { weight: 0 }), endpoint(1)]);
      assert.deepEqual(tally(balancer, 100, world.random, 2), [0, 100]);
      balancer.update([endpoint(0), endpoint(1, { health: "critical" })]);
      assert.deepEqual(tally(balancer, 100, world.random, 2), [100, 0]);
    });

    test("returns the objects of the last update", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, equal(1));
      balancer.pick(NO_HASH);
      const renewed = endpoint(0, { meta: { version: "2" } });
      balancer.update([renewed]);
      assert.equal(balancer.pick(NO_HASH), renewed);
    });

    test("always finds a candidate in random sequences of updates, ejections and retries", () => {
      for (let seed = 1; seed <= 8; seed++) hold(policy, seed);
    });
  });
}

function hold(policy: (typeof BALANCER_POLICIES)[number], seed: number): void {
  const random = seeded(seed * 7_919);
  const upTo = (limit: number) => Math.floor(random() * limit);
  const world = newWorld({ slots: 40, seed });
  let endpoints: DataEndpoint[] = [];
  const balancer = world.balancer(policy, endpoints, 2_000);
  for (let step = 0; step < 100; step++) {
    if (step % 5 === 0) {
      endpoints = randomEndpoints(upTo);
      balancer.update(endpoints);
    }
    world.clock.advance(upTo(700));
    const slot = upTo(40);
    if (random() < 0.3) world.state.eject(slot, world.clock.now() + upTo(3_000), 1);
    if (random() < 0.2) world.state.reset(slot, world.clock.now());
    world.state.observe(slot, upTo(200), random() < 0.2, world.clock.now());
    const request = {
      hash: random() < 0.3 ? -1 : upTo(0x1_0000_0000),
      tried: endpoints.filter(() => random() < 0.2),
    };
    const isEjected = (one: DataEndpoint) => world.state.isEjected(one.slot, world.clock.now());
    expectBest(balancer.pick(request), endpoints, request.tried, isEjected);
  }
}

/** The pick must be of the best class there is: in and untried, in, untried, any candidate. */
function expectBest(
  chosen: DataEndpoint | null,
  endpoints: readonly DataEndpoint[],
  tried: readonly DataEndpoint[],
  isEjected: (one: DataEndpoint) => boolean,
): void {
  const candidates = endpoints.filter(({ weight, health }) => weight > 0 && health !== "critical");
  if (chosen === null) {
    assert.equal(candidates.length, 0);
    return;
  }
  assert.ok(candidates.includes(chosen));
  const isPanic = candidates.every(isEjected);
  if (!isPanic) assert.ok(!isEjected(chosen), "an ejected endpoint was picked");
  const others = candidates.filter((one) => isPanic || !isEjected(one));
  if (others.some((one) => !tried.includes(one))) assert.ok(!tried.includes(chosen), "was tried");
}

function randomEndpoints(upTo: (limit: number) => number): DataEndpoint[] {
  const endpoints: DataEndpoint[] = [];
  for (let slot = 0; slot < 40; slot++) {
    if (upTo(4) !== 0) continue;
    const weight = [0, 1, 1, 1, 3, 65_535][upTo(6)]!;
    endpoints.push(endpoint(slot, { weight, health: upTo(6) === 0 ? "critical" : "passing" }));
  }
  return endpoints;
}
