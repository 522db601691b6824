import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf } from "../../src/kubernetes/status/conditions.ts";
import { ANCESTORS, entriesPatch, PARENTS } from "../../src/kubernetes/status/shared-entries.ts";
import { isOlder, statusObjectOf } from "../../src/kubernetes/status/status-object.ts";
import { TokenBucket } from "../../src/kubernetes/status/token-bucket.ts";
import { FakeTime } from "../registry/fake-time.ts";

const listOf = (patch: ReturnType<typeof entriesPatch>, list: string): unknown[] => {
  const found = patch?.[list];
  assert.ok(Array.isArray(found));
  return found;
};

const NOW = "2026-01-01T00:00:00Z";
const entry = (name: string, more: object = {}) => ({
  ref: { group: "", kind: "Service", name, ...more },
  conditions: [
    {
      ...{ type: "Accepted", status: "True" as const, reason: "Accepted", message: "" },
      observedGeneration: 1,
    },
  ],
});
const others = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    ...{ parentRef: { name: `g-${index}` }, controllerName: "example.net/other", conditions: [] },
  }));

test("a list has as many entries as its schema allows, those of others first", () => {
  const status = { parents: others(31) };
  const patch = entriesPatch(status, PARENTS, [entry("a"), entry("b")], NOW);
  const parents = patch?.["parents"] as { parentRef: { name: string } }[];
  assert.equal(parents.length, 32);
  assert.deepEqual(parents.slice(0, 31), status.parents);
  assert.equal(parents[31]?.parentRef.name, "a");
  // And what was cut is no reason to write again.
  assert.equal(entriesPatch({ parents }, PARENTS, [entry("a"), entry("b")], NOW), null);
});

test("the ports of one Service have an entry each", () => {
  const wanted = [entry("a", { port: 80 }), entry("a", { port: 81 })];
  const patch = entriesPatch(undefined, PARENTS, wanted, NOW);
  assert.equal(listOf(patch, "parents").length, 2);
  assert.equal(entriesPatch(patch, PARENTS, wanted, "2027-01-01T00:00:00Z"), null);
  const fewer = entriesPatch(patch, PARENTS, [entry("a", { port: 81 })], NOW);
  assert.deepEqual(fewer?.["parents"], listOf(patch, "parents").slice(1));
});

test("an entry of ours that is there twice is there once afterwards", () => {
  const once = entriesPatch(undefined, ANCESTORS, [entry("a")], NOW)?.["ancestors"] as unknown[];
  const patch = entriesPatch({ ancestors: [...once, ...once] }, ANCESTORS, [entry("a")], NOW);
  assert.deepEqual(patch?.["ancestors"], once);
});

test("a status that is no status counts as none", () => {
  for (const status of [null, 1, "x", [], { parents: null }, { parents: [null, 1] }]) {
    const patch = entriesPatch(status, PARENTS, [entry("a")], NOW);
    assert.equal(listOf(patch, "parents").length, 1);
  }
});

test("where nothing is wanted and nothing is there, nothing is written", () => {
  assert.equal(entriesPatch(undefined, PARENTS, [], NOW), null);
  assert.equal(entriesPatch({ parents: others(2) }, PARENTS, [], NOW), null);
});

test("a message is cut between its parts, and says how many more there are", () => {
  assert.equal(messageOf([]), "");
  assert.equal(messageOf(["a", "b"]), "a; b");
  const many = messageOf(Array.from({ length: 20 }, (_, index) => `${index}`.padEnd(99, "x")));
  assert.ok(many.length <= 1_024);
  assert.match(many, /; and 11 more$/);
  assert.equal(messageOf(["x".repeat(5_000)]).length, 1_024);
});

test("an older state of the same object is told from a newer, and from another object", () => {
  const object = (resourceVersion: string, uid = "a") =>
    statusObjectOf({
      ...{ apiVersion: "networking.istio.io/v1", kind: "VirtualService" },
      metadata: { name: "x", namespace: "y", uid, resourceVersion },
    });
  assert.equal(isOlder(object("9"), object("10")), true);
  assert.equal(isOlder(object("10"), object("9")), false);
  assert.equal(isOlder(object("9"), object("9")), false);
  assert.equal(isOlder(object("9", "b"), object("10")), false);
  assert.equal(isOlder(object("x"), object("10")), false);
});

test("a bucket gives what it holds at once, and then so many in a second", () => {
  const time = new FakeTime();
  const bucket = new TokenBucket(time, 20, 3);
  assert.deepEqual([bucket.take(), bucket.take(), bucket.take(), bucket.take()], [0, 0, 0, 50]);
  time.advance(49);
  assert.ok(bucket.take() > 0);
  time.advance(1);
  assert.equal(bucket.take(), 0);
  time.advance(3_600_000);
  assert.deepEqual([bucket.take(), bucket.take(), bucket.take(), bucket.take()], [0, 0, 0, 50]);
});
