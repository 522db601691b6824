import assert from "node:assert/strict";
import { test } from "node:test";
import { labelsOfFilter } from "../../../src/dialects/consul/subset-filter.ts";

const cases: readonly (readonly [filter: string, labels: Record<string, string> | RegExp])[] = [
  ["", {}],
  ["Service.Meta.version == v2", { version: "v2" }],
  ['Service.Meta.version=="v2"', { version: "v2" }],
  ['Service.Meta["app.kubernetes.io/name"] == "a and b"', { "app.kubernetes.io/name": "a and b" }],
  ["Service.Meta.`x y` == `raw \\ text`", { "x y": "raw \\ text" }],
  ['Service.Meta.a == "q\\"q"', { a: 'q"q' }],
  ['(Service.Meta.version == "v2" and Service.Meta.tier == gold)', { version: "v2", tier: "gold" }],
  ["(Service.Meta.a == 1) and (Service.Meta.b == 2)", { a: "1", b: "2" }],
  ["Service.Meta.a == 1 and Service.Meta.a == 1", { a: "1" }],
  ["Service.Meta.a == 1 and Service.Meta.a == 2", /matches nothing/],
  ["Service.Meta.a != v2", /not understood: Service.Meta.a != v2; only equalities/],
  ["Service.Meta.a == v2 or Service.Meta.a == v3", /not understood/],
  ["not Service.Meta.a == v2", /not understood/],
  ["Service.Tags contains v2", /not understood.*give the instances a Meta/],
  ["Node.Meta.zone == a", /not understood/],
  ["Service.Meta.a == 1 and", /not understood/],
  [" and ", /not understood/],
  ["((((", /not understood/],
  ["Service.Meta.__proto__ == x", JSON.parse('{"__proto__": "x"}')],
  [`Service.Meta.a == ${"x".repeat(3_000)}`, /at most 2048/],
];

for (const [filter, expected] of cases) {
  test(`the filter ${filter.slice(0, 60)} is understood or refused`, () => {
    const found = labelsOfFilter(filter);
    if (expected instanceof RegExp) assert.match("reason" in found ? found.reason : "", expected);
    else assert.deepEqual(found, { labels: expected });
  });
}

test("a long filter of nothing but brackets and spaces takes no time", () => {
  const before = process.hrtime.bigint();
  for (const part of ["(", " and", '"', "`", " "]) {
    labelsOfFilter(part.repeat(2_048 / part.length));
  }
  assert.ok(Number(process.hrtime.bigint() - before) < 200e6);
});
