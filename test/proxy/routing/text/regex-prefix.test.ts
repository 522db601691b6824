import assert from "node:assert/strict";
import { test } from "node:test";
import { RE2JS } from "re2js";
import { seeded } from "../../../../src/core/random.ts";
import {
  requiredLiterals,
  requiredPrefix,
} from "../../../../src/proxy/routing/text/regex-prefix.ts";

const CASES: readonly (readonly [expression: string, prefix: string])[] = [
  ["/api/.*", "/api/"],
  ["^/api/v1$", "/api/v1"],
  ["/api/v[0-9]+/x", "/api/v"],
  ["/files/a\\.b.*", "/files/a.b"],
  ["(?:/api/.*)(?s:.*)", "/api/"],
  ["(?:/api)(?s:.*)", "/api"],
  ["(/a)(/b)c?", "/a/b"],
  ["/api/(v1|v2)/x", "/api/"],
  ["/[|](a)", "/"],
  ["/a\\|b", "/a|b"],
  ["/a|/b", ""],
  ["(?:/a|/b).*", ""],
  ["(?:/a)?b", ""],
  ["/ab*", "/a"],
  ["/ab{0}", "/a"],
  ["(?i)/a", ""],
  ["/a(?i)*", ""],
  ["\\Q/a|b\\E", ""],
  ["\\x41", ""],
  [".*", ""],
];

for (const [expression, prefix] of CASES) {
  test(`what ${expression} matches begins with "${prefix}"`, () => {
    assert.equal(requiredPrefix(expression), prefix);
  });
}

test("no text is matched by an expression whose prefix it lacks", () => {
  const random = seeded(11);
  const oneOf = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random() * values.length)]!;
  const parts = ["a", "b", "|", "(", "(?:", "(?i)", "(?i:", ")", "[|a]", "[]a]", "[^b]", "[(]"];
  const more = [
    "*",
    "?",
    "+",
    "{0}",
    "{1,2}",
    "\\|",
    "\\(",
    "\\x61",
    "\\Qa|b\\E",
    "^",
    "$",
    ".",
    "|",
    ")",
  ];
  const text = () => Array.from({ length: 1 + random() * 5 }, () => oneOf([..."abAB|("])).join("");
  let found = 0;
  for (let round = 0; round < 60_000; round++) {
    const length = 1 + Math.floor(random() * 7);
    const expression = Array.from({ length }, () => oneOf([...parts, ...more])).join("");
    const prefix = requiredPrefix(expression);
    if (prefix === "") continue;
    const compiled = compile(expression);
    for (let asked = 0; compiled !== null && asked < 20; asked++) {
      const value = text();
      if (!compiled.testExact(value)) continue;
      found += 1;
      assert.ok(value.startsWith(prefix), `${expression} matches ${value}, not ${prefix}`);
    }
  }
  assert.ok(found > 1_000, String(found));
});

function compile(expression: string): RE2JS | null {
  try {
    return RE2JS.compile(expression);
  } catch {
    return null;
  }
}

const LITERALS: readonly (readonly [expression: string, literals: readonly string[]])[] = [
  ["/api/v[0-9]+/hidden-1/.*", ["/api/v", "/hidden-1/"]],
  ["(?:/api/.*/x)(?s:.*)y", ["/api/", "/x", "y"]],
  ["/a(b|c)/d(?P<n>e)f{2,3}/g?h\\.i", ["/a", "/d", "/", "h.i"]],
  ["/a\\d+/b\\x41/c", ["/a", "/b"]],
  ["/a\\p{Greek}b", ["/a"]],
  ["a{2}3}b", ["3", "b"]],
  ["(?i)/a.*b", []],
  ["a.*b|c", []],
  ["a.*(?:b|c)*d", ["a", "d"]],
  ["\\Qa\\E.*b", []],
];

for (const [expression, literals] of LITERALS) {
  test(`what ${expression} matches contains ${literals.join(" and ") || "nothing for certain"}`, () => {
    assert.deepEqual(requiredLiterals(expression), literals);
  });
}

test("no text is matched by an expression of whose literals it lacks one", () => {
  const random = seeded(12);
  const oneOf = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random() * values.length)]!;
  const parts = [
    ...["a", "b", "1", "|", "(", "(?:", "(?P<n>", "(?i)", "(?i:", ")", "[|a]", "[]a]", "[^b]"],
    ...["*", "?", "+", "{0}", "{1,2}", "{", "}", "\\|", "\\d", "\\x61", "\\x{61}", "\\141"],
    ...["\\Qa|b\\E", "\\pL", "^", "$", ".", ")", ".*", "\\b"],
  ];
  const text = () => Array.from({ length: 1 + random() * 5 }, () => oneOf([..."abA1|{"])).join("");
  let matched = 0;
  for (let round = 0; round < 60_000; round++) {
    const length = 1 + Math.floor(random() * 8);
    const expression = Array.from({ length }, () => oneOf(parts)).join("");
    const literals = requiredLiterals(expression);
    if (literals.length === 0) continue;
    let compiled: RE2JS;
    try {
      compiled = RE2JS.compile(expression);
    } catch {
      continue;
    }
    for (let attempt = 0; attempt < 6; attempt++) {
      const candidate = text();
      if (!compiled.testExact(candidate)) continue;
      matched += 1;
      for (const literal of literals) {
        assert.ok(candidate.includes(literal), `${expression}: ${candidate}, ${literal}`);
      }
    }
  }
  assert.ok(matched > 300, `${matched}`);
});
