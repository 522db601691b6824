import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../../src/core/random.ts";
import { normalizePath, type PathSettings } from "../../../../src/proxy/routing/authorize/path.ts";

const BASE: PathSettings = { pathNormalization: "base", escapedSlashes: "keep" };
const MERGE: PathSettings = { pathNormalization: "merge-slashes", escapedSlashes: "keep" };
const DECODE: PathSettings = {
  pathNormalization: "decode-and-merge-slashes",
  escapedSlashes: "keep",
};
const REJECT: PathSettings = { pathNormalization: "base", escapedSlashes: "reject" };
const UNESCAPE: PathSettings = { pathNormalization: "base", escapedSlashes: "unescape" };
const NONE: PathSettings = { pathNormalization: "none", escapedSlashes: "keep" };

const CASES: readonly [string, string | null, PathSettings][] = [
  ["/", "/", BASE],
  ["/a/b", "/a/b", BASE],
  ["/a/./b", "/a/b", BASE],
  ["/a/../b", "/b", BASE],
  ["/a/..", "/", BASE],
  ["/a/b/.", "/a/b/", BASE],
  ["/a/b/..", "/a/", BASE],
  ["/../../etc", "/etc", BASE],
  ["/...", "/...", BASE],
  ["/.well-known/x", "/.well-known/x", BASE],
  ["/a/%2e%2E/b", "/b", BASE],
  ["/a/.%2e/b", "/b", BASE],
  ["/%61dmin", "/admin", BASE],
  ["/%7Eme", "/~me", BASE],
  ["/caf%c3%a9", "/caf%C3%A9", BASE],
  ["/a\\b", "/a/b", BASE],
  ["/a\\..\\b", "/b", BASE],
  ["/a/%5c..%5cb", "/a/%5C..%5Cb", BASE],
  ["/a%2fb", "/a%2Fb", BASE],
  ["/a//b", "/a//b", BASE],
  ["/a//../b", "/a/b", BASE],
  ["/%252e%252e/a", "/%252e%252e/a", BASE],
  ["/a%00b", null, BASE],
  ["/a#b", null, BASE],
  ["/a?b#c", null, BASE],
  ["/a?x=/../%2e//\\", "/a?x=/../%2e//\\", BASE],
  ["/a/../b?x=/../c", "/b?x=/../c", BASE],
  ["/%4%31", "/%4%31", BASE],
  ["/%%341", "/%%341", BASE],
  ["*", "*", BASE],
  ["host:443", "host:443", BASE],
  ["http://h/a/../b?c=//", "http://h/b?c=//", BASE],
  ["http://h", "http://h", BASE],
  ["http://h?a=/..", "http://h?a=/..", BASE],
  ["//a", "/a", MERGE],
  ["/a////b//", "/a/b/", MERGE],
  ["/a%2f%2fb", "/a%2F%2Fb", MERGE],
  ["/a//..//b", "/a/b", MERGE],
  ["/a%2fb", "/a/b", DECODE],
  ["/a%2f..%5Cb", "/b", DECODE],
  ["/a%2f%2f%5cb", "/a/b", DECODE],
  ["/a%252fb", "/a%252fb", DECODE],
  ["/a%2fb", null, REJECT],
  ["/a%5Cb", null, REJECT],
  ["/a?b=%2f", "/a?b=%2f", REJECT],
  ["/a%2f%2fb", "/a//b", UNESCAPE],
  ["/a/../%2e//\\%00", "/a/../%2e//\\%00", NONE],
];

for (const [target, expected, settings] of CASES) {
  const how = `${settings.pathNormalization}, ${settings.escapedSlashes}`;
  test(`${JSON.stringify(target)} becomes ${JSON.stringify(expected)} (${how})`, () => {
    assert.equal(normalizePath(target, settings), expected);
  });
}

test("normalising what is normal changes nothing, whatever the target", () => {
  const random = seeded(1);
  const parts = ["/", "/", "a", ".", "..", "%", "%2e", "%2F", "%5c", "%41", "\\", "%4", "1", "?"];
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const length = 1 + Math.floor(random() * 10);
    const pick = () => parts[Math.floor(random() * parts.length)];
    const target = `/${Array.from({ length }, pick).join("")}`;
    for (const settings of [BASE, MERGE, DECODE, UNESCAPE, REJECT]) {
      const once = normalizePath(target, settings);
      if (once === null) refused++;
      else assert.equal(normalizePath(once, settings), once, target);
      if (once === null) continue;
      const path = once.split("?")[0] ?? "";
      assert.ok(!/\/\.{1,2}(\/|$)/.test(path), `${target} keeps dot segments: ${once}`);
      assert.ok(!path.includes("\\"), `${target} keeps a backslash: ${once}`);
    }
  }
  assert.ok(refused > 0);
});
