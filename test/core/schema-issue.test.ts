import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import { formatPath, issuesOf, parsePath } from "../../src/core/schema-issue.ts";

test("a path reads like the field it names, and back", () => {
  const paths: [readonly (string | number)[], string][] = [
    [[], ""],
    [["endpoints", 0, "port"], "endpoints[0].port"],
    [[2, "spec"], "[2].spec"],
    [["metadata", "annotations", "istio.io/dry-run"], 'metadata.annotations["istio.io/dry-run"]'],
    [["a", 'x"].b', 1], 'a["x\\"].b"][1]'],
    [["capture-mode", "__proto__"], "capture-mode.__proto__"],
  ];
  for (const [parts, text] of paths) {
    assert.equal(formatPath(parts), text);
    assert.deepEqual(parsePath(text), parts);
  }
});

test("every issue is told, each unknown field by itself, and a missing one in plain words", () => {
  const schema = z.strictObject({ a: z.number(), b: z.array(z.string()) });
  const { error } = schema.safeParse({ b: [1], c: 1, d: 2 });
  assert.ok(error);
  assert.deepEqual(issuesOf(error), [
    { path: "a", reason: "missing" },
    { path: "b[0]", reason: "expected string, received number" },
    { path: "c", reason: "unknown field" },
    { path: "d", reason: "unknown field" },
  ]);
});

test("of a union the form that got furthest speaks", () => {
  const schema = z.object({
    x: z.union([z.strictObject({ a: z.number() }), z.object({ b: z.object({ c: z.number() }) })]),
  });
  const { error } = schema.safeParse({ x: { b: { c: "1" } } });
  assert.ok(error);
  assert.deepEqual(issuesOf(error), [
    { path: "x.b.c", reason: "expected number, received string" },
  ]);
});
