import assert from "node:assert/strict";
import { test } from "node:test";
import { regexField, unrolledSize } from "../../src/dialects/regex-field.ts";

test("the size of an expression is what it unrolls to", () => {
  const sizes: [string, number][] = [
    ["abc", 3],
    ["a*b+c?", 3],
    ["a{3}", 3],
    ["a{2,7}b", 8],
    ["a{5,}", 5],
    ["(ab){10}", 30],
    ["((ab){10}){10}", 310],
    ["[a-z]{20}x", 21],
    ["[]{9}]{2}", 2],
    ["[^]{9}]{2}", 2],
    ["[[:alpha:]{9}]{2}", 2],
    ["\\{10}", 4],
    ["a|b{4}", 5],
    ["{3}", 0],
  ];
  for (const [regex, size] of sizes) assert.equal(unrolledSize(regex), size, regex);
});

test("what people write is taken, and what would cost too much is not", () => {
  const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
  for (const regex of ["/api/v[0-9]+/.*", `^/items/${uuid}$`, "(?i)bearer .+", "\\pL+"]) {
    assert.equal(regexField.safeParse(regex).success, true, regex);
  }
  for (const regex of [
    "",
    "a{501}",
    "(a{10}){10}{10}",
    "(((a{9}){9}){9})",
    "(a",
    "a{1001}",
    "(?=a)",
    "\\1",
  ]) {
    assert.equal(regexField.safeParse(regex).success, false, regex);
  }
});
