import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { processClock, wallClock } from "../../src/core/clock.ts";
import { KubeApi } from "../../src/kubernetes/api/kube-api.ts";
import { Leader } from "../../src/kubernetes/leader.ts";
import { EventWriter } from "../../src/kubernetes/status/event-writer.ts";
import type { Notice } from "../../src/kubernetes/status/refusal-events.ts";
import { entriesPatch, PARENTS } from "../../src/kubernetes/status/shared-entries.ts";
import { type StatusObject, statusObjectOf } from "../../src/kubernetes/status/status-object.ts";
import { StatusWriter } from "../../src/kubernetes/status/status-writer.ts";
import { processTimers } from "../../src/registry/timers.ts";
import { until } from "../helpers/until.ts";
import { FakeTime } from "../registry/fake-time.ts";
import { Cluster } from "./cluster.ts";
import { installDefinitions } from "./crds.ts";
import { kubeSkipReason } from "./programs.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const GATEWAY = "gateway.networking.k8s.io";
const ROUTES = `/apis/${GATEWAY}/v1/namespaces/default/httproutes`;
const EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events";
const LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

describe("a real API server takes what a leader writes", { skip: kubeSkipReason() }, () => {
  let cluster: Cluster;
  let api: KubeApi;
  before(async () => {
    cluster = await Cluster.start();
    const kubeconfig = cluster.kubeconfig("leader", cluster.tokens.admin);
    api = await KubeApi.open({ kubeconfig, context: "", log });
  });
  after(async () => {
    await api?.close();
    await cluster?.stop();
  });

  test("its Lease, which goes from one to the next", async () => {
    const candidate = (identity: string) =>
      new Leader({
        ...{ api, namespace: "default", name: "registry", identity, timers: processTimers },
        ...{ clock: processClock, wall: wallClock, random: Math.random, log },
      });
    const [first, second] = [candidate("a"), candidate("b")];
    first.start();
    await until(() => first.isLeader());
    second.start();
    await until(() => second.status().holder === "a");
    await first.stop();
    await until(() => second.isLeader());
    const { body } = await cluster.admin.call("GET", `${LEASES}/registry`);
    const { holderIdentity, leaseTransitions } = body.spec;
    assert.deepEqual([holderIdentity, leaseTransitions], ["b", 1]);
    await second.stop();
  });

  test("statuses, beside those that others have written in between", async (t) => {
    const { admin } = cluster;
    await installDefinitions(admin, "gateway");
    const parentRef = { group: "", kind: "Service", name: "web" };
    const [made] = await admin.apply({
      ...{ apiVersion: `${GATEWAY}/v1`, kind: "HTTPRoute" },
      ...{ metadata: { name: "shared", namespace: "default" } },
      spec: { parentRefs: [parentRef] },
    });
    assert.ok(made !== undefined);
    let newest: StatusObject = statusObjectOf(made as never);
    // What is known is old by now.
    const theirs = { parentRef: { name: "front" }, controllerName: "example.net/other" };
    const patch = { status: { parents: [{ ...theirs, conditions: [] }] } };
    await admin.call("PATCH", `${ROUTES}/shared/status`, patch, "application/merge-patch+json");
    const condition = {
      type: "Accepted",
      status: "True",
      reason: "Accepted",
      message: "",
    } as const;
    const wanted = [{ ref: parentRef, conditions: [{ ...condition, observedGeneration: 1 }] }];
    const resource = {
      ...{ group: GATEWAY, version: "v1", kind: "HTTPRoute", plural: "httproutes" },
      namespaced: true,
    };
    const writer = new StatusWriter({
      ...{ api, mayWrite: () => true, timers: processTimers, clock: processClock },
      ...{ random: Math.random, log, perSecond: 100, gone: () => assert.fail("it is there") },
      writeFor: () => {
        const now = "2026-01-01T00:00:00Z";
        const own = entriesPatch(newest.status, PARENTS, wanted, now);
        return own === null ? null : { object: newest, resource, patch: own };
      },
      observed: (object) => {
        newest = statusObjectOf(object);
      },
    });
    t.after(() => writer.stop());
    writer.offer(newest.key);
    const parents = async (): Promise<{ controllerName: string }[]> => {
      const { body } = await admin.call("GET", `${ROUTES}/shared`);
      return body.status.parents;
    };
    await until(async () => (await parents()).length === 2);
    assert.deepEqual(
      (await parents()).map(({ controllerName }) => controllerName),
      ["example.net/other", "hostmesh.io/mesh"],
    );
    assert.equal(newest.generation, 1);
  });

  test("Events, and their series", async (t) => {
    const time = new FakeTime();
    const writer = new EventWriter({
      ...{ api, mayWrite: () => true, instance: "registry-0", timers: time, clock: time },
      ...{ wall: wallClock, log },
    });
    t.after(() => writer.stop());
    const notice: Notice = {
      regarding: {
        ...{ apiVersion: `${GATEWAY}/v1`, kind: "HTTPRoute", namespace: "default", name: "shared" },
        ...{ uid: "6d0e3f0e-0000-4000-8000-000000000000", resourceVersion: "1" },
      },
      ...{ generation: 1, reason: "Refused", note: "ä".repeat(1_000) },
    };
    const counts = async (): Promise<number[]> => {
      const { body } = await cluster.admin.call("GET", EVENTS);
      return body.items.map(({ series }: { series?: { count: number } }) => series?.count ?? 1);
    };
    writer.tell([notice]);
    await until(async () => (await counts()).join() === "1");
    await until(() => time.pending() > 0);
    time.advance(1_800_000);
    await until(async () => (await counts()).join() === "2");
  });
});
