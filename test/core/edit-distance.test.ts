import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { editDistance } from "../../src/core/edit-distance.ts";

describe("edit distance", () => {
  const cases: readonly (readonly [from: string, to: string, edits: number])[] = [
    ["", "", 0],
    ["", "port", 4],
    ["port", "port", 0],
    ["prot", "port", 2],
    ["ports", "port", 1],
    ["pert", "port", 1],
    ["kitten", "sitting", 3],
    ["flaw", "lawn", 2],
    ["Port", "port", 1],
  ];

  for (const [from, to, edits] of cases) {
    it(`from "${from}" to "${to}" is ${edits}, both ways`, () => {
      assert.equal(editDistance(from, to), edits);
      assert.equal(editDistance(to, from), edits);
    });
  }
});
