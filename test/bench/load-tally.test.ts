import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFromCompressedBase64 } from "hdr-histogram-js";
import { Tally } from "../../bench/load/tally.ts";

test("without a rate an answer counts by when it came", () => {
  const tally = new Tally(10, false);
  tally.answer(0, 1);
  tally.begin(100);
  tally.answer(99, 100);
  tally.answer(110, 112.5);
  tally.end(200);
  tally.answer(199, 201);
  tally.error("reset", 150, 250);
  const { histogram, ...rest } = tally.result();
  assert.deepEqual(rest, {
    ...{ requests: 2, bodyBytes: 20, seconds: 0.1, errors: {}, lateP99Micros: null },
  });
  const latencies = decodeFromCompressedBase64(histogram);
  assert.equal(latencies.totalCount, 2);
  assert.equal(latencies.getValueAtPercentile(50), 1_000);
  assert.equal(latencies.getValueAtPercentile(100), 2_501);
});

test("with a rate the latency counts by when the request was due, the throughput by the answer", () => {
  const tally = new Tally(10, true);
  tally.begin(100);
  for (const due of [90, 100, 150, 199]) tally.schedule(due);
  tally.answer(90, 120);
  tally.answer(100, 130);
  tally.error("timeout", 150, 160);
  tally.end(200);
  tally.schedule(201);
  assert.equal(tally.missing, 1);
  tally.answer(199, 205);
  assert.equal(tally.missing, 0);
  tally.answer(201, 206);
  const { requests, errors, histogram } = tally.result();
  assert.equal(requests, 2);
  assert.deepEqual(errors, { timeout: 1 });
  const latencies = decodeFromCompressedBase64(histogram);
  assert.equal(latencies.totalCount, 2);
  assert.equal(latencies.getValueAtPercentile(50), 6_003);
});

test("what nobody answers is an error", () => {
  const tally = new Tally(10, true);
  tally.begin(0);
  for (const due of [1, 2, 3]) tally.schedule(due);
  tally.answer(1, 4);
  tally.end(5);
  tally.giveUp();
  assert.deepEqual(tally.result().errors, { unanswered: 2 });
});

test("lateness is told as the 99th percentile", () => {
  const tally = new Tally(10, true);
  tally.begin(0);
  for (let at = 0; at < 98; at++) tally.late(at, 0.1);
  tally.late(98, 7);
  tally.late(99, 7);
  tally.late(-1, 1_000);
  tally.end(100);
  assert.equal(tally.result().lateP99Micros, 7_003);
});
