import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AnnotationError,
  parseAdaptiveConcurrency,
  parseOutlierLatency,
  parseRateLimit,
} from "../../../src/dialects/hostmesh/own-annotations.ts";

const limit = (requests: number, periodMs: number, burst = requests, per: unknown[] = []) => ({
  ...{ name: "n", requests, periodMs, burst, per },
});

test("a rate limit is requests in a period, with a burst and what is counted apart", () => {
  const source = { kind: "source" };
  const cases: [string, unknown][] = [
    ["100/s", limit(100, 1_000)],
    ["6000/m", limit(6_000, 60_000)],
    ["5 / 10s", limit(5, 10_000)],
    ["1/h;", limit(1, 3_600_000)],
    ["100/s; burst=20", limit(100, 1_000, 20)],
    [
      "100/s; burst=20; by=source,header:X-Api-Key",
      limit(100, 1_000, 20, [source, { kind: "header", name: "x-api-key" }]),
    ],
    ["100/s;by=source;burst = 20", limit(100, 1_000, 20, [source])],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseRateLimit(text, "n"), expected, text);
});

test("anything else is refused with what to write instead", () => {
  const bad = [
    ...["", "100", "/s", "100/", "0/s", "-1/s", "1.5/s", "100/fortnight", "100/0s", "100/ms"],
    ...["99999999999999999999/s", "100/s; burst=0", "100/s; burst=x", "100/s; burst=1; burst=2"],
    ...["100/s; by=", "100/s; by=ip", "100/s; by=header:", "100/s; by=header:a b"],
    ...["100/s; by=source,source", "100/s; rate=1", "100/s;; burst=1", "100/s, burst=1"],
    ...[
      "100/s; by=source,header:a,header:b,header:c,header:d",
      `100/s; by=header:${"x".repeat(600)}`,
    ],
  ];
  for (const text of bad) {
    assert.throws(
      () => parseRateLimit(text, "n"),
      (error) => error instanceof AnnotationError && /: write "100\/s"/.test(error.message),
      text,
    );
  }
});

test("latency ejection needs a factor, and has a floor", () => {
  assert.deepEqual(parseOutlierLatency("factor=2.5; min=50ms; hosts=5").latency, {
    ...{ factor: 2.5, minMs: 50, minHosts: 5 },
  });
  for (const text of [
    "",
    "min=1s",
    "factor=1",
    "factor=x",
    "factor=3; min=5",
    "factor=3; max=1s",
  ]) {
    assert.throws(() => parseOutlierLatency(text), /write "factor=3; min=50ms"/, text);
  }
});

test("the bounds of adaptive concurrency are in their order", () => {
  assert.deepEqual(parseAdaptiveConcurrency("max=50"), { minLimit: 5, maxLimit: 50 });
  for (const text of ["", "min=10; max=5", "min=0", "max=many", "limit=5"]) {
    assert.throws(() => parseAdaptiveConcurrency(text), /write "min=5; max=200"/, text);
  }
});
