import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { FakeClock, processClock } from "../../../../src/core/clock.ts";
import { seeded } from "../../../../src/core/random.ts";
import { RateLimits } from "../../../../src/proxy/routing/policy/rate-limits.ts";
import { hammer, startThreads } from "./hammering.ts";

const TEN = { requests: 10, periodMs: 1_000, burst: 10 };

function newLimits(buckets = 1_024, startMs = 5_000) {
  const clock = new FakeClock(startMs);
  const buffer = new SharedArrayBuffer(RateLimits.bytesFor(buckets) + 64);
  return { clock, limits: new RateLimits(buffer, 64, buckets, clock), buffer };
}

test("a burst is allowed at once, then one in each interval", () => {
  const { clock, limits } = newLimits();
  const burst = Array.from({ length: 12 }, () => limits.take("a", TEN));
  assert.deepEqual(
    burst.map(({ allowed }) => allowed),
    [...new Array<boolean>(10).fill(true), false, false],
  );
  assert.deepEqual(
    burst.map(({ remaining }) => remaining),
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0],
  );
  assert.deepEqual(limits.take("a", TEN), {
    ...{ allowed: false, remaining: 0, retryAfterMs: 100, resetMs: 1_000 },
  });
  clock.advance(99);
  assert.equal(limits.take("a", TEN).allowed, false);
  clock.advance(1);
  assert.equal(limits.take("a", TEN).allowed, true);
  assert.equal(limits.take("a", TEN).allowed, false);
});

test("who waits as long as told is let through, and a ms earlier is not", () => {
  const { clock, limits } = newLimits();
  const limit = { requests: 7, periodMs: 1_000, burst: 3 };
  const random = seeded(5);
  for (let round = 0; round < 200; round++) {
    while (limits.take("a", limit).allowed) clock.advance(random() * 40);
    const { retryAfterMs } = limits.take("a", limit);
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 143, `${retryAfterMs}`);
    clock.advance(retryAfterMs - 1e-3);
    if (retryAfterMs > 1) assert.equal(limits.take("a", limit).allowed, false);
    clock.advance(2e-3);
    assert.equal(limits.take("a", limit).allowed, true);
  }
});

test("over any time t at most burst + t / interval are allowed, whatever the pattern", () => {
  const { clock, limits } = newLimits();
  const limit = { requests: 3, periodMs: 1_000, burst: 4 };
  const random = seeded(9);
  const allowed: number[] = [];
  for (let step = 0; step < 20_000; step++) {
    clock.advance(random() < 0.01 ? random() * 5_000 : random() * 30);
    if (limits.take("a", limit).allowed) allowed.push(clock.now());
  }
  for (let from = 0; from < allowed.length; from++) {
    for (let to = from; to < Math.min(from + 40, allowed.length); to++) {
      const most = limit.burst + Math.floor((allowed[to]! - allowed[from]!) / (1_000 / 3));
      assert.ok(to - from + 1 <= most, `${from}..${to}`);
    }
  }
  assert.ok(allowed.length > 900, `${allowed.length}`);
});

test("keys are apart; a refused request takes nothing", () => {
  const { clock, limits } = newLimits();
  const one = { ...TEN, burst: 1 };
  assert.equal(limits.take("a", one).allowed, true);
  for (let tries = 0; tries < 100; tries++) assert.equal(limits.take("a", one).allowed, false);
  assert.equal(limits.take("b", one).allowed, true);
  clock.advance(100);
  assert.equal(limits.take("a", one).allowed, true);
});

test("no requests at all, a burst below 1 and odd figures are met", () => {
  const { limits } = newLimits();
  assert.equal(limits.take("none", { ...TEN, requests: 0 }).allowed, false);
  assert.equal(limits.take("nan", { ...TEN, requests: Number.NaN }).allowed, false);
  assert.equal(limits.take("small", { ...TEN, burst: 0 }).allowed, true);
  assert.equal(limits.take("small", { ...TEN, burst: 0 }).allowed, false);
  const fast = { requests: 1e12, periodMs: 1, burst: 2 };
  assert.equal(limits.take("fast", fast).allowed, true);
});

test("a clock that starts at 0 limits from the first request on", () => {
  const { limits } = newLimits(64, 0);
  assert.equal(limits.take("a", { ...TEN, burst: 1 }).allowed, true);
  assert.equal(limits.take("a", { ...TEN, burst: 1 }).allowed, false);
});

test("expired buckets make room: ten times as many keys as buckets, one after another", () => {
  const { clock, limits } = newLimits(256);
  for (let key = 0; key < 2_560; key++) {
    limits.take(`key ${key}`, TEN);
    clock.advance(10);
  }
  assert.equal(limits.overflows, 0);
});

test("a full table lets through and counts, and forgets no bucket that it has", () => {
  const { limits } = newLimits(256);
  const one = { ...TEN, burst: 1 };
  for (let key = 0; key < 5_000; key++) assert.equal(limits.take(`key ${key}`, one).allowed, true);
  assert.ok(limits.overflows >= 5_000 - 256, `${limits.overflows}`);
  const kept = Array.from({ length: 5_000 }, (_, key) => limits.take(`key ${key}`, one)).filter(
    ({ allowed }) => !allowed,
  );
  assert.ok(kept.length > 100, `${kept.length}`);
});

test("keys that callers make up cannot crowd out the others", () => {
  const { limits } = newLimits(256);
  const one = { ...TEN, burst: 1 };
  for (let key = 0; key < 50_000; key++) limits.take(`made up ${key}`, one, true);
  const before = limits.overflows;
  for (let key = 0; key < 20; key++) {
    assert.equal(limits.take(`rule ${key}`, one).allowed, true);
    assert.equal(limits.take(`rule ${key}`, one).allowed, false);
  }
  assert.equal(limits.overflows, before);
});

test("a table is filled well before it overflows", () => {
  const { limits } = newLimits(16_384);
  // Half of it is for keys like these; 4,096 fill that to a half.
  for (let key = 0; key < 4_096; key++) limits.take(`key ${key}`, TEN);
  assert.ok(limits.overflows < 10, `${limits.overflows}`);
});

test("all views agree on the hash, so on the buckets", () => {
  const { buffer, clock, limits } = newLimits();
  const other = new RateLimits(buffer, 64, 1_024, clock);
  const one = { ...TEN, burst: 1 };
  assert.equal(limits.take("a", one).allowed, true);
  assert.equal(other.take("a", one).allowed, false);
  assert.throws(() => new RateLimits(buffer, 8, 64, clock), RangeError);
});

test("real threads are allowed exactly the limit of each key, all of them new to the table", async () => {
  const buckets = 2_048;
  for (const [keys, limit] of [
    [1, 1_000],
    [200, 5],
    [400, 1],
  ] as const) {
    const buffer = new SharedArrayBuffer(RateLimits.bytesFor(buckets));
    const task = { kind: "rate" as const, buffer, buckets, keys, limit };
    const counts = await hammer([task, task, task]);
    for (let key = 0; key < keys; key++) {
      const allowed = counts.reduce((sum, one) => sum + one[key]!, 0);
      assert.equal(allowed, limit, `key ${key} of ${keys}`);
    }
    assert.equal(new RateLimits(buffer, 0, buckets, new FakeClock()).overflows, 0);
  }
});

test("a key that two threads bring at the same moment gets one bucket", async () => {
  const buckets = 16;
  const buffer = new SharedArrayBuffer(RateLimits.bytesFor(buckets));
  const rounds = new SharedArrayBuffer(4);
  const task = { kind: "insert" as const, buffer, buckets, rounds };
  const [one = [], other = []] = await hammer([
    { ...task, thread: 0 },
    { ...task, thread: 1 },
  ]);
  assert.equal(new RateLimits(buffer, 0, buckets, processClock).overflows, 0);
  const both = new Set(one);
  assert.deepEqual(
    other.filter((round) => both.has(round)),
    [],
  );
  assert.ok(one.length > 0 && other.length > 0, `${one.length} and ${other.length}`);
});

test("a bucket that changes hands under three threads is never exceeded, not even by one", async () => {
  const [buckets, periodMs] = [16, 0.02];
  const buffer = new SharedArrayBuffer(RateLimits.bytesFor(buckets));
  const task = { kind: "handover" as const, buffer, buckets, periodMs };
  const figures = await hammer([task, task, task]);
  const startMs = Math.min(...figures.map(([start]) => start!));
  const endMs = Math.max(...figures.map(([, end]) => end!));
  const allowed = figures.reduce((sum, [, , one]) => sum + one!, 0);
  const overflows = new RateLimits(buffer, 0, buckets, processClock).overflows;
  assert.ok(allowed - overflows <= 1 + (endMs - startMs) / periodMs, `${allowed}, ${overflows}`);
  assert.ok(allowed > 1_000, `${allowed}`);
});

test("what a killed thread left locked is unlocked, and limits as before", () => {
  const { buffer, limits } = newLimits(16);
  const [sets, header] = [2, 64 + 64];
  new Int32Array(buffer, header, sets).fill(7);
  new BigInt64Array(buffer, header + 64 + sets * 64, sets * 8).fill(-1n);
  for (const chosen of [false, true]) {
    const one = { ...TEN, burst: 1 };
    assert.equal(limits.take("a", one, chosen).allowed, true);
    assert.equal(limits.take("a", one, chosen).allowed, false);
    assert.equal(limits.take("b", one, chosen).allowed, true);
  }
  assert.equal(limits.overflows, 0);
});

test("threads that are killed in the middle leave a table that works", async () => {
  const buckets = 64;
  const buffer = new SharedArrayBuffer(RateLimits.bytesFor(buckets));
  for (let round = 0; round < 6; round++) {
    const task = { kind: "churn" as const, buffer, buckets };
    const threads = startThreads([task, task]);
    try {
      await Promise.all(threads.map((thread) => once(thread, "message")));
    } finally {
      for (const thread of threads) await thread.terminate();
    }
    const limits = new RateLimits(buffer, 0, buckets, processClock);
    const before = limits.overflows;
    const limit = { requests: 1e6, periodMs: 1, burst: 1 };
    for (let key = 0; key < 2_000; key++) limits.take(`after ${round} ${key}`, limit);
    assert.equal(limits.overflows, before);
  }
});
