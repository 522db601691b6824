import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import type { Balancer } from "../../../../src/proxy/upstream/balance/balancer.ts";
import type { Candidates } from "../../../../src/proxy/upstream/balance/candidates.ts";
import { ConsistentHash } from "../../../../src/proxy/upstream/balance/consistent-hash.ts";
import { hashOf } from "../../../../src/proxy/upstream/balance/hash.ts";
import { Maglev } from "../../../../src/proxy/upstream/balance/maglev.ts";
import { pickRules } from "../../../../src/proxy/upstream/balance/pick-rules.ts";
import { endpoint, equal, newWorld, weighted } from "./fixture.ts";

const KEYS = Array.from({ length: 20_000 }, (_, at) => hashOf(`user-${at}`));

function owners(balancer: Balancer): number[] {
  return KEYS.map((hash) => balancer.pick({ hash, tried: [] })!.slot);
}

function newOwners(policy: "ring-hash" | "maglev", endpoints: readonly DataEndpoint[]): number[] {
  return owners(newWorld({ slots: 2_000 }).balancer(policy, endpoints));
}

/** Of the keys whose endpoint stayed, the share that moved all the same. */
function needlesslyMoved(
  before: readonly number[],
  after: readonly number[],
  gone: number,
): number {
  const stayed = before.filter((slot) => slot !== gone).length;
  return before.filter((slot, at) => slot !== gone && slot !== after[at]).length / stayed;
}

/** Disruption and evenness as the papers say: Karger et al. 1997, Eisenbud et al. (NSDI) 2016. */
for (const { policy, moved, uneven } of [
  { policy: "ring-hash", moved: 0, uneven: 1.4 },
  { policy: "maglev", moved: 0.03, uneven: 1.1 },
] as const) {
  describe(policy, () => {
    test("sends the same key to the same endpoint, in whatever order the endpoints come", () => {
      const shuffled = [...equal(10)].sort((a, b) => ((a.slot * 7) % 10) - ((b.slot * 7) % 10));
      assert.deepEqual(newOwners(policy, shuffled), newOwners(policy, equal(10)));
    });

    test("depends on ids and weights only, not on this host's slots", () => {
      const moved = equal(10).map((one) => ({ ...one, slot: one.slot + 100 }));
      const expected = newOwners(policy, equal(10)).map((slot) => slot + 100);
      assert.deepEqual(newOwners(policy, moved), expected);
    });

    test(`moves at most ${moved * 100} % of the other keys when one of ten endpoints leaves`, () => {
      const before = newOwners(policy, equal(10));
      for (const gone of [0, 4, 9]) {
        const remaining = equal(10).filter(({ slot }) => slot !== gone);
        const after = newOwners(policy, remaining);
        assert.ok(!after.includes(gone));
        assert.ok(needlesslyMoved(before, after, gone) <= moved);
        // The keys of the one that left go to all the others.
        const heirs = new Set(after.filter((_, at) => before[at] === gone));
        assert.equal(heirs.size, 9);
      }
    });

    test("moves about a share of the keys when one joins", () => {
      const before = newOwners(policy, equal(10));
      const after = newOwners(policy, equal(11));
      const changed = before.filter((slot, at) => slot !== after[at]).length / KEYS.length;
      assert.ok(changed > 0.05 && changed < 0.16, `${changed}`);
    });

    test(`spreads keys so that none of ten has more than ${uneven} of a fair share`, () => {
      const counts = new Array<number>(10).fill(0);
      for (const slot of newOwners(policy, equal(10))) counts[slot]!++;
      assert.ok(Math.max(...counts) < (KEYS.length / 10) * uneven, `${counts}`);
    });

    test("moves only the keys of an ejected endpoint, and always to the same others", () => {
      const world = newWorld();
      const balancer = world.balancer(policy, equal(10));
      const before = owners(balancer);
      world.state.eject(3, world.clock.now() + 1_000, 1);
      const during = owners(balancer);
      assert.equal(needlesslyMoved(before, during, 3), 0);
      assert.deepEqual(owners(balancer), during);
      assert.ok(new Set(during.filter((_, at) => before[at] === 3)).size >= 8);
      world.clock.advance(1_000);
      assert.deepEqual(owners(balancer), before);
    });

    test("gives shares by weight, and at least a place to the lightest", () => {
      const counts = [0, 0, 0];
      for (const slot of newOwners(policy, weighted(1, 3, 6))) counts[slot]!++;
      [2_000, 6_000, 12_000].forEach((expected, slot) => {
        assert.ok(Math.abs(counts[slot]! / expected - 1) < 0.2, `${counts}`);
      });
      const world = newWorld();
      const balancer = world.balancer(policy, weighted(65_535, 65_535, 65_535, 1));
      const spread = Array.from({ length: 200_000 }, (_, at) => hashOf(`key-${at}`));
      const picked = new Set(spread.map((hash) => balancer.pick({ hash, tried: [] })!.slot));
      assert.equal(picked.size, 4);
    });

    test("serves a thousand endpoints, each with its share within a half", () => {
      const counts = new Array<number>(1_000).fill(0);
      const balancer = newWorld({ slots: 1_000 }).balancer(policy, equal(1_000));
      for (let key = 0; key < 200_000; key++) {
        counts[balancer.pick({ hash: hashOf(`key-${key}`), tried: [] })!.slot]!++;
      }
      const fair = counts.filter((count) => count > 100 && count < 300).length;
      assert.ok(fair > 990, `${fair} of 1,000 within a half of a fair share`);
    });

    test("takes the extreme hashes", () => {
      const balancer = newWorld().balancer(policy, equal(3));
      for (const hash of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
        assert.notEqual(balancer.pick({ hash, tried: [] }), null);
      }
    });
  });
}

test("a table is built at a pick, and only after a change of endpoints or weights", () => {
  const world = newWorld();
  let built = 0;
  const build = (candidates: Candidates) => {
    built++;
    return new Maglev(candidates);
  };
  const balancer = new ConsistentHash(
    build,
    equal(10),
    pickRules({ policy: "maglev", slowStartMs: 0 }),
    world,
  );
  const before = owners(balancer);
  assert.equal(built, 1);
  balancer.update(equal(10).map((one) => endpoint(one.slot, { meta: { version: "2" } })));
  assert.deepEqual(owners(balancer), before);
  assert.equal(balancer.pick({ hash: 1, tried: [] })?.meta["version"], "2");
  assert.equal(built, 1);
  for (const size of [9, 8, 7]) balancer.update(equal(size));
  assert.equal(built, 1);
  owners(balancer);
  assert.equal(built, 2);
  balancer.update(equal(7).map((one) => endpoint(one.slot, { weight: 1 + (one.slot % 2) })));
  owners(balancer);
  assert.equal(built, 3);
});
