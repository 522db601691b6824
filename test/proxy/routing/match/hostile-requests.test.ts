import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteMatch } from "../../../../src/core/traffic.ts";
import { queryParam, queryParams } from "../../../../src/proxy/routing/match/query-params.ts";
import { nameOf, request, routeSet, rule, table } from "./fixtures.ts";

const SIZE = 65_536;

/** Least CPU time of several tries, in ms. */
function leastMs(action: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const before = process.threadCpuUsage();
    action();
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / 1_000);
  }
  return least;
}

/** 1,000 rules for parameters (or headers) of their own, none of which the request has. */
function manyRules(kind: "query" | "headers") {
  return routeSet(
    table(
      Array.from({ length: 1_000 }, (_, index) => {
        const field = { name: `name-${index}`, match: { kind: "present" } } as const;
        return rule(String(index), {
          [kind]: [{ ...field, invert: index % 2 === 0 }],
        } as RouteMatch);
      }).filter((_, index) => index % 2 === 1),
    ),
  );
}

test("work grows with the length of a query and not with its square, whatever is in it", () => {
  const queries = ["a", "a=1&", "&", "=", "name-&", "name-1", "?"].map((unit) =>
    unit.repeat(Math.ceil(SIZE / unit.length)),
  );
  const set = manyRules("query");
  for (const query of queries) {
    const long = request(`/?${query}`);
    const ms = leastMs(() => assert.equal(set.find(long), "refuse"));
    assert.ok(ms < 60, `${ms} ms for 64 KiB of ${query.slice(0, 8)}`);
    assert.ok(leastMs(() => queryParam(query, "name-1x")) < 30);
  }
});

test("thousands of fields times thousands of rules cost one look at each", () => {
  const set = manyRules("headers");
  const fields = Array.from({ length: 3_000 }, (_, index) => `x-${index % 7}: ${index}`);
  const long = request("/", fields);
  const ms = leastMs(() => assert.equal(set.find(long), "refuse"));
  assert.ok(ms < 60, `${ms} ms`);
});

test("a field that is repeated is looked at once", () => {
  const cookies = Array.from({ length: 200 }, (_, index) =>
    rule(String(index), {
      headers: [{ name: "cookie", match: { kind: "regex", value: `.*a${index}b` } }],
    }),
  );
  const others = Array.from({ length: 20 }, (_, index) =>
    rule(`other ${index}`, { headers: [{ name: `x-${index}`, match: { kind: "present" } }] }),
  );
  const set = routeSet(table([...cookies, ...others]));
  const once = request("/", [`Cookie: ${Array<string>(1_000).fill("c").join(",")}`]);
  const often = request("/", Array<string>(1_000).fill("Cookie: c"));
  const least = leastMs(() => assert.equal(set.find(once), "refuse"));
  const ms = leastMs(() => assert.equal(set.find(often), "refuse"));
  assert.ok(ms < 20 + least * 4, `${ms} ms instead of ${least} ms`);
});

test("expressions that would send a backtracking engine round for ever take linear time", () => {
  const set = routeSet(table([rule("evil", { path: { kind: "regex", value: "/(a*)*(a|aa)+b" } })]));
  const long = request(`/${"a".repeat(SIZE)}`);
  assert.ok(leastMs(() => assert.equal(set.find(long), "refuse")) < 500);
});

test("one parameter and all of them are read alike", () => {
  const queries = ["", "a", "a=1&b=2&a=3", "=x", "&&", "a=&b", "ab=1&b=2", "b==&a=%61", "a&a=1"];
  for (const query of queries) {
    const all = queryParams(query, new Set(["a", "b", "ab", ""]));
    for (const name of ["a", "b", "ab"]) {
      assert.equal(queryParam(query, name), all.get(name) ?? null, `${name} of ${query}`);
    }
  }
});

test("names like those of an object's own methods are only names", () => {
  const set = routeSet(
    table([rule("own", { headers: [{ name: "__proto__", match: { kind: "present" } }] })]),
  );
  assert.equal(set.find(request("/?constructor=1", ["constructor: x"])), "refuse");
  assert.equal(nameOf(set.find(request("/", ["__proto__: x"]))), "own");
});
