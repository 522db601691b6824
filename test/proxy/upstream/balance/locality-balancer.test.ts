import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LocalityRule } from "../../../../src/core/locality-rule.ts";
import { BALANCER_POLICIES, type BalancerPolicy } from "../../../../src/core/model.ts";
import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import {
  type BalanceOptions,
  createBalancer,
} from "../../../../src/proxy/upstream/balance/balancer.ts";
import { endpoint, NO_HASH, newWorld, tally } from "./fixture.ts";
import { around, simulate } from "./simulation.ts";

const LOCAL: readonly BalancerPolicy[] = ["peak-ewma", "least-request", "round-robin", "random"];
const HERE = { host: "h1", zone: "z1", region: "r1", labels: {} };
const LONG = 10_000_000;

/** Slots 0 to 4 in the zone, 5 to 9 in the region, 10 to 14 elsewhere. */
function spread(over: (slot: number) => Partial<DataEndpoint> = () => ({})): DataEndpoint[] {
  return Array.from({ length: 15 }, (_, slot) => {
    const zone = slot < 5 ? "z1" : "z2";
    const region = slot < 10 ? "r1" : "r2";
    return endpoint(slot, { zone, region, host: `o${slot}`, ...over(slot) });
  });
}

interface Setting {
  readonly policy?: BalancerPolicy;
  readonly endpoints?: readonly DataEndpoint[];
  readonly rule?: Partial<LocalityRule>;
  readonly options?: Partial<BalanceOptions>;
}

function setUp({ policy = "random", endpoints = spread(), rule, options }: Setting = {}) {
  const world = newWorld();
  const balancer = createBalancer({ policy, slowStartMs: 0 }, endpoints, world, {
    here: HERE,
    locality: { enabled: true, ...rule },
    ...options,
  });
  /** Share of the zone, of the region, and of the rest, in percent. */
  const shares = (picks = 10_000) => {
    const counts = tally(balancer, picks, world.random);
    const sum = (from: number) => counts.slice(from, from + 5).reduce((all, one) => all + one, 0);
    return [0, 5, 10].map((from) => Math.round((sum(from) * 100) / picks));
  };
  return { world, balancer, shares };
}

function isClose(actual: readonly number[], expected: readonly number[]): void {
  actual.forEach((share, at) => {
    assert.ok(Math.abs(share - expected[at]!) <= 2, `${actual} is not ${expected}`);
  });
}

for (const policy of LOCAL) {
  describe(`locality under ${policy}`, () => {
    test("keeps to the near side while 72 % of it are healthy, and spills in proportion", () => {
      const { world, shares } = setUp({ policy });
      assert.deepEqual(shares(), [100, 0, 0]);
      world.state.eject(0, LONG, 1);
      world.clock.advance(100);
      assert.deepEqual(shares(), [100, 0, 0]);
      world.state.eject(1, LONG, 1);
      world.clock.advance(100);
      isClose(shares(), [84, 16, 0]);
      for (const slot of [2, 3, 4]) world.state.eject(slot, LONG, 1);
      world.clock.advance(100);
      assert.deepEqual(shares(), [0, 100, 0]);
      for (const slot of [5, 6, 7, 8, 9]) world.state.eject(slot, LONG, 1);
      world.clock.advance(100);
      assert.deepEqual(shares(), [0, 0, 100]);
    });

    test("never sends to an ejected near endpoint while a far one is healthy, not even at once", () => {
      const { world, balancer } = setUp({ policy });
      balancer.pick(NO_HASH);
      for (let slot = 0; slot < 5; slot++) world.state.eject(slot, LONG, 1);
      for (let at = 0; at < 500; at++) {
        assert.equal(balancer.pick(NO_HASH)?.zone, "z2");
      }
    });

    test("goes further where every near endpoint was tried", () => {
      const { balancer } = setUp({ policy });
      const endpoints = spread();
      const after = (tried: number) =>
        balancer.pick({ hash: -1, tried: endpoints.slice(0, tried) })?.slot ?? -1;
      assert.equal(after(4), 4);
      for (let at = 0; at < 50; at++) assert.ok(after(5) >= 5 && after(5) < 10);
      for (let at = 0; at < 50; at++) assert.ok(after(10) >= 10);
      assert.ok(after(15) >= 0, "all were tried: one of them again");
    });

    test("goes further where every near endpoint is full", () => {
      const { world, balancer } = setUp({ policy, options: { concurrency: () => 2 } });
      for (let at = 0; at < 10; at++) {
        const chosen = balancer.pick(NO_HASH)!;
        assert.ok(chosen.slot < 5);
        world.state.begin(chosen.slot);
      }
      for (let at = 0; at < 20; at++) {
        const chosen = balancer.pick(NO_HASH)!;
        assert.ok(chosen.slot >= 5, `${chosen.slot} at ${at}`);
        world.state.begin(chosen.slot);
      }
      assert.notEqual(
        balancer.pick(NO_HASH),
        null,
        "all are full: that is not the balancer's to refuse",
      );
    });

    test("counts critical endpoints of the near side as unhealthy, and follows updates", () => {
      const { balancer, shares } = setUp({
        policy,
        endpoints: spread((slot) => (slot < 3 ? { health: "critical" } : {})),
      });
      isClose(shares(), [56, 44, 0]);
      balancer.update(spread());
      assert.deepEqual(shares(), [100, 0, 0]);
      balancer.update([]);
      assert.equal(balancer.pick(NO_HASH), null);
    });

    test("ignores localities and ejections in panic", () => {
      const { world, shares } = setUp({ policy, options: { minHealthPercent: 50 } });
      for (let slot = 0; slot < 8; slot++) world.state.eject(slot, LONG, 1);
      const counts = shares();
      assert.ok(
        counts.every((share) => share > 20),
        `${counts}`,
      );
      world.state.readmit(7, world.clock.now());
      world.clock.advance(200);
      isClose(shares(), [0, 84, 16]);
    });
  });
}

test("given shares hold, scaled by health, and nobody else gets anything", () => {
  const to = { "r1/z1/*": 80, "r2/*": 20 };
  const { world, shares } = setUp({ rule: { distribute: [{ from: "r1/*", to }] } });
  isClose(shares(), [80, 0, 20]);
  for (let slot = 0; slot < 4; slot++) world.state.eject(slot, LONG, 1);
  world.clock.advance(100);
  // 80 * 1.4 / 5 against 20.
  isClose(shares(), [53, 0, 47]);
  world.state.eject(4, LONG, 1);
  world.clock.advance(100);
  isClose(shares(), [0, 0, 100]);
});

test("hashing policies have no locality", () => {
  for (const policy of BALANCER_POLICIES) {
    if (LOCAL.includes(policy)) continue;
    const { shares } = setUp({ policy });
    assert.ok(
      shares().every((share) => share > 15),
      policy,
    );
  }
});

test("a rule that is not enabled does nothing", () => {
  const { shares } = setUp({ rule: { enabled: false } });
  isClose(shares(), [33, 33, 33]);
});

/** Endpoints that work on so many requests at a time; the others wait for their turn. */
class Servers {
  readonly #free: number[][];

  constructor(count: number, places: number) {
    this.#free = Array.from({ length: count }, () => new Array<number>(places).fill(0));
  }

  answer(slot: number, serviceMs: number, nowMs: number): number {
    const places = this.#free[slot]!;
    const first = places.indexOf(Math.min(...places));
    const startMs = Math.max(nowMs, places[first]!);
    places[first] = startMs + serviceMs;
    return startMs + serviceMs - nowMs;
  }
}

/**
 * Five near endpoints and ten further ones with four places each, where a request takes 10 ms on average, and 2 ms more
 * on the way to the further ones: the near side can serve 2,000 requests a second. Returns its share, in percent, and
 * the mean latency in the second half.
 */
function load(policy: BalancerPolicy, requestsPerSecond: number, places = 4) {
  const { world, balancer } = setUp({ policy });
  const servers = new Servers(15, places);
  let sumMs = 0;
  let count = 0;
  const run = (durationMs: number) =>
    simulate(world, balancer, {
      requestsPerSecond,
      durationMs,
      answer: ({ slot }, nowMs) => {
        const latencyMs =
          servers.answer(slot, around(10, world.random), nowMs) + (slot < 5 ? 0 : 2);
        sumMs += latencyMs;
        count++;
        return { latencyMs };
      },
    });
  run(10_000);
  sumMs = 0;
  count = 0;
  const counts = run(10_000);
  const near = counts.slice(0, 5).reduce((all, one) => all + (one ?? 0), 0);
  return { nearShare: (near * 100) / count, meanMs: sumMs / count };
}

for (const policy of ["peak-ewma", "least-request"] as const) {
  describe(`a busy near side under ${policy}`, () => {
    test("keeps all requests that it can serve without a queue", () => {
      for (const requestsPerSecond of [200, 1_000, 1_400]) {
        const { nearShare } = load(policy, requestsPerSecond);
        assert.ok(nearShare > 99.5, `${nearShare} % at ${requestsPerSecond}`);
      }
    });

    test("has many in flight, but no queue, where the service is slow: nothing goes further", () => {
      const { nearShare } = load(policy, 1_400, 1_000);
      assert.ok(nearShare > 99.5, `${nearShare} %`);
    });

    test("gives away what it cannot serve, and not much more", () => {
      for (const requestsPerSecond of [3_000, 4_000]) {
        const { nearShare, meanMs } = load(policy, requestsPerSecond);
        const most = (2_000 * 100) / requestsPerSecond;
        assert.ok(nearShare < most, `${nearShare} % at ${requestsPerSecond}`);
        assert.ok(nearShare > most * 0.7, `${nearShare} % at ${requestsPerSecond}`);
        assert.ok(meanMs < 60, `${meanMs} ms at ${requestsPerSecond}`);
      }
    });
  });
}

/** So many clients, each of which sends its next request when the last one is answered. Shares as in `load`. */
function closedLoad(policy: BalancerPolicy, clients: number, places: number) {
  const { world, balancer } = setUp({ policy });
  const { state, clock, random } = world;
  const servers = new Servers(15, places);
  let near = 0;
  let count = 0;
  let sumMs = 0;
  const pending: { atMs: number; slot: number; latencyMs: number }[] = [];
  const startMs = clock.now();
  const send = () => {
    const { slot } = balancer.pick(NO_HASH)!;
    const way = slot < 5 ? 0 : 2;
    const latencyMs = servers.answer(slot, around(10, random), clock.now()) + way;
    state.begin(slot);
    const atMs = clock.now() + latencyMs;
    const after = pending.findIndex((other) => other.atMs > atMs);
    pending.splice(after === -1 ? pending.length : after, 0, { atMs, slot, latencyMs });
    if (clock.now() < startMs + 5_000) return;
    count++;
    sumMs += latencyMs;
    if (slot < 5) near++;
  };
  for (let client = 0; client < clients; client++) send();
  while (clock.now() < startMs + 10_000) {
    const { atMs, slot, latencyMs } = pending.shift()!;
    clock.advance(Math.max(0, atMs - clock.now()));
    state.end(slot);
    state.observe(slot, latencyMs, false, clock.now());
    send();
  }
  return { nearShare: (near * 100) / count, meanMs: sumMs / count };
}

test("a near side that was never seen without a queue is compared with the next one", () => {
  // 20 near places for 200 clients: alone they would take 100 ms.
  const { nearShare, meanMs } = closedLoad("peak-ewma", 200, 4);
  assert.ok(nearShare > 20 && nearShare < 75, `${nearShare} %`);
  assert.ok(meanMs < 60, `${meanMs} ms`);
});

test("clients that wait for a slow service, which has places for all, stay near", () => {
  const { nearShare } = closedLoad("peak-ewma", 200, 1_000);
  assert.ok(nearShare > 99, `${nearShare} %`);
});
