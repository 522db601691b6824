import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seeded } from "../../../../src/core/random.ts";
import { WeightedChoice } from "../../../../src/proxy/routing/match/weighted-choice.ts";
import { request, routeSet, rule, table } from "./fixtures.ts";

function picks(weights: readonly number[], count: number, random: Random): number[] {
  const choice = new WeightedChoice(weights, random);
  return Array.from({ length: count }, () => choice.pick());
}

function countOf(list: readonly number[], place: number): number {
  return list.filter((one) => one === place).length;
}

const WEIGHTS: readonly (readonly number[])[] = [
  [95, 5],
  [1, 1],
  [50, 50, 0],
  [5, 1, 1],
  [1, 2, 3, 4, 5],
  [100, ...Array<number>(40).fill(1)],
  [999, 1],
  [33, 33, 34],
  [0.5, 99.5],
];

test("every window of a cycle has each place exactly as often as its weight says", () => {
  for (const weights of WEIGHTS) {
    const scale = weights.some((weight) => weight % 1 !== 0) ? 2 : 1;
    const cycle = weights.reduce((sum, weight) => sum + weight * scale, 0);
    for (let seed = 0; seed < 5; seed++) {
      const list = picks(weights, cycle * 2, seeded(seed));
      for (const start of [0, 1, Math.floor(cycle / 3), cycle]) {
        const window = list.slice(start, start + cycle);
        const counts = weights.map((_, place) => countOf(window, place));
        assert.deepEqual(
          counts,
          weights.map((weight) => weight * scale),
        );
      }
    }
  }
});

test("a share is spread evenly, and not given out in runs", () => {
  for (let seed = 0; seed < 20; seed++) {
    const list = picks([95, 5], 2_000, seeded(seed));
    const at = list.flatMap((place, index) => (place === 1 ? [index] : []));
    const gaps = at.slice(1).map((index, before) => index - at[before]!);
    assert.ok(
      gaps.every((gap) => gap >= 19 && gap <= 21),
      gaps.join(" "),
    );
  }
  const equal = picks([1, 1, 1], 300, seeded(3));
  for (let at = 0; at < 300; at += 3) assert.equal(new Set(equal.slice(at, at + 3)).size, 3);
});

test("at any time each place has had its share, but for a little", () => {
  for (const weights of WEIGHTS) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const most = weights.length > 10 ? 3 : 2;
    for (let seed = 0; seed < 10; seed++) {
      const had = weights.map(() => 0);
      const choice = new WeightedChoice(weights, seeded(seed));
      for (let done = 1; done <= 1_000; done++) {
        had[choice.pick()]! += 1;
        for (const [place, weight] of weights.entries()) {
          const off = Math.abs(had[place]! - (done * weight) / total);
          assert.ok(off < most, `${weights.join(":")} is off by ${off} after ${done}`);
        }
      }
    }
  }
});

test("large weights are right from the first thousand choices on", () => {
  const list = picks([1_000_000, 250_000, 1], 5_000, seeded(1));
  assert.ok(Math.abs(countOf(list, 1) - 1_000) <= 2);
  assert.ok(countOf(list, 2) <= 1);
  const prime = picks([999_983, 999_979], 10_000, seeded(2));
  assert.ok(Math.abs(countOf(prime, 0) - 5_000) <= 2);
});

test("instances that are made again and again begin with each place as often as its weight says", () => {
  const random = seeded(5);
  const first = Array.from({ length: 20_000 }, () => picks([90, 9, 1], 1, random)[0]!);
  assert.ok(Math.abs(countOf(first, 0) - 18_000) < 200);
  assert.ok(Math.abs(countOf(first, 1) - 1_800) < 200);
  assert.ok(Math.abs(countOf(first, 2) - 200) < 60);
});

test("two workers do not move in step", () => {
  const random = seeded(9);
  const [one, two] = [picks([95, 5], 100, random), picks([95, 5], 100, random)];
  assert.notDeepEqual(one, two);
});

test("a weight of 0 gets nothing, unless it is the only one", () => {
  assert.deepEqual(new Set(picks([0, 1, 0], 10, seeded(1))), new Set([1]));
  assert.deepEqual(picks([0], 2, seeded(1)), [0, 0]);
  assert.deepEqual(picks([0, 0], 2, seeded(1)), [-1, -1]);
  assert.deepEqual(picks([], 2, seeded(1)), [-1, -1]);
  assert.deepEqual(new Set(picks([Number.NaN, -1, 1], 5, seeded(1))), new Set([2]));
});

test("any random number is good for a begin", () => {
  for (const value of [0, 0.5, 1 - 2 ** -32, 1 - 2 ** -53]) {
    const list = picks([3, 2, 1], 6, () => value);
    assert.deepEqual(
      [0, 1, 2].map((place) => countOf(list, place)),
      [3, 2, 1],
    );
  }
});

test("all matches and callers of a rule share its turns", () => {
  const action = {
    kind: "forward",
    backends: [
      { service: "shop/a", weight: 1 },
      { service: "shop/b", weight: 1 },
    ],
  } as const;
  const exact = (value: string) => ({ path: { kind: "exact", value } as const });
  const set = routeSet(
    table([{ ...rule("r", exact("/a"), exact("/b")), action }], { clients: ["web", "shop"] }),
  );
  const pick = (path: string, namespace: string) => {
    const found = set.find(request(path, [], { source: { namespace, labels: {} } }));
    assert.ok(found !== null && found !== "refuse");
    return found.rule.pickBackend();
  };
  const first = [pick("/a", "web"), pick("/b", "shop")];
  assert.deepEqual(first.toSorted(), [0, 1]);
  assert.deepEqual([pick("/b", "web"), pick("/a", "shop")], first);
});

test("a rule that forwards nothing, or to the called service, has no backend", () => {
  const respond = { kind: "respond", status: 418, body: "" } as const;
  for (const given of [rule("none"), { ...rule("answer"), action: respond }]) {
    const found = routeSet(table([given])).find(request("/"));
    assert.equal(found !== null && found !== "refuse" && found.rule.pickBackend(), -1);
  }
});
