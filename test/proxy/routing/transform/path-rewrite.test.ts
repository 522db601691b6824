import assert from "node:assert/strict";
import { test } from "node:test";
import type { PathRewrite, RouteMatch, TextMatch } from "../../../../src/core/traffic.ts";
import {
  rewritePath,
  rewriteProblem,
} from "../../../../src/proxy/routing/transform/path-rewrite.ts";

const by = (path: TextMatch): RouteMatch => ({ path });
const prefix = (value: string): PathRewrite => ({ kind: "prefix", value });
const regex = (pattern: string, substitution: string): PathRewrite => ({
  kind: "regex",
  pattern,
  substitution,
});

test("a prefix of whole elements is replaced as Gateway API's table says", () => {
  const table: readonly (readonly [path: string, prefix: string, by: string, to: string])[] = [
    ["/foo/bar", "/foo", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo", "/xyz/", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz", "/xyz/bar"],
    ["/foo/bar", "/foo/", "/xyz/", "/xyz/bar"],
    ["/foo", "/foo", "/xyz", "/xyz"],
    ["/foo/", "/foo", "/xyz", "/xyz/"],
    ["/foo/bar", "/foo", "", "/bar"],
    ["/foo/", "/foo", "", "/"],
    ["/foo", "/foo", "", "/"],
    ["/foo/", "/foo", "/", "/"],
    ["/foo", "/foo", "/", "/"],
    ["/foo", "/foo/", "/xyz", "/xyz"],
    ["/foo", "/", "/xyz", "/xyz/foo"],
    ["/", "/", "/xyz", "/xyz/"],
  ];
  for (const [path, value, to, expected] of table) {
    const match = by({ kind: "segments", value });
    assert.equal(rewritePath(path, prefix(to), match), expected, `${path} ${value} ${to}`);
    assert.equal(rewritePath(`${path}?a=/foo`, prefix(to), match), `${expected}?a=/foo`);
  }
});

test("a prefix of text is replaced as text, and what matched otherwise as a whole", () => {
  const cases: readonly (readonly [string, TextMatch | null, string, string])[] = [
    ["/old/x", { kind: "prefix", value: "/old/" }, "/new/", "/new/x"],
    ["/old/x", { kind: "prefix", value: "/old" }, "/", "//x"],
    ["/oldx", { kind: "prefix", value: "/old" }, "/new", "/newx"],
    ["/OLD/x", { kind: "prefix", value: "/old", ignoreCase: true }, "/new", "/new/x"],
    ["/old", { kind: "exact", value: "/old" }, "/new", "/new"],
    ["/v1/x", { kind: "regex", value: "/v[0-9]/.*" }, "/new", "/new"],
    ["/old/x", { kind: "prefix", value: "/old/" }, "", "/x"],
    ["/foo", null, "/", "/foo"],
    ["/foo", null, "/new/", "/new/foo"],
  ];
  for (const [path, match, to, expected] of cases) {
    const of = match === null ? null : by(match);
    assert.equal(rewritePath(`${path}?q=1`, prefix(to), of), `${expected}?q=1`);
    if (match === null) assert.equal(rewritePath(path, prefix(to), {}), expected);
  }
});

test("a whole path keeps the query of the request, unless it brings one", () => {
  const full = (value: string): PathRewrite => ({ kind: "full", value });
  assert.equal(rewritePath("/a?b=1", full("/x"), null), "/x?b=1");
  assert.equal(rewritePath("/a?b=1", full("/x?c=2"), null), "/x?c=2");
  assert.equal(rewritePath("/a", full(""), null), "/");
  assert.equal(rewritePath("/a", full("x"), null), "/x");
});

test("an expression replaces all that it finds, with groups, and never in the query", () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ["/service/foo/v1/api", "^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/v1/api/instance/foo"],
    ["/xxx/one/yyy/one/zzz", "one", "two", "/xxx/two/yyy/two/zzz"],
    ["/xxx/one/yyy/one/zzz", "^(.*?)one(.*)$", "\\1two\\2", "/xxx/two/yyy/one/zzz"],
    ["/aaa/XxX/bbb", "(?i)/xxx/", "/yyy/", "/aaa/yyy/bbb"],
    ["/a", "(b)?/", "[\\1]/", "/[]/a"],
    ["/a$1", "\\$1", "$2&", "/a$2&"],
    ["/a", "a", "\\\\", "/%5C"],
    ["/a", "$", "\\0x", "/ax"],
    ["/a", "/a", "b", "/b"],
    ["/none", "x", "y", "/none"],
  ];
  for (const [path, pattern, substitution, expected] of cases) {
    const found = rewritePath(`${path}?one=a`, regex(pattern, substitution), null);
    assert.equal(found, `${expected.replace("%5C", "\\")}?one=a`);
  }
});

test("nothing of a configuration can break out of the request line", () => {
  const values = ["/a\r\nX: y", "/a b", "/a\0", "/\u00fc", "/a#b", "/\ud800"];
  for (const value of values) {
    for (const rewrite of [prefix(value), { kind: "full", value } as const, regex(".*", value)]) {
      assert.match(rewritePath("/x", rewrite, null), /^\/[\x21-\x22\x24-\x7e]*$/);
    }
  }
  assert.equal(rewritePath("/x", { kind: "full", value: "/\u00fc b" }, null), "/%C3%BC%20b");
});

test("a rewrite that cannot be understood is named and changes nothing", () => {
  for (const [pattern, substitution] of [
    ["(", "x"],
    ["a", "\\1"],
    ["(a)", "\\2"],
    ["a", "\\x"],
    ["a", "\\"],
  ] as const) {
    const rewrite = regex(pattern, substitution);
    assert.notEqual(rewriteProblem(rewrite), null, `${pattern} ${substitution}`);
    assert.equal(rewritePath("/a?b", rewrite, null), "/a?b");
  }
  assert.equal(rewriteProblem(regex("(a)", "\\1")), null);
  assert.equal(rewriteProblem(prefix("/")), null);
});

test("a target that is no path stays", () => {
  assert.equal(rewritePath("*", prefix("/x"), null), "*");
});
