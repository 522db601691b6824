import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DataEndpoint } from "../../../../src/core/snapshot.ts";
import { equal, NO_HASH, newWorld, weighted } from "./fixture.ts";

function sequence(endpoints: readonly DataEndpoint[], picks: number, seed = 1): number[] {
  const balancer = newWorld({ seed, slots: 64 }).balancer("round-robin", endpoints);
  return Array.from({ length: picks }, () => balancer.pick(NO_HASH)!.slot);
}

function longestRun(slots: readonly number[]): number {
  let longest = 0;
  let run = 0;
  slots.forEach((slot, at) => {
    run = slot === slots[at - 1] ? run + 1 : 1;
    longest = Math.max(longest, run);
  });
  return longest;
}

describe("round robin", () => {
  test("visits equal endpoints strictly in turn", () => {
    const slots = sequence(equal(5), 500);
    slots.forEach((slot, at) => {
      if (at > 0) assert.equal(slot, (slots[at - 1]! + 1) % 5);
    });
  });

  test("starts at different endpoints, so that workers do not march in step", () => {
    for (const endpoints of [equal(5), weighted(2, 2, 2, 2, 3)]) {
      const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
      const starts = new Set(seeds.map((seed) => sequence(endpoints, 1, seed)[0]));
      assert.ok(starts.size > 2, `${[...starts]}`);
    }
  });

  test("gives exact shares by weight in every round", () => {
    const weights = [5, 1, 1, 3];
    const slots = sequence(weighted(...weights), 100);
    for (let round = 0; round < 10; round++) {
      const window = slots.slice(round * 10, round * 10 + 10);
      weights.forEach((weight, slot) => {
        const count = window.filter((one) => one === slot).length;
        assert.ok(Math.abs(count - weight) <= 1, `round ${round}: ${window}`);
      });
    }
  });

  test("spreads a heavy endpoint's turns instead of sending a run", () => {
    for (let seed = 1; seed <= 10; seed++) {
      // nginx's smooth form of 5:1:1 is a a b a c a a, four in a row across rounds.
      assert.ok(longestRun(sequence(weighted(5, 1, 1), 700, seed)) <= 3);
      assert.ok(longestRun(sequence(weighted(3, 3, 3, 9), 700, seed)) <= 2);
    }
  });

  test("spaces each endpoint's turns evenly", () => {
    const weights = [8, 4, 2, 2];
    const slots = sequence(weighted(...weights), 1_600, 4);
    weights.forEach((weight, slot) => {
      const turns = slots.flatMap((one, at) => (one === slot ? [at] : []));
      const gaps = turns.slice(1).map((turn, at) => turn - turns[at]!);
      const even = 16 / weight;
      assert.ok(Math.max(...gaps) <= even * 2 && Math.min(...gaps) >= even / 2, `${slot}: ${gaps}`);
    });
  });

  test("splits the turns of an ejected endpoint among all the others", () => {
    const world = newWorld();
    const balancer = world.balancer("round-robin", equal(4));
    world.state.eject(1, world.clock.now() + 60_000, 1);
    const slots = Array.from({ length: 300 }, () => balancer.pick(NO_HASH)!.slot);
    for (const slot of [0, 2, 3]) assert.equal(slots.filter((one) => one === slot).length, 100);
  });

  test("keeps its shares over a great many turns and extreme weights", () => {
    const slots = sequence(weighted(65_535, 1, 65_535), 262_142);
    assert.equal(slots.filter((one) => one === 1).length, 2);
  });
});
