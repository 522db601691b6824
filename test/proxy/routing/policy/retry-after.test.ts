import assert from "node:assert/strict";
import { test } from "node:test";
import { isOverloaded, retryAfterMs } from "../../../../src/proxy/routing/policy/retry-after.ts";
import { responseWith } from "./fixture.ts";

const NOW = Date.UTC(2026, 10, 21, 12, 0, 0);
const after = (value: string, now = NOW) =>
  retryAfterMs(responseWith([`rEtry-AFTER: ${value}`]), now);

test("seconds are read, and nothing waits for more than 300 s", () => {
  assert.equal(after("0"), 0);
  assert.equal(after("7"), 7_000);
  assert.equal(after("300"), 300_000);
  assert.equal(after("301"), 300_000);
  assert.equal(after("9".repeat(400)), 300_000);
});

test("all three forms of a date are read; one that has passed means now", () => {
  assert.equal(after("Sat, 21 Nov 2026 12:00:30 GMT"), 30_000);
  assert.equal(after("Saturday, 21-Nov-26 12:00:30 GMT"), 30_000);
  assert.equal(after("Sat Nov 21 12:00:30 2026"), 30_000);
  assert.equal(after("Tue Jan  6 00:00:01 2026", Date.UTC(2026, 0, 6)), 1_000);
  assert.equal(after("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
  // Two digits of a year lie at most 50 years ahead.
  assert.equal(after("Sunday, 06-Nov-94 08:49:37 GMT"), 0);
  assert.equal(after("Tue, 21 Nov 2028 12:00:00 GMT"), 300_000);
});

test("what is no such value is as if it were not there", () => {
  const bad = [
    ...["", "-1", "1.5", "+3", "0x10", "1e3", "soon", "7 seconds", "1, 2", "Infinity", "NaN"],
    ...["2026-11-21T12:00:30Z", "Sat, 21 Nov 2026 12:00:30 +0100", "Sat, 32 Foo 2026 12:00:30 GMT"],
    ...["Sat, 31 Feb 2026 12:00:30 GMT", "Sat, 21 Nov 2026 24:00:00 GMT"],
    "Sat, 21 anF 2026 12:00:00 GMT",
  ];
  for (const value of bad) assert.equal(after(value), null, value);
  assert.equal(retryAfterMs(responseWith(), NOW), null);
});

test("of two fields the first counts", () => {
  assert.equal(retryAfterMs(responseWith(["Retry-After: 1", "Retry-After: 9"]), NOW), 1_000);
});

test("Envoy's word for overload is known in any case of its name", () => {
  assert.equal(isOverloaded(responseWith(["X-Envoy-Overloaded: true"])), true);
  assert.equal(isOverloaded(responseWith(["x-envoy-overloaded: false"])), false);
  assert.equal(isOverloaded(responseWith()), false);
});
