import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeBottleneck, type Pressure } from "../../bench/run/judge.ts";
import { type Moment, type ProcessMoment, readMoment, used } from "../../bench/run/moment.ts";
import { type Seen, type Subject, toSample } from "../../bench/run/to-sample.ts";
import { contestant, loadResult, WORKLOAD } from "./run-lab.ts";

function judged(given: Partial<Pressure>): string {
  return judgeBottleneck({
    ...{ rate: null, throughput: 50_000, lateP99Ms: null, generatorCores: 0.4 },
    ...{ upstreamCores: 0.3, proxyCores: 0.5, loadBusy: 0.7, proxyBusy: 0.5 },
    ...given,
  });
}

test("an asked rate that was reached is what set the throughput", () => {
  assert.equal(judged({ rate: 50_000, proxyBusy: 1 }), "rate");
  assert.equal(judged({ rate: 50_500, proxyBusy: 1 }), "rate");
  assert.equal(judged({ rate: 51_000, proxyBusy: 1 }), "proxy");
});

test("a full generator or upstream is the bottleneck, also where the proxies are full too", () => {
  assert.equal(judged({ generatorCores: 0.96, proxyBusy: 1, loadBusy: 1 }), "generator");
  assert.equal(judged({ upstreamCores: 0.96, proxyBusy: 1 }), "upstream");
  assert.equal(judged({ loadBusy: 0.97, proxyBusy: 1 }), "load");
});

test("a generator that sends late is the bottleneck of a rate that was not reached", () => {
  assert.equal(judged({ rate: 60_000, lateP99Ms: 40 }), "generator");
  assert.equal(judged({ rate: 60_000, lateP99Ms: 1, proxyBusy: 0.99 }), "proxy");
});

test("full proxies are found by their CPUs, and without pins by their workers", () => {
  assert.equal(judged({ proxyBusy: 0.99 }), "proxy");
  assert.equal(judged({ proxyBusy: null, loadBusy: null, proxyCores: 0.98 }), "proxy");
  assert.equal(judged({ proxyBusy: null, loadBusy: null }), "unknown");
});

function moment(
  atMs: number,
  idle: readonly [number, number],
  cpu: Record<number, number>,
): Moment {
  const processes = new Map<number, ProcessMoment>();
  for (const [pid, userMs] of Object.entries(cpu)) {
    processes.set(Number(pid), { userMs, systemMs: userMs / 2, contextSwitches: userMs });
  }
  return {
    clock: { atMs, idleMs: new Map(idle.map((ms, at) => [at, ms])) },
    processes,
    tcpOpens: atMs,
  };
}

const MEMORY = { pssBytes: 100, rssBytes: 200, pids: [] };
const SUBJECT: Subject = {
  contestant: contestant({
    proxies: [
      { role: "client sidecar", pid: 10, host: "a" },
      { role: "server sidecar of web-0", pid: 20, host: "b" },
    ],
  }),
  ...{ workload: WORKLOAD, round: 0, workers: 1 },
  site: { proxyCpus: [0], ownCpus: null, loadCpus: [1], upstreamCpus: [1] },
};

function seen(given: Partial<Seen>): Seen {
  return {
    load: loadResult({ connectionsOpened: 64 }),
    before: moment(0, [0, 0], { 10: 100, 20: 200, 21: 0, 99: 0 }),
    after: moment(1_000, [100, 600], { 10: 300, 20: 400, 21: 100, 99: 200 }),
    pids: { proxies: [10, 20, 21], upstream: 99 },
    pidsAfter: [10, 20, 21],
    memory: { a: MEMORY, b: MEMORY },
    ...{ openConnections: 128, tls: 3, upstreamOpens: 16 },
    ...given,
  };
}

test("a sample adds up all proxies, and takes what load and upstream did out of the handshakes", () => {
  const sample = toSample(SUBJECT, seen({}));
  assert.deepEqual(sample.cpu, { userMs: 500, systemMs: 250 });
  assert.equal(sample.contextSwitches, 500);
  assert.deepEqual(sample.pssBytes, { a: 100, b: 100 });
  assert.deepEqual(sample.handshakes, { tcp: 1_000 - 64 - 16, tls: 3 });
  assert.deepEqual([sample.proxyBusy, sample.loadBusy], [0.9, 0.4]);
  assert.ok(Math.abs((sample.foreignShare ?? 0) - 0.15) < 1e-9);
  assert.deepEqual(sample.problems, []);
});

test("where load and upstream run beside the proxies that is told, and is not foreign", () => {
  const site = { proxyCpus: [0, 1], ownCpus: [[0], [1]], loadCpus: [1], upstreamCpus: [0] };
  const busy = seen({
    before: moment(0, [0, 0], { 10: 0, 20: 0, 21: 0, 99: 0 }),
    after: moment(1_000, [0, 200], { 10: 300, 20: 200, 21: 100, 99: 200 }),
  });
  const both = toSample({ ...SUBJECT, site }, busy);
  assert.equal(both.isCpuShared, true);
  // 900 ms of the proxies, 300 of the upstream, 300 of the generator; 200 of 2,000 were idle.
  assert.ok(Math.abs((both.foreignShare ?? 0) - 0.15) < 1e-9, `${both.foreignShare}`);
  assert.equal(both.proxyBusy, 0.9);
  const [client] = SUBJECT.contestant.proxies;
  assert.ok(client !== undefined);
  // A path of one proxy has the first core, beside the upstream alone.
  const one = { ...SUBJECT, site, contestant: contestant({ proxies: [client] }) };
  const alone = toSample(one, { ...busy, pids: { proxies: [10], upstream: 99 }, pidsAfter: [10] });
  assert.deepEqual([alone.proxyBusy, alone.isCpuShared], [1, true]);
  assert.ok(Math.abs((alone.foreignShare ?? 0) - 0.25) < 1e-9, `${alone.foreignShare}`);
  assert.equal(toSample(SUBJECT, seen({})).isCpuShared, false);
});

test("the direct way has no proxies, and nothing is told of them", () => {
  const direct = { ...SUBJECT, contestant: contestant({ mode: "direct", peer: null }) };
  const sample = toSample(direct, seen({ pids: { proxies: [], upstream: 99 }, pidsAfter: [] }));
  const { cpu, contextSwitches, pssBytes, openConnections, handshakes } = sample;
  const told = [cpu, contextSwitches, pssBytes, openConnections, handshakes];
  assert.deepEqual(told, [null, null, null, null, null]);
});

test("errors, answers that are missing or torn, and processes that come or go make a sample invalid", () => {
  const of = (given: Partial<Seen>) => toSample(SUBJECT, seen(given)).problems;
  const errors = { connect: 2, "status 503": 1, reset: 0 };
  assert.deepEqual(of({ load: loadResult({ errors }) }), ["2 × connect", "1 × status 503"]);
  const none = loadResult({ requests: 0, bodyBytes: 0 });
  assert.deepEqual(of({ load: none }), ["no request was completed"]);
  const torn = loadResult({ bodyBytes: 114_999 });
  assert.match(of({ load: torn })[0] ?? "", /114999 bytes of bodies came instead of 115000/);
  assert.match(of({ pidsAfter: [10, 20, 22] })[0] ?? "", /began or ended/);
});

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

test("this very process is seen to work between two moments", onLinux, () => {
  const before = readMoment([process.pid], [process.pid]);
  const end = process.cpuUsage().user + 60_000;
  while (process.cpuUsage().user < end) Math.sqrt(Math.random());
  const after = readMoment([process.pid], [process.pid]);
  const { userMs, systemMs } = used([process.pid], before, after);
  assert.ok(userMs + systemMs >= 40, `${userMs} + ${systemMs} ms`);
  assert.ok(after.tcpOpens >= before.tcpOpens);
  assert.equal(readMoment([2 ** 22 + 1], []).processes.size, 0);
});
