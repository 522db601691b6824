import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import { InfixTree } from "../../../../src/proxy/routing/text/infix-tree.ts";

test("finds what occurs, each once, as a search for each by itself does", () => {
  const random = seeded(3);
  const text = (most: number) =>
    Array.from({ length: 1 + random() * most }, () => "ab/"[Math.floor(random() * 3)]).join("");
  for (let round = 0; round < 2_000; round++) {
    const tree = new InfixTree<string>();
    const texts = new Set<string>();
    for (let step = 0; step < 3; step++) {
      for (let count = 0; count < 4; count++) {
        const one = text(5);
        texts.add(one);
        tree.at(one, () => one);
      }
      const searched = text(15);
      const found: string[] = [];
      tree.collect(searched, found);
      const expected = [...texts].filter((one) => searched.includes(one));
      assert.deepEqual(found.toSorted(), expected.toSorted(), `${[...texts]} in ${searched}`);
    }
  }
});
