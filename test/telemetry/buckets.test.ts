import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../src/core/random.ts";
import {
  FINE_BUCKETS,
  fineBucket,
  fineMiddleMs,
  PROXY_SECONDS,
  QUEUE_SECONDS,
  quantileMs,
  REQUEST_SECONDS,
  SIZE_BYTES,
  sizeBucket,
} from "../../src/telemetry/buckets.ts";

test("the middle of a fine bucket is within 5 % of every duration in it, from 10 us to 1000 s", () => {
  const random = seeded(1);
  for (let round = 0; round < 200_000; round += 1) {
    const us = Math.round(10 ** (1 + random() * 8));
    const bucket = fineBucket(us / 1000);
    const error = Math.abs(fineMiddleMs(bucket) - us / 1000) / (us / 1000);
    assert.ok(us <= 10 || error <= 0.0501, `${us} us: bucket ${bucket}, off by ${error}`);
  }
});

test("fine buckets grow with the duration, and none is skipped", () => {
  let last = 0;
  for (let us = 0; us < 1_000_000; us += us < 100_000 ? 1 : 100) {
    const bucket = fineBucket(us / 1000);
    assert.ok(bucket === last || bucket === last + 1, `${us} us: ${last} to ${bucket}`);
    last = bucket;
  }
});

test("a duration at a bound belongs below it, one microsecond more above it", () => {
  for (const { bounds, ofFine } of [REQUEST_SECONDS, QUEUE_SECONDS, PROXY_SECONDS]) {
    for (const [index, bound] of bounds.entries()) {
      assert.equal(ofFine[fineBucket(bound * 1000)], index, `at ${bound} s`);
      assert.equal(ofFine[fineBucket(bound * 1000 + 0.001)], index + 1, `above ${bound} s`);
    }
  }
});

test("durations that are none still find a bucket", () => {
  assert.equal(fineBucket(Number.NaN), 0);
  assert.equal(fineBucket(-5), 0);
  assert.equal(fineBucket(0), 0);
  assert.equal(fineBucket(1_000_000), FINE_BUCKETS - 2);
  assert.equal(fineBucket(1_000_000.01), FINE_BUCKETS - 1);
  assert.equal(fineBucket(Number.POSITIVE_INFINITY), FINE_BUCKETS - 1);
});

test("a size at a bound belongs below it, one byte more above it", () => {
  assert.equal(sizeBucket(0), 0);
  for (const [index, bound] of SIZE_BYTES.entries()) {
    assert.equal(sizeBucket(bound), index, `at ${bound}`);
    assert.equal(sizeBucket(bound + 1), index + 1, `above ${bound}`);
  }
  assert.equal(sizeBucket(2 ** 40), SIZE_BYTES.length);
  assert.equal(sizeBucket(Number.NaN), 0);
});

test("quantiles agree with the sorted durations to 5 %", () => {
  const random = seeded(7);
  const durations = Array.from({ length: 10_000 }, () => 0.2 * 1000 ** random());
  const counts = new Float64Array(FINE_BUCKETS);
  for (const duration of durations) {
    const bucket = fineBucket(duration);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  durations.sort((a, b) => a - b);
  for (const share of [0.01, 0.5, 0.95, 0.99, 1]) {
    const exact = durations[Math.ceil(share * durations.length) - 1] ?? 0;
    const found = quantileMs(counts, share) ?? 0;
    assert.ok(Math.abs(found - exact) / exact <= 0.0502, `${share}: ${found} for ${exact}`);
  }
});

test("there is no quantile of nothing", () => {
  assert.equal(quantileMs(new Float64Array(FINE_BUCKETS), 0.5), null);
});
