import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { KubeCall } from "../../src/kubernetes/api/kube-api.ts";
import { KubeApiError } from "../../src/kubernetes/api/kube-api-error.ts";
import { EventWriter } from "../../src/kubernetes/status/event-writer.ts";
import type { Notice } from "../../src/kubernetes/status/refusal-events.ts";
import type { Loose } from "../helpers/kube-store.ts";
import { until, untilStill } from "../helpers/until.ts";
import { FakeTime } from "../registry/fake-time.ts";
import { StatusLab, silent } from "./status-lab.ts";

const EVENTS = "/apis/events.k8s.io/v1/namespaces/shop/events";

const notice = (name: string, note = "spec.a: unknown field", generation = 1): Notice => ({
  regarding: {
    ...{ apiVersion: "split.smi-spec.io/v1alpha2", kind: "TrafficSplit", namespace: "shop", name },
    ...{ uid: `uid-${name}`, resourceVersion: "5" },
  },
  ...{ generation, reason: "Refused", note },
});

/** A writer over events in memory, whose time the test moves. */
function hand() {
  const time = new FakeTime();
  const events = new Map<string, Loose>();
  const calls: KubeCall[] = [];
  const lab = { time, events, calls, mayWrite: true, fail: null as KubeApiError | null };
  const request = async (call: KubeCall) => {
    calls.push(call);
    if (lab.fail !== null) throw lab.fail;
    if (call.method === "POST") {
      assert.equal(call.path, EVENTS);
      const { name } = (call.body as Loose).metadata;
      if (events.has(name)) throw new KubeApiError(409, "AlreadyExists", "it is there");
      events.set(name, call.body);
      return { status: 201, body: call.body };
    }
    const name = call.path.slice(EVENTS.length + 1);
    const found = events.get(name);
    if (found === undefined) throw new KubeApiError(404, "NotFound", "there is none");
    if (call.method === "PATCH") events.set(name, { ...found, ...(call.body as object) });
    return { status: 200, body: events.get(name) };
  };
  const start = () =>
    new EventWriter({
      ...{ api: { request }, mayWrite: () => lab.mayWrite, instance: "registry-0", timers: time },
      ...{ clock: time, wall: { now: () => Date.UTC(2026, 0, 1) + time.now() }, log: silent },
    });
  const pass = async (ms: number) => {
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    time.advance(ms);
    for (let turn = 0; turn < 200; turn++) await nextTurn();
  };
  return { ...lab, lab, start, pass, counts: () => [...events.values()].map(countOf) };
}

const countOf = ({ series }: Loose): number => series?.count ?? 1;

test("an Event has what the API asks for", async (t) => {
  const { start, pass, events } = hand();
  const writer = start();
  t.after(() => writer.stop());
  writer.tell([notice("s")]);
  await pass(0);
  const [event] = events.values();
  assert.match(event.metadata.name, /^s\.[0-9a-f]{16}$/);
  assert.deepEqual(
    { ...event, metadata: event.metadata.namespace },
    {
      ...{ apiVersion: "events.k8s.io/v1", kind: "Event", metadata: "shop", type: "Warning" },
      ...{ eventTime: "2026-01-01T00:00:00.000000Z", action: "Translate", reason: "Refused" },
      ...{ reportingController: "hostmesh.io/mesh", reportingInstance: "registry-0" },
      ...{ regarding: notice("s").regarding, note: "spec.a: unknown field" },
    },
  );
});

test("the same thing is told once, and counted when it is done again", async (t) => {
  const { start, pass, calls, counts } = hand();
  const writer = start();
  t.after(() => writer.stop());
  for (let again = 0; again < 10; again++) {
    writer.tell([notice("s")]);
    await pass(1_000);
  }
  assert.equal(calls.length, 1);
  // Written again with the same mistake, and much too often.
  for (let generation = 2; generation < 22; generation++) {
    writer.tell([notice("s", "spec.a: unknown field", generation)]);
    await pass(1_000);
  }
  await pass(30_000);
  assert.deepEqual([calls.length, counts()], [2, [2]]);
  assert.deepEqual(calls.at(-1)?.method, "PATCH");
});

test("what still holds is told again before the API server forgets it, or after", async (t) => {
  const { start, pass, events, counts } = hand();
  const writer = start();
  t.after(() => writer.stop());
  writer.tell([notice("s")]);
  await pass(1_800_000);
  assert.deepEqual(counts(), [2]);
  events.clear();
  await pass(1_800_000);
  assert.deepEqual(counts(), [1]);
  // What is mended is not.
  writer.tell([]);
  await pass(7_200_000);
  assert.deepEqual(counts(), [1]);
});

test("another replica does not say it again, and goes on with the count", async (t) => {
  const { start, pass, counts } = hand();
  const first = start();
  first.tell([notice("s")]);
  await pass(1_800_000);
  await first.stop();
  const second = start();
  t.after(() => second.stop());
  second.tell([notice("s")]);
  await pass(0);
  assert.deepEqual(counts(), [2]);
  await pass(1_800_000);
  assert.deepEqual(counts(), [3]);
});

test("a crowd of mistakes is told little by little", async (t) => {
  const { start, pass, events } = hand();
  const writer = start();
  t.after(() => writer.stop());
  writer.tell(Array.from({ length: 40 }, (_, index) => notice(`s-${index}`)));
  await pass(0);
  assert.equal(events.size, 25);
  await pass(5_000);
  assert.ok(events.size >= 26 && events.size <= 30, String(events.size));
  await pass(60_000);
  assert.equal(events.size, 40);
});

test("an Event that cannot be written disturbs no other, and is tried again where that may help", async (t) => {
  const { lab, start, pass, events, calls } = hand();
  const writer = start();
  t.after(() => writer.stop());
  lab.fail = new KubeApiError(403, "Forbidden", "no");
  writer.tell([notice("a"), notice("b")]);
  await pass(0);
  assert.deepEqual([calls.length, events.size], [2, 0]);
  lab.fail = null;
  await pass(60_000);
  assert.equal(events.size, 2);
  lab.fail = new KubeApiError(422, "Invalid", "no");
  writer.tell([notice("c")]);
  await pass(0);
  lab.fail = null;
  await pass(60_000);
  assert.equal(events.size, 2);
});

test("a note is as long as the API takes, in bytes", async (t) => {
  const { start, pass, events } = hand();
  const writer = start();
  t.after(() => writer.stop());
  for (let length = 1_010; length < 1_030; length++) {
    writer.tell([notice("s", "x".repeat(length - 1_000) + "ä".repeat(1_000))]);
    await pass(31_000);
  }
  for (const { note } of events.values()) assert.ok(Buffer.byteLength(note) <= 1_024);
  assert.ok(events.size > 1);
});

test("who does not lead writes nothing", async (t) => {
  const { lab, start, pass, calls } = hand();
  lab.mayWrite = false;
  const writer = start();
  t.after(() => writer.stop());
  writer.tell([notice("s")]);
  await pass(0);
  assert.equal(calls.length, 0);
});

const SERVICES = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { clusterIP: 10.96.3.1, ports: [{ name: a, port: 80 }, { name: b, port: 81 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web-v1, namespace: shop }
spec: { clusterIP: 10.96.3.2, ports: [{ port: 80 }] }
---
`;

const split = (weight: number, more = "") => `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: { name: canary, namespace: shop }
spec: { service: web, backends: [{ service: web-v1.shop, weight: ${weight} }, { service: web, weight: 1 }]${more} }
`;

test("a split whose backend lacks a port of its root, and a refused resource, have Events", async (t) => {
  const lab = await StatusLab.start(t);
  await lab.apply(SERVICES + split(1));
  await lab.replica(true);
  await until(() => lab.events().length === 1);
  const [first] = lab.events();
  assert.deepEqual(
    [first.reason, first.note, first.regarding.uid],
    [
      "BackendWithoutPort",
      "shop/web-v1 has no port 81",
      lab.object("split.smi-spec.io/v1alpha2", "TrafficSplit", "canary").metadata.uid,
    ],
  );
  await lab.apply(split(-1));
  await until(() => lab.events().some(({ reason }) => reason === "Refused"));
  const refused = lab.events().find(({ reason }) => reason === "Refused");
  assert.match(refused.note, /^spec\.backends\[0\]\.weight: /);
  await untilStill(() => lab.server.calls.length);
  assert.equal(lab.events().length, 2);
});

const virtualService = (http: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, namespace: shop }
spec: { hosts: [web], http: ${http} }
`;

test("an Istio resource tells its verdict beside what istiod says", async (t) => {
  const lab = await StatusLab.start(t);
  const found = () => lab.object("networking.istio.io/v1", "VirtualService", "web").status;
  const summary = () => {
    const { conditions = [], validationMessages = [] } = found() ?? {};
    return [
      ...conditions.map(({ type, status, reason }: Loose) => `${type}=${status} ${reason}`),
      ...validationMessages.map(({ type, level }: Loose) => `${type.code} ${level}`),
    ];
  };
  await lab.apply(virtualService("[{ route: [{ destination: { host: web } }] }]"));
  const istiods = { type: "Reconciled", status: "True", reason: "", message: "" };
  const object = lab.object("networking.istio.io/v1", "VirtualService", "web");
  const message = { type: { name: "Other", code: "IST0101" }, level: "ERROR" };
  const status = { conditions: [istiods], validationMessages: [message], observedGeneration: "1" };
  lab.server.apply({ ...object, status });
  await lab.replica(true);
  const becomes = (...lines: string[]) =>
    until(() => JSON.stringify(summary()) === JSON.stringify(lines), { what: lines.join() });
  await becomes("Reconciled=True ", "hostmesh.io/Accepted=True Accepted", "IST0101 ERROR");
  assert.equal(found().observedGeneration, "1");
  await lab.apply(virtualService("[{ nonsense: 1 }]"));
  await becomes(
    "Reconciled=True ",
    "hostmesh.io/Accepted=False Refused",
    "IST0101 ERROR",
    "HM0002 ERROR",
  );
  assert.match(
    found().conditions[1].message,
    /^generation 1 stays in force; spec\.http\[0\]\.nonsense: unknown field/,
  );
  await lab.apply(virtualService("[{ name: x, route: [{ destination: { host: web } }] }]"));
  await becomes("Reconciled=True ", "hostmesh.io/Accepted=True Accepted", "IST0101 ERROR");
  // Istiod writes its own anew, before ours: that is no reason to write.
  const writes = lab.writes();
  const after = lab.object("networking.istio.io/v1", "VirtualService", "web");
  const reordered = [...after.status.conditions].reverse();
  lab.server.apply({ ...after, status: { ...after.status, conditions: reordered } });
  await untilStill(() => lab.server.calls.length, 500);
  assert.equal(lab.writes(), writes);
});
