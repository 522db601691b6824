import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldLine, findField, knownField } from "../../src/http/headers.ts";
import { meshErrorOf } from "../helpers/heads.ts";

const KNOWN = [
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "traceparent",
  "tracestate",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-request-id",
] as const;

for (const name of KNOWN) {
  test(`knows ${name} in any case, and nothing that only resembles it`, () => {
    const upper = name.toUpperCase();
    const mixed = name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
    for (const spelling of [name, upper, mixed]) {
      assert.equal(knownField(`${spelling}: a`, 0), name);
      assert.equal(knownField(`X: a\r\n${spelling}:`, 6), name);
    }
    for (const other of [`${name}s`, name.slice(0, -1), `x${name}`, `${name.slice(0, -1)}_`]) {
      assert.equal(knownField(`${other}: a`, 0), "", other);
    }
    assert.equal(knownField(`${name.replace(/.$/, ":")}:`, 0), "");
    assert.equal(knownField(name, 0), "");
  });
}

test("finds the first field of a name in any case", () => {
  const fields = ["Accept", "a", "COOKIE", "b", "cookie", "c"];
  assert.equal(findField(fields, "cookie"), "b");
  assert.equal(findField(fields, "accept"), "a");
  assert.equal(findField(fields, "b"), undefined);
  assert.equal(findField([], "accept"), undefined);
});

test("a field line holds what a field may hold", () => {
  assert.equal(fieldLine("via", "1.1 \xe9\tb"), "via: 1.1 \xe9\tb\r\n");
  assert.equal(fieldLine("x", ""), "x: \r\n");
});

for (const [name, value] of [
  ["x", "a\r\nSet-Cookie: b"],
  ["x", "a\nb"],
  ["x", "a\rb"],
  ["x", "a\0"],
  ["x", "\u0100"],
  ["x\r\ny", "a"],
  ["x y", "a"],
  ["x:", "a"],
  ["", "a"],
] as const) {
  test(`refuses the field ${JSON.stringify(name)} with ${JSON.stringify(value)}`, () => {
    assert.equal(meshErrorOf(() => fieldLine(name, value)).code, "INTERNAL");
  });
}
