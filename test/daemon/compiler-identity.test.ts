import assert from "node:assert/strict";
import test from "node:test";
import { Compiler } from "../../daemon/compiler.ts";
import { FakeClock } from "../../src/core/clock.ts";
import type { Change } from "../../src/core/model.ts";
import type { PeerPolicy } from "../../src/core/policy.ts";
import type { DataEndpoint, DataUpdate } from "../../src/core/snapshot.ts";
import { endpoint, memoryLog, put, service, workload } from "./fixtures.ts";

function setup(trustDomain: string | null = "cluster.local") {
  const idle = { busy: () => false, reset: () => undefined };
  const compiler = new Compiler({
    host: "node-a",
    ownAddresses: ["192.168.0.1"],
    trustDomain,
    endpoints: { slots: 64, state: idle },
    workloads: { slots: 64, state: idle },
    services: { slots: 8, state: { busy: () => false, reset: () => undefined } },
    clock: new FakeClock(),
    log: memoryLog().log,
  });
  let revision = 0;
  const delta = (...changes: Change[]) =>
    compiler.apply({ revision: ++revision, full: false, changes });
  const resync = (...changes: Change[]) =>
    compiler.apply({ revision: ++revision, full: true, changes });
  return { compiler, delta, resync };
}

const nodeB: Change = {
  kind: "host",
  key: "node-b",
  value: { name: "node-b", address: "192.168.0.2", meshPort: 15_008 },
};

function peer(mode: PeerPolicy["mode"], scope: Partial<PeerPolicy["scope"]> = {}): Change {
  const value: PeerPolicy = {
    kind: "peer",
    source: "PeerAuthentication default/it",
    createdMs: 0,
    scope: { namespace: "default", labels: {}, ...scope },
    mode,
    ports: {},
  };
  return { kind: "policy", key: "it", value };
}

function only(update: DataUpdate): DataEndpoint {
  const [one] = update.services.flatMap(({ endpoints }) => endpoints);
  assert.ok(one !== undefined);
  return one;
}

test("an endpoint has the identity of the workload at its address, else one after its service", () => {
  const { delta } = setup();
  const first = delta(put(service("web")), put(endpoint("node-b/1", "web")));
  assert.equal(only(first).identity, "spiffe://cluster.local/ns/default/sa/web");
  const { address } = only(first);
  const record = { ...workload("shop", "node-b", [address]), serviceAccount: "till" };
  assert.equal(
    only(delta(put(record))).identity,
    "spiffe://cluster.local/ns/default/sa/till",
    "the record that comes later",
  );
  const elsewhere = { ...record, host: "node-c" };
  assert.equal(
    only(delta(put(elsewhere))).identity,
    "spiffe://cluster.local/ns/default/sa/web",
    "the same address on another host is somebody else's",
  );
});

test("an endpoint of another host is reached by mutual TLS once that host has a mesh port", () => {
  const { delta } = setup();
  const plain = delta(put(service("web")), put(endpoint("node-b/1", "web")));
  assert.equal(only(plain).mesh, undefined);
  assert.deepEqual(only(delta(nodeB)).mesh, { host: "192.168.0.2", port: 15_008 });
  assert.equal(only(delta(peer("disable"))).mesh, undefined, "who asks for plaintext gets it");
  assert.ok(only(delta(peer("strict"))).mesh);
  assert.equal(only(delta({ ...nodeB, value: null } as Change)).mesh, undefined);
});

test("an endpoint is behind a daemon that is away only where that is how it is reached", () => {
  const { delta } = setup();
  delta(put(service("web")), put(endpoint("node-b/1", "web")));
  assert.equal(only(delta(nodeB)).away, undefined);
  const away = { ...nodeB, value: { ...nodeB.value, away: true } } as Change;
  assert.equal(only(delta(away)).away, true);
  assert.equal(only(delta(peer("disable"))).away, undefined, "plaintext needs no daemon");
});

test("workers learn where their host is from its own record, once", () => {
  const { compiler, delta, resync } = setup();
  assert.equal(delta(put(service("web"))).place, undefined);
  const value = { name: "node-a", address: "192.168.0.1", meshPort: 15_008, zone: "zone-a" };
  const own: Change = { kind: "host", key: "node-a", value };
  assert.equal(delta(nodeB).place, undefined, "another one's");
  assert.deepEqual(delta(own).place, { zone: "zone-a", region: "" });
  assert.equal(delta(put(service("shop"))).place, undefined);
  assert.equal(resync(put(service("web")), own).place, undefined, "nothing new");
  assert.deepEqual(compiler.full().place, { zone: "zone-a", region: "" });
  assert.deepEqual(resync(put(service("web"))).place, { zone: "", region: "" });
});

test("a local endpoint carries the workload as policies select it", () => {
  const { delta } = setup();
  const update = delta(
    put(service("web")),
    put(endpoint("node-a/1", "web", { address: "10.1.0.5", meta: { version: "v2" } })),
    put({ ...workload("pod", "node-a", ["10.1.0.5"]), labels: { app: "web" } }),
  );
  const { target, mesh } = only(update);
  assert.deepEqual(target?.labels, { version: "v2", app: "web" });
  assert.deepEqual(target?.services, ["web"]);
  assert.equal(mesh, undefined);
});

test("certificates are needed for the host, its endpoints and its workloads, and for no others", () => {
  const { compiler, delta } = setup();
  delta(
    put(service("web")),
    put(endpoint("node-a/1", "web", { address: "10.1.0.5" })),
    put(endpoint("node-b/1", "far")),
    put({ ...workload("job", "node-a", ["10.1.0.6"]), serviceAccount: "runner" }),
  );
  assert.deepEqual(compiler.localIdentities(), [
    "spiffe://cluster.local/ns/default/sa/runner",
    "spiffe://cluster.local/ns/default/sa/web",
    "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a",
  ]);
});

test("without identities nothing carries one", () => {
  const { compiler, delta } = setup(null);
  const update = delta(put(service("web")), put(endpoint("node-b/1", "web")), nodeB);
  assert.equal(only(update).identity, undefined);
  assert.equal(only(update).mesh, undefined);
  assert.deepEqual(compiler.localIdentities(), []);
});

test("addresses are guarded while a policy covers who lives there", () => {
  const { compiler, delta, resync } = setup();
  const records = [
    put(service("web")),
    put(endpoint("node-a/1", "web", { address: "10.1.0.5", meta: { app: "web" } })),
    put({ ...workload("job", "node-a", ["10.1.0.6"]), namespace: "batch" }),
  ];
  delta(...records);
  assert.deepEqual(compiler.guardedAddresses(), []);
  delta(peer("strict", { labels: { app: "web" } }));
  assert.deepEqual(compiler.guardedAddresses(), ["10.1.0.5"]);
  delta(peer("strict", { namespace: "batch" }));
  assert.deepEqual(compiler.guardedAddresses(), ["10.1.0.6"], "also without an endpoint");
  delta(peer("permissive", { namespace: null }));
  assert.deepEqual(compiler.guardedAddresses(), []);
  delta(peer("strict", { namespace: null }));
  const update = resync(...records);
  assert.deepEqual(compiler.guardedAddresses(), [], "a full state without the policy ends it");
  assert.deepEqual(update.policies?.byKey, {});
});

test("workers are told of policies whole, and only when they change", () => {
  const { delta } = setup();
  assert.equal(delta(put(service("web"))).policies, undefined);
  assert.deepEqual(Object.keys(delta(peer("strict")).policies?.byKey ?? {}), ["it"]);
  assert.equal(delta(put(service("api"))).policies, undefined);
});

test("an endpoint outside of the mesh is nobody here, and is called in the clear wherever it is", () => {
  const { compiler, delta } = setup();
  const far = endpoint("node-b/1", "web", { address: "10.1.0.8" });
  const near = endpoint("node-a/1", "web", { address: "10.1.0.9" });
  const inside = delta(put(service("web")), put(far), put(near), nodeB, peer("strict"));
  const [first, second] = inside.services.flatMap(({ endpoints }) => endpoints);
  assert.ok(first?.mesh !== undefined && second?.target !== undefined);
  assert.deepEqual(compiler.localAddresses(), ["10.1.0.9"]);

  const outside = { outside: true } as const;
  const update = delta(put({ ...far, ...outside }), put({ ...near, ...outside }));
  for (const one of update.services.flatMap(({ endpoints }) => endpoints)) {
    assert.equal(one.outside, true);
    assert.deepEqual([one.identity, one.mesh, one.target], [undefined, undefined, undefined]);
  }
  assert.deepEqual(update.removedWorkloads, ["default/web@10.1.0.9"]);
  assert.deepEqual(compiler.localAddresses(), []);
  assert.deepEqual(compiler.guardedAddresses(), []);
  assert.deepEqual(compiler.localIdentities(), [
    "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a",
  ]);
});
