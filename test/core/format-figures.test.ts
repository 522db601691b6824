import assert from "node:assert/strict";
import { it } from "node:test";
import { formatMs, formatRate, formatShare } from "../../src/core/format-figures.ts";

it("durations have a unit that suits them", () => {
  assert.deepEqual([null, 0.0423, 9.87, 99.96, 123.4, 4_120].map(formatMs), [
    "-",
    "42 µs",
    "9.9 ms",
    "100.0 ms",
    "123 ms",
    "4.1 s",
  ]);
});

it("a share is 100 % only when it is all, and 0 % only when it is none", () => {
  assert.deepEqual([null, 0, 0.0001, 0.5, 0.99949, 0.99999, 1].map(formatShare), [
    "-",
    "0 %",
    "<0.1 %",
    "50.0 %",
    "99.9 %",
    ">99.9 %",
    "100 %",
  ]);
});

it("rates lose their decimal above a hundred", () => {
  assert.deepEqual([0, 12.34, 1234.5].map(formatRate), ["0.0", "12.3", "1235"]);
});
