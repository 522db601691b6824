import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { KubeCall } from "../../src/kubernetes/api/kube-api.ts";
import { KubeApiError } from "../../src/kubernetes/api/kube-api-error.ts";
import { Leader, microTime } from "../../src/kubernetes/leader.ts";
import { FakeTime } from "../registry/fake-time.ts";

const LEASE = "/apis/coordination.k8s.io/v1/namespaces/mesh/leases";
const silent = { debug() {}, info() {}, warn() {}, error() {} };

interface Lease {
  metadata: Record<string, unknown>;
  spec: Record<string, unknown>;
}

/** The one Lease, as an API server keeps it. */
class LeaseServer {
  lease: Lease | null = null;
  writes = 0;
  conflicts = 0;
  /** Runs between the arrival of a call and its effect. */
  before: (call: KubeCall) => void | Promise<void> = () => undefined;
  #version = 0;

  readonly request = async (call: KubeCall): Promise<{ status: number; body: unknown }> => {
    await this.before(call);
    if (call.method === "GET") {
      assert.equal(call.path, `${LEASE}/registry`);
      if (this.lease === null) throw new KubeApiError(404, "NotFound", "there is none");
      return { status: 200, body: structuredClone(this.lease) };
    }
    const sent = call.body as Lease;
    const isNew = call.method === "POST";
    assert.equal(call.path, isNew ? LEASE : `${LEASE}/registry`);
    const known = this.lease?.metadata["resourceVersion"];
    if (isNew ? this.lease !== null : sent.metadata["resourceVersion"] !== known) {
      this.conflicts++;
      throw new KubeApiError(409, isNew ? "AlreadyExists" : "Conflict", "written in between");
    }
    this.writes++;
    const resourceVersion = String(++this.#version);
    this.lease = structuredClone({ ...sent, metadata: { ...sent.metadata, resourceVersion } });
    return { status: 200, body: this.lease };
  };

  get holder(): unknown {
    return this.lease?.spec["holderIdentity"];
  }
}

interface Candidate {
  readonly leader: Leader;
  readonly time: FakeTime;
  /** Is its connection to the server cut? */
  cut: boolean;
  readonly told: boolean[];
}

function candidate(t: TestContext, server: LeaseServer, identity: string): Candidate {
  const time = new FakeTime();
  const told: boolean[] = [];
  const made: Candidate = {
    ...{ time, told, cut: false },
    leader: new Leader({
      api: {
        request: (call) =>
          made.cut ? Promise.reject(new Error("no answer")) : server.request(call),
      },
      ...{ namespace: "mesh", name: "registry", identity, timers: time, clock: time },
      ...{ wall: { now: () => Date.UTC(2026, 0, 1) + time.now() }, random: () => 0, log: silent },
    }),
  };
  made.leader.subscribe((leading) => told.push(leading));
  made.leader.start();
  t.after(() => {
    made.cut = false;
    return made.leader.stop();
  });
  return made;
}

/** Lets everything happen that waits for no timer. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await nextTurn();
}

/** Moves the clocks of all, a tenth of a second at a time. */
async function pass(ms: number, ...all: readonly Candidate[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    for (const { time } of all) time.advance(100);
    await settle();
    assert.ok(all.filter(({ leader }) => leader.isLeader()).length <= 1, "two lead");
  }
}

test("of two candidates one leads, and renews its lease", async (t) => {
  const server = new LeaseServer();
  const a = candidate(t, server, "a");
  await settle();
  const b = candidate(t, server, "b");
  await pass(60_000, a, b);
  assert.equal(a.leader.isLeader(), true);
  assert.deepEqual([a.told, b.told], [[true], []]);
  assert.deepEqual(b.leader.status(), { leading: false, holder: "a" });
  assert.equal(server.writes, 31);
  assert.deepEqual(server.lease?.spec, {
    holderIdentity: "a",
    leaseDurationSeconds: 15,
    acquireTime: "2026-01-01T00:00:00.000000Z",
    renewTime: "2026-01-01T00:01:00.000000Z",
    leaseTransitions: 0,
  });
});

test("two that stand at the same moment: the server's conflict decides", async (t) => {
  const server = new LeaseServer();
  const all = [candidate(t, server, "a"), candidate(t, server, "b")];
  await settle();
  assert.equal(server.conflicts, 1);
  assert.equal(all.filter(({ leader }) => leader.isLeader()).length, 1);
});

test("a leader that is cut off stops before the other begins", async (t) => {
  const server = new LeaseServer();
  const a = candidate(t, server, "a");
  await settle();
  const b = candidate(t, server, "b");
  await pass(4_000, a, b);
  a.cut = true;
  await pass(9_900, a, b);
  assert.equal(a.leader.isLeader(), true);
  await pass(200, a, b);
  assert.equal(a.leader.isLeader(), false);
  assert.deepEqual(a.told, [true, false]);
  assert.equal(b.leader.isLeader(), false);
  await pass(4_000, a, b);
  assert.equal(b.leader.isLeader(), false);
  await pass(4_000, a, b);
  assert.equal(b.leader.isLeader(), true);
  assert.equal(server.lease?.spec["leaseTransitions"], 1);
  // When it is back it sees that another leads.
  a.cut = false;
  await pass(20_000, a, b);
  assert.deepEqual([a.leader.status().holder, a.leader.isLeader()], ["b", false]);
});

test("a process that stood still does not take itself for the leader, though its timers are late", async (t) => {
  const server = new LeaseServer();
  const a = candidate(t, server, "a");
  await settle();
  const clock = a.time.now.bind(a.time);
  t.mock.method(a.time, "now", () => clock() + 10_000);
  assert.equal(a.leader.isLeader(), false);
});

test("time counts from before the renewal was sent", async (t) => {
  const server = new LeaseServer();
  const gate = Promise.withResolvers<void>();
  server.before = ({ method }) => (method === "POST" ? gate.promise : undefined);
  const a = candidate(t, server, "a");
  await settle();
  a.time.advance(9_000);
  gate.resolve();
  await settle();
  assert.equal(a.leader.isLeader(), true);
  server.before = () => Promise.reject(new Error("no answer"));
  a.time.advance(1_000);
  assert.equal(a.leader.isLeader(), false);
});

test("an answer that comes too late makes nobody a leader", async (t) => {
  const server = new LeaseServer();
  const gate = Promise.withResolvers<void>();
  server.before = ({ method }) => (method === "POST" ? gate.promise : undefined);
  const a = candidate(t, server, "a");
  await settle();
  a.time.advance(10_000);
  gate.resolve();
  await settle();
  assert.deepEqual([a.leader.isLeader(), a.told], [false, []]);
});

test("who stops gives the lease back, and the next one need not wait", async (t) => {
  const server = new LeaseServer();
  const a = candidate(t, server, "a");
  await settle();
  const b = candidate(t, server, "b");
  await settle();
  await a.leader.stop();
  assert.deepEqual([server.holder, a.leader.isLeader(), a.told], ["", false, [true, false]]);
  await pass(2_000, b);
  assert.equal(b.leader.isLeader(), true);
});

test("a lease that another took is not given back", async (t) => {
  const server = new LeaseServer();
  const a = candidate(t, server, "a");
  await settle();
  if (server.lease !== null) server.lease.spec["holderIdentity"] = "c";
  await a.leader.stop();
  assert.equal(server.holder, "c");
});

test("dates in the lease are not believed: a candidate counts from what it saw itself", async (t) => {
  const server = new LeaseServer();
  const long = { holderIdentity: "gone", leaseDurationSeconds: 15, renewTime: microTime(0) };
  server.lease = { metadata: { resourceVersion: "0", labels: { own: "x" } }, spec: long };
  const b = candidate(t, server, "b");
  await pass(14_000, b);
  assert.equal(b.leader.isLeader(), false);
  await pass(3_000, b);
  assert.equal(b.leader.isLeader(), true);
  assert.deepEqual(server.lease.metadata["labels"], { own: "x" });
});

test("a server that forbids leases, or answers nonsense, makes no leader and no crash", async (t) => {
  const server = new LeaseServer();
  server.before = () => Promise.reject(new KubeApiError(403, "Forbidden", "no"));
  const a = candidate(t, server, "a");
  await pass(10_000, a);
  assert.equal(a.leader.isLeader(), false);
  server.before = () => undefined;
  server.lease = { metadata: {}, spec: null as never };
  await pass(10_000, a);
  assert.equal(a.leader.isLeader(), false);
  server.lease = null;
  await pass(5_000, a);
  assert.equal(a.leader.isLeader(), true);
});
