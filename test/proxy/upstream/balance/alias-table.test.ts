import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import { AliasTable } from "../../../../src/proxy/upstream/balance/alias-table.ts";

test("draws each index in proportion to its weight", () => {
  const weights = [1, 65_535, 3, 3, 20_000, 1_000];
  const table = new AliasTable(Float64Array.from(weights));
  const random = seeded(3);
  const counts = weights.map(() => 0);
  const draws = 400_000;
  for (let at = 0; at < draws; at++) counts[table.draw(random)]!++;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  weights.forEach((weight, index) => {
    const expected = (draws * weight) / total;
    assert.ok(Math.abs(counts[index]! - expected) < 5 * Math.sqrt(expected) + 1, `${counts}`);
  });
});

test("draws the only index, and all of equal ones", () => {
  assert.equal(
    new AliasTable(Float64Array.of(7)).draw(() => 0.999_999),
    0,
  );
  const table = new AliasTable(Float64Array.of(2, 2, 2, 2));
  assert.deepEqual(
    [0, 0.3, 0.6, 0.9].map((at) => table.draw(() => at)),
    [0, 1, 2, 3],
  );
});
