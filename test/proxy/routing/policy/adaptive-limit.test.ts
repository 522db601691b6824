import assert from "node:assert/strict";
import { test } from "node:test";
import { AdaptiveLimits, shedError } from "../../../../src/proxy/routing/policy/adaptive-limit.ts";

const SETTINGS = { minLimit: 1, maxLimit: 200 };

function newLimits(slots = 1): AdaptiveLimits {
  const buffer = new SharedArrayBuffer(AdaptiveLimits.bytesFor(slots) + 64);
  return new AdaptiveLimits(buffer, 64, slots);
}

/**
 * A second of an endpoint that serves `servers` requests at once in `serviceMs` each, with as many callers as the limit
 * lets through, at most `offered`: latency is the service time, and what exceeds the servers waits (Little's law).
 */
function second(limits: AdaptiveLimits, nowMs: number, load: Load, settings = SETTINGS): number {
  const inFlight = Math.min(load.offered, limits.limitOf(0, settings));
  const rttMs = load.serviceMs * Math.max(1, inFlight / load.servers);
  for (let sample = 0; sample < 20; sample++) {
    limits.observe(0, rttMs, inFlight, load.dropped ?? false, settings, nowMs + sample * 50 + 1);
  }
  return rttMs;
}

interface Load {
  readonly servers: number;
  readonly serviceMs: number;
  readonly offered: number;
  readonly dropped?: boolean;
}

test("the limit grows while latency stays as it was, and only while it is in use", () => {
  const limits = newLimits();
  assert.equal(limits.limitOf(0, SETTINGS), 20);
  for (let at = 1; at <= 100; at++) {
    second(limits, at * 1_000, { servers: 1_000, serviceMs: 10, offered: 1_000 });
  }
  const grown = limits.limitOf(0, SETTINGS);
  assert.ok(grown > 90 && grown <= 100, `${grown}`);
  for (let at = 101; at <= 200; at++) {
    second(limits, at * 1_000, { servers: 1_000, serviceMs: 10, offered: 5 });
  }
  // The window that was open at the change was still one of full use.
  assert.ok(limits.limitOf(0, SETTINGS) <= grown + 1);
});

test("an overloaded endpoint is held at about what it serves, however much is offered", () => {
  const limits = newLimits();
  for (let at = 1; at <= 20; at++) {
    second(limits, at * 1_000, { servers: 30, serviceMs: 10, offered: 10 });
  }
  let rttMs = 0;
  for (let at = 21; at <= 200; at++) {
    rttMs = second(limits, at * 1_000, { servers: 30, serviceMs: 10, offered: 10_000 });
  }
  const limit = limits.limitOf(0, SETTINGS);
  assert.ok(limit >= 30 && limit <= 75, `${limit}`);
  assert.ok(rttMs < 25, `${rttMs}`);
});

test("an endpoint that becomes slower gets less, and as much as before when it recovers", () => {
  const limits = newLimits();
  const run = (from: number, to: number, serviceMs: number, servers: number) => {
    for (let at = from; at <= to; at++) {
      second(limits, at * 1_000, { servers, serviceMs, offered: 10_000 });
    }
    return limits.limitOf(0, SETTINGS);
  };
  const before = run(1, 60, 10, 100);
  const during = run(61, 90, 100, 10);
  assert.ok(during < before / 2, `${before} to ${during}`);
  const after = run(91, 250, 10, 100);
  assert.ok(after > before * 0.8, `${during} to ${after}`);
});

test("dropped requests lower the limit, down to the least and no further", () => {
  const limits = newLimits();
  for (let at = 1; at <= 100; at++) {
    const dropped = { servers: 100, serviceMs: 10, offered: 100, dropped: true };
    second(limits, at * 1_000, dropped, { minLimit: 3, maxLimit: 50 });
  }
  assert.equal(limits.limitOf(0, { minLimit: 3, maxLimit: 50 }), 3);
});

test("the limit keeps within its bounds, even where they are odd", () => {
  const limits = newLimits();
  assert.equal(limits.limitOf(0, { minLimit: 30, maxLimit: 40 }), 30);
  assert.equal(limits.limitOf(0, { minLimit: 1, maxLimit: 5 }), 5);
  assert.equal(limits.limitOf(0, { minLimit: 0, maxLimit: 0 }), 1);
});

test("fewer than ten samples, or less than a second, change nothing", () => {
  const limits = newLimits();
  for (let sample = 0; sample < 50; sample++) limits.observe(0, 5, 20, true, SETTINGS, 1_000.5);
  assert.equal(limits.limitOf(0, SETTINGS), 20);
  for (let sample = 0; sample < 9; sample++) limits.observe(0, 5, 20, true, SETTINGS, 1_900);
  assert.equal(limits.limitOf(0, SETTINGS), 20);
  limits.observe(0, 5, 20, true, SETTINGS, 2_100);
  assert.equal(limits.limitOf(0, SETTINGS), 18);
});

test("figures that nobody expects leave a limit that is a number", () => {
  const limits = newLimits();
  const odd = [0, -1, 1e15, Number.POSITIVE_INFINITY, 0.000_1];
  for (let at = 1; at < 100; at++) {
    for (const rtt of odd) limits.observe(0, rtt, at * 1e6, false, SETTINGS, at * 400);
  }
  const limit = limits.limitOf(0, SETTINGS);
  assert.ok(Number.isInteger(limit) && limit >= 1 && limit <= 200, `${limit}`);
});

test("probes get in where others are turned away, and not without bound", () => {
  const limits = newLimits();
  assert.equal(limits.admits(0, 19, SETTINGS, false), true);
  assert.equal(limits.admits(0, 20, SETTINGS, false), false);
  assert.equal(limits.admits(0, 20, SETTINGS, true), true);
  assert.equal(limits.admits(0, 40, SETTINGS, true), false);
  assert.equal(shedError("shop/cart").code, "CONCURRENCY_LIMIT");
});

test("slots are apart, and one that is reset starts anew", () => {
  const limits = newLimits(2);
  const at = (slot: number) => limits.limitOf(slot, SETTINGS);
  for (let sample = 0; sample < 12; sample++) {
    limits.observe(1, 5, 20, true, SETTINGS, 1_000 + sample * 200);
  }
  assert.deepEqual([at(0), at(1)], [20, 18]);
  limits.reset(1);
  assert.equal(at(1), 20);
});
