import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { endpoint, equal, NO_HASH, newWorld, weighted } from "./fixture.ts";
import { around, type Load, simulate } from "./simulation.ts";

/** Share of slot 0, with 1 for a fair one. */
function shareOfFirst(counts: number[], size: number): number {
  const total = counts.reduce((sum, count) => sum + (count ?? 0), 0);
  return ((counts[0] ?? 0) * size) / total;
}

function slowFirst(world: { random: () => number }, requestsPerSecond: number): Load {
  return {
    requestsPerSecond,
    durationMs: 20_000_000 / requestsPerSecond,
    answer: ({ slot }) => ({ latencyMs: around(slot === 0 ? 50 : 5, world.random) }),
  };
}

describe("peak-EWMA (Finagle, linkerd)", () => {
  for (const [size, requestsPerSecond] of [
    [2, 200],
    [3, 20],
    [3, 200],
    [3, 2_000],
    [10, 200],
  ] as const) {
    test(`gives one of ${size} endpoints that is 10 times slower less than a quarter of a fair share at ${requestsPerSecond}/s`, () => {
      for (let seed = 1; seed <= 3; seed++) {
        const world = newWorld({ seed });
        const balancer = world.balancer("peak-ewma", equal(size));
        const share = shareOfFirst(
          simulate(world, balancer, slowFirst(world, requestsPerSecond)),
          size,
        );
        assert.ok(share < 0.25, `${share} of a fair share`);
        assert.ok(share > 0, "it is still tried now and then");
      }
    });
  }

  test("shares evenly between endpoints that are equally fast", () => {
    const world = newWorld();
    const counts = simulate(world, world.balancer("peak-ewma", equal(4)), {
      requestsPerSecond: 400,
      durationMs: 100_000,
      answer: () => ({ latencyMs: around(5, world.random) }),
    });
    for (const count of counts) assert.ok(Math.abs(count - 10_000) < 1_500, `${counts}`);
  });

  test("shares by weight between endpoints that are equally fast, once there is load", () => {
    const world = newWorld();
    const counts = simulate(world, world.balancer("peak-ewma", weighted(1, 3)), {
      requestsPerSecond: 2_000,
      durationMs: 10_000,
      answer: () => ({ latencyMs: around(5, world.random) }),
    });
    const share = shareOfFirst(counts, 1);
    assert.ok(share > 0.2 && share < 0.32, `${share}`);
  });

  test("sends an endpoint that fails fast next to nothing", () => {
    const world = newWorld();
    const counts = simulate(world, world.balancer("peak-ewma", equal(3)), {
      requestsPerSecond: 200,
      durationMs: 60_000,
      answer: ({ slot }) =>
        slot === 0 ? { latencyMs: 1, failed: true } : { latencyMs: around(5, world.random) },
    });
    assert.ok(shareOfFirst(counts, 3) < 0.01, `${counts}`);
  });

  test("does not feed a slow endpoint because its other neighbour fails", () => {
    const world = newWorld();
    const counts = simulate(world, world.balancer("peak-ewma", equal(3)), {
      requestsPerSecond: 50,
      durationMs: 120_000,
      answer: ({ slot }) => ({
        latencyMs: around(slot === 0 ? 80 : 8, world.random),
        failed: slot === 1 && world.random() < 0.2,
      }),
    });
    assert.ok(shareOfFirst(counts, 3) < 0.25, `${counts}`);
  });

  test("comes back to an endpoint after its slowness has ended", () => {
    const world = newWorld();
    const balancer = world.balancer("peak-ewma", equal(3));
    const run = (slowMs: number, durationMs: number) =>
      simulate(world, balancer, {
        requestsPerSecond: 200,
        durationMs,
        answer: ({ slot }) => ({ latencyMs: around(slot === 0 ? slowMs : 5, world.random) }),
      });
    assert.ok(shareOfFirst(run(500, 30_000), 3) < 0.1);
    run(5, 60_000);
    const share = shareOfFirst(run(5, 60_000), 3);
    assert.ok(share > 0.7 && share < 1.3, `${share} of a fair share`);
  });

  test("weighs latency against queue", () => {
    const world = newWorld();
    const balancer = world.balancer("peak-ewma", equal(2));
    world.state.observe(0, 10, false, world.clock.now());
    world.state.observe(1, 35, false, world.clock.now());
    const chosen = [];
    for (let at = 0; at < 5; at++) {
      const slot = balancer.pick(NO_HASH)!.slot;
      world.state.begin(slot);
      chosen.push(slot);
    }
    // Costs of slot 0: 10, 20, 30, 40; of slot 1: 35, 70.
    assert.deepEqual(chosen, [0, 0, 0, 1, 0]);
  });

  test("sends an endpoint that was never measured one request and not a flood", () => {
    const world = newWorld();
    const balancer = world.balancer("peak-ewma", equal(3));
    for (const slot of [0, 1]) world.state.observe(slot, 100, false, world.clock.now());
    for (let at = 0; at < 200; at++) world.state.begin(balancer.pick(NO_HASH)!.slot);
    assert.equal(world.state.inFlight(2), 1);
  });

  test("tries a new endpoint among fast ones within seconds", () => {
    const world = newWorld();
    const balancer = world.balancer("peak-ewma", equal(3));
    for (const slot of [0, 1]) world.state.observe(slot, 1, false, world.clock.now());
    world.state.reset(2, world.clock.now());
    const joinedMs = world.clock.now();
    while (balancer.pick(NO_HASH)?.slot !== 2) {
      world.clock.advance(10);
      for (const slot of [0, 1]) world.state.observe(slot, 1, false, world.clock.now());
    }
    assert.ok(world.clock.now() - joinedMs < 4_000, `${world.clock.now() - joinedMs} ms`);
  });

  test("does not flood a slow endpoint in a burst after a pause", () => {
    const world = newWorld();
    const balancer = world.balancer("peak-ewma", equal(2));
    world.state.observe(0, 5, false, world.clock.now());
    world.state.observe(1, 500, false, world.clock.now());
    world.clock.advance(120_000);
    // The fast one has answered again, so that only the slow one's estimate is old.
    world.state.observe(0, 5, false, world.clock.now());
    for (let at = 0; at < 50; at++) world.state.begin(balancer.pick(NO_HASH)!.slot);
    assert.equal(world.state.inFlight(1), 1);
  });

  test("lets a new endpoint's share grow over its slow start", () => {
    const world = newWorld();
    const endpoints = equal(4);
    for (const { slot } of endpoints) world.state.observe(slot, 5, false, world.clock.now());
    world.state.reset(0, world.clock.now());
    const balancer = world.balancer("peak-ewma", endpoints, 40_000);
    const shares = [0, 1, 2, 3, 4].map(() =>
      shareOfFirst(
        simulate(world, balancer, {
          requestsPerSecond: 400,
          durationMs: 10_000,
          answer: () => ({ latencyMs: around(5, world.random) }),
        }),
        4,
      ),
    );
    assert.ok(shares[0]! < 0.5 && shares[1]! < 0.9, `${shares}`);
    assert.ok(shares[0]! < shares[2]!, `${shares}`);
    assert.ok(shares[4]! > 0.75 && shares[4]! < 1.25, `${shares}`);
  });

  test("is not held back by one endless request at an endpoint that once failed", () => {
    const world = newWorld();
    const balancer = world.balancer("peak-ewma", [endpoint(0), endpoint(1)]);
    world.state.begin(0);
    world.state.observe(0, 1, true, world.clock.now());
    world.state.observe(1, 5, false, world.clock.now());
    world.clock.advance(120_000);
    world.state.observe(1, 5, false, world.clock.now());
    assert.equal(balancer.pick(NO_HASH)?.slot, 0);
  });
});
