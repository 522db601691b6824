import assert from "node:assert/strict";
import { it } from "node:test";
import {
  formatAge,
  formatBytes,
  formatMs,
  formatRate,
  formatShare,
} from "../../src/core/format-figures.ts";

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

it("bytes go to the next unit where they would be rounded to 1024", () => {
  assert.deepEqual([0, 850, 1_023.6, 1_229, 10_240, 1_048_575, 35_651_584].map(formatBytes), [
    "0 B",
    "850 B",
    "1.0 KiB",
    "1.2 KiB",
    "10 KiB",
    "1.0 MiB",
    "34 MiB",
  ]);
});

it("an age has at most two units that follow each other", () => {
  const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000];
  const ages = [null, 0, 8 * second, 125 * second, hour, hour + 59 * second, 3 * day + 4 * hour];
  assert.deepEqual(ages.map(formatAge), ["-", "0s", "8s", "2m5s", "1h", "1h", "3d4h"]);
  assert.equal(formatAge(day + minute), "1d");
});
