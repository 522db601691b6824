import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import type { OutlierPolicy } from "../../src/core/traffic.ts";
import {
  type Behaviour,
  GET,
  type ResilienceLab,
  resetting,
  resilienceLab,
  retry,
  silent,
  status,
  well,
} from "../helpers/resilience-lab.ts";
import { until } from "../helpers/until.ts";

/** Nothing detects anything, unless it is said otherwise. */
const outlier = (more: Partial<OutlierPolicy>): OutlierPolicy => ({
  ...{ consecutive5xx: 0, consecutiveGateway: 0, consecutiveLocal: 0, splitLocalErrors: false },
  ...{ intervalMs: 1_000, baseEjectionMs: 30_000, maxEjectionMs: 300_000 },
  ...{ maxEjectionPercent: 100, minHealthPercent: 0 },
  ...more,
});

/** So many requests, one after the other. */
async function ask({ send }: ResilienceLab, count: number): Promise<string> {
  const client = await send(GET.repeat(count));
  await until(() => client.received.split("HTTP/1.1 ").length - 1 === count);
  client.close();
  return client.received;
}

const isAvailable = ({ lab, web, timers }: ResilienceLab, at = 0) =>
  lab.endpoints.isAvailable(web.endpoints[at]!.slot, timers.clock.now());

/** Requests that each endpoint gets of the next `count`. */
async function shares(lab: ResilienceLab, count: number): Promise<number[]> {
  const before = lab.counts();
  await ask(lab, count);
  return lab.counts().map((now, at) => now - before[at]!);
}

type Detector = readonly [what: string, policy: Partial<OutlierPolicy>, Behaviour, found: boolean];
const SPLIT = { splitLocalErrors: true };
const DETECTORS: readonly Detector[] = [
  ["consecutive 5xx by 500", { consecutive5xx: 3 }, status(500), true],
  ["consecutive 5xx by lost connections", { consecutive5xx: 3 }, resetting, true],
  ["consecutive 5xx by 404", { consecutive5xx: 3 }, status(404), false],
  ["gateway errors by 503", { consecutiveGateway: 3 }, status(503), true],
  ["gateway errors by lost connections", { consecutiveGateway: 3 }, resetting, true],
  ["gateway errors by 500", { consecutiveGateway: 3 }, status(500), false],
  ["local errors by lost connections", { ...SPLIT, consecutiveLocal: 3 }, resetting, true],
  ["local errors by 503", { ...SPLIT, consecutiveLocal: 3 }, status(503), false],
  ["5xx by lost connections counted apart", { ...SPLIT, consecutive5xx: 3 }, resetting, false],
];

describe("an endpoint is ejected for", () => {
  for (const [what, policy, behaviour, found] of DETECTORS) {
    it(`${what}: ${found ? "yes" : "no"}`, async (t) => {
      const settings = { outlier: outlier(policy) };
      const rule = { retry: retry({ attempts: 0 }) };
      const lab = await resilienceLab(t, [behaviour, well], { settings, rule });
      await ask(lab, 4);
      assert.equal(isAvailable(lab), true);
      await ask(lab, 2);
      assert.equal(isAvailable(lab), !found);
      assert.deepEqual(await shares(lab, 2), found ? [0, 2] : [1, 1]);
    });
  }

  it("its share of failures in an interval", async (t) => {
    const failurePercentage = { percent: 50, minHosts: 3, minRequests: 5 };
    const settings = { outlier: outlier({ failurePercentage }) };
    const lab = await resilienceLab(t, [status(500), well, well], { settings });
    await ask(lab, 15);
    assert.equal(isAvailable(lab), true);
    lab.timers.advance(1_000);
    await ask(lab, 3);
    assert.equal(isAvailable(lab), false);
  });

  it("a success rate far below that of the others", async (t) => {
    const successRate = { minHosts: 5, minRequests: 5, stdevFactor: 1.9 };
    const settings = { outlier: outlier({ successRate }) };
    const lab = await resilienceLab(t, [status(500), well, well, well, well], { settings });
    await ask(lab, 25);
    lab.timers.advance(1_000);
    await ask(lab, 5);
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((at) => isAvailable(lab, at)),
      [false, true, true, true, true],
    );
  });

  it("a latency far above that of the others", async (t) => {
    const latency = { factor: 3, minMs: 100, minHosts: 3 };
    const settings = { outlier: outlier({ latency, intervalMs: 10_000 }) };
    const lab = await resilienceLab(t, [silent, well, well], { settings });
    for (let turn = 0; turn < 12; turn++) {
      // The last one comes in the next interval, in which this one is judged.
      if (turn === 11) lab.timers.advance(10_000);
      const client = await lab.send(GET.repeat(3));
      await until(() => lab.counts()[0] === turn + 1);
      lab.timers.advance(150);
      lab.servers[0]!.sockets.at(-1)!.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      await until(() => client.received.split("HTTP/1.1 200").length === 4);
      client.close();
    }
    assert.equal(isAvailable(lab), false);
    assert.deepEqual(await shares(lab, 4), [0, 2, 2]);
  });
});

test("ejections of the same endpoint grow by their base, and end", async (t) => {
  const settings = { outlier: outlier({ consecutive5xx: 1, intervalMs: 100_000 }) };
  const lab = await resilienceLab(t, [status(500), well], { settings });
  for (const lengthMs of [30_000, 60_000, 90_000]) {
    await until(async () => {
      await ask(lab, 1);
      return !isAvailable(lab);
    });
    lab.timers.advance(lengthMs - 1);
    assert.equal(isAvailable(lab), false);
    lab.timers.advance(1);
    assert.equal(isAvailable(lab), true);
  }
});

test("no more than the share that is allowed is ejected, but for one; and never the last", async (t) => {
  for (const [maxEjectionPercent, left] of [
    [10, 3],
    [50, 2],
    [100, 1],
  ] as const) {
    const settings = { outlier: outlier({ consecutive5xx: 1, maxEjectionPercent }) };
    const bad = [status(500), status(500), status(500), status(500)];
    const lab = await resilienceLab(t, bad, { settings });
    await ask(lab, 12);
    assert.equal([0, 1, 2, 3].filter((at) => isAvailable(lab, at)).length, left);
  }
});

test("below the share of healthy endpoints that a service needs, all get requests (panic)", async (t) => {
  const policy = outlier({ consecutive5xx: 1, minHealthPercent: 60 });
  const behaviours = [status(500), well, status(500)];
  const lab = await resilienceLab(t, behaviours, { settings: { outlier: policy } });
  await ask(lab, 6);
  assert.deepEqual(await shares(lab, 6), [2, 2, 2]);
  const calm = { outlier: { ...policy, minHealthPercent: 30 } };
  const other = await resilienceLab(t, behaviours, { settings: calm });
  await ask(other, 6);
  assert.deepEqual(await shares(other, 6), [0, 6, 0]);
});

test("an endpoint that comes back is warmed up where the service has a slow start", async (t) => {
  const settings = { outlier: outlier({ consecutive5xx: 1, baseEjectionMs: 5_000 }) };
  let isWell = false;
  const recovers: Behaviour = (socket, received, index) =>
    (isWell ? well : status(500))(socket, received, index);
  const balance = { policy: "round-robin", slowStartMs: 10_000 } as const;
  const lab = await resilienceLab(t, [recovers, well], { settings, balance });
  lab.timers.advance(100_000);
  await ask(lab, 4);
  assert.equal(isAvailable(lab), false);
  isWell = true;
  lab.timers.advance(6_000);
  const [early = 0] = await shares(lab, 40);
  assert.ok(early >= 1 && early <= 12, `${early} of 40 at the start`);
  lab.timers.advance(20_000);
  const [late = 0] = await shares(lab, 40);
  assert.ok(late >= 19, `${late} of 40 at the end`);
});

describe("failure accrual", () => {
  const accrual = { maxFailures: 3, minPenaltyMs: 1_000, maxPenaltyMs: 60_000, jitterRatio: 0 };

  it("shuts an endpoint after failures in a row, and lets one request in after each pause", async (t) => {
    const lab = await resilienceLab(t, [status(500), well], { settings: { accrual } });
    await ask(lab, 6);
    assert.deepEqual(await shares(lab, 10), [0, 10]);
    for (const pauseMs of [1_000, 2_000, 4_000]) {
      lab.timers.advance(pauseMs - 1);
      assert.deepEqual(await shares(lab, 10), [0, 10]);
      lab.timers.advance(1);
      assert.deepEqual(await shares(lab, 10), [1, 9]);
    }
  });

  it("opens it again when the probe succeeds", async (t) => {
    let isWell = false;
    const recovers: Behaviour = (socket, received, index) =>
      (isWell ? well : status(500))(socket, received, index);
    const lab = await resilienceLab(t, [recovers, well], { settings: { accrual } });
    await ask(lab, 6);
    isWell = true;
    assert.deepEqual(await shares(lab, 4), [0, 4]);
    lab.timers.advance(1_000);
    const [first = 0] = await shares(lab, 10);
    assert.ok(first >= 4, `${first} of 10`);
  });

  it("hands the probe on where its client goes away", async (t) => {
    let isSilent = false;
    const hangs: Behaviour = (socket, received, index) =>
      (isSilent ? silent : status(500))(socket, received, index);
    const lab = await resilienceLab(t, [hangs, well], { settings: { accrual } });
    await ask(lab, 6);
    isSilent = true;
    lab.timers.advance(1_000);
    const clients = await Promise.all([lab.send(GET), lab.send(GET)]);
    await until(() => lab.counts()[0] === 4);
    for (const client of clients) client.socket.resetAndDestroy();
    await lab.settle();
    isSilent = false;
    assert.deepEqual(await shares(lab, 10), [1, 9]);
  });

  it("counts the share of successes too", async (t) => {
    const successRate = { threshold: 0.8, windowMs: 10_000, minRequests: 5 };
    let turn = 0;
    const mixed: Behaviour = (socket, received, index) =>
      (++turn % 2 === 0 ? well : status(500))(socket, received, index);
    const settings = { accrual: { ...accrual, maxFailures: 0, successRate } };
    const lab = await resilienceLab(t, [mixed, well], { settings });
    await ask(lab, 20);
    assert.deepEqual(await shares(lab, 4), [0, 4]);
  });
});

describe("locality", () => {
  const places = [
    { zone: "a", region: "r", host: "x" },
    { zone: "b", region: "r", host: "y", local: false },
  ];
  const config = { zone: "a", region: "r", host: "x" };
  const locality = { enabled: true };

  it("keeps requests near, and lets them go further when the near side fails", async (t) => {
    const settings = { locality, outlier: outlier({ consecutive5xx: 2 }) };
    let isWell = true;
    const near: Behaviour = (socket, received, index) =>
      (isWell ? well : status(500))(socket, received, index);
    const lab = await resilienceLab(t, [near, well], { ...{ settings, places, config } });
    assert.deepEqual(await shares(lab, 20), [20, 0]);
    isWell = false;
    await ask(lab, 2);
    assert.deepEqual(await shares(lab, 20), [0, 20]);
  });

  it("lets some go further while requests pile up near, to compare", async (t) => {
    const lab = await resilienceLab(t, [silent, well], { settings: { locality }, places, config });
    const clients = await Promise.all(Array.from({ length: 10 }, () => lab.send(GET)));
    await until(() => lab.counts()[0] === 10);
    lab.timers.advance(100);
    const next = await lab.send(GET);
    await next.until(/ok$/);
    assert.deepEqual(lab.counts(), [10, 1]);
    for (const client of clients) client.socket.resetAndDestroy();
    await lab.settle();
  });
});
