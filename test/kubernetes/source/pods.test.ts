import assert from "node:assert/strict";
import { test } from "node:test";
import { applyChanges } from "../../../src/kubernetes/source/apply-changes.ts";
import { Draft } from "../../../src/registry/draft.ts";
import type { ResourcePlanSettings } from "../../../src/registry/plan-resource.ts";
import { until } from "../../helpers/until.ts";
import { call, dig } from "../../registry/setup.ts";
import {
  clusterLab,
  daemonOf,
  IN,
  namespaceOf,
  nodeOf,
  podOf,
  serviceOf,
  sliceOf,
} from "./cluster-lab.ts";

const PLACES = [
  nodeOf("node-1"),
  nodeOf("node-2"),
  daemonOf("node-1", "192.0.2.1"),
  daemonOf("node-2", "192.0.2.2"),
];
const SHOP = [...PLACES, namespaceOf("shop")];
const at = (records: ReadonlyMap<string, unknown>, key: string) =>
  records.get(`workload ${key}`) as { addresses: string[]; host: string; uid: string } | undefined;
const endpointsIn = (records: ReadonlyMap<string, unknown>) =>
  [...records].filter(([key]) => key.startsWith("endpoint ")).map(([, value]) => value);

test("an address that is used again is the later pod's at once, whatever the earlier one still says", async (t) => {
  const earlier = podOf("earlier", "10.1.0.1", { account: "earlier" });
  const { records, server } = await clusterLab(t, { objects: [...SHOP, earlier] });
  await until(() => at(records, "shop/earlier")?.addresses.length === 1);
  const later = podOf("later", "10.1.0.1", {
    ...{ account: "later", node: "node-2" },
    status: { startTime: "2026-01-01T00:00:05Z" },
  });
  server.apply(later);
  await until(() => at(records, "shop/later")?.addresses[0] === "10.1.0.1");
  assert.deepEqual(at(records, "shop/earlier")?.addresses, []);
  // Gone again, before the other: what is left is the other's, for as long as it says so.
  server.remove(later);
  await until(() => at(records, "shop/earlier")?.addresses[0] === "10.1.0.1");
  assert.equal(at(records, "shop/later"), undefined);
});

test("what a kubelet reports and is no address harms nobody else", async (t) => {
  const odd = podOf("odd", "010.0.0.9");
  const { records, server } = await clusterLab(t, { objects: [...SHOP, odd] });
  server.apply(podOf("mapped", "::ffff:010.0.0.9"));
  server.apply(podOf("scoped", "fe80::1%eth0"));
  server.apply(podOf("sound", "10.1.0.3"));
  await until(() => at(records, "shop/sound")?.addresses[0] === "10.1.0.3");
  for (const name of ["odd", "mapped", "scoped"]) {
    assert.deepEqual(at(records, `shop/${name}`)?.addresses ?? [], [], name);
  }
});

test("a record that cannot be written is left out, and does not hold up the others", () => {
  const draft = new Draft({ get: () => undefined, members: () => [] });
  const sound = {
    ...{ name: "sound", namespace: "shop", serviceAccount: "web", host: "node-1" },
    ...{ addresses: ["10.1.0.3"], labels: {} },
  };
  const odd = { ...sound, name: "odd", labels: { n: 5 as unknown as string } };
  const workloads = [odd, sound].map((value) => ({ key: `shop/${value.name}`, value }));
  const settings: ResourcePlanSettings = {
    ...{ rootNamespaces: [], trustDomain: "cluster.local", defaultIntention: "deny" },
    ...{ historyPerResource: 0, ranges: [], balancer: { policy: "peak-ewma", slowStartMs: 0 } },
  };
  const changes = { stale: [], removed: [], resources: [], workloads, hosts: [] };
  const { unusable } = applyChanges(draft, changes, settings, { atMs: 0, by: "test" });
  assert.equal(unusable.length, 1);
  assert.match(unusable.join(), /^workload shop\/odd: /);
  const keys = draft.writes().map(({ key }) => key);
  assert.deepEqual(keys, ["shop/sound"]);
});

test("an address that goes to a pod of longer standing is that one's at once, and stays so", async (t) => {
  const young = podOf("young", "10.1.0.1", { status: { startTime: "2026-01-01T00:03:00Z" } });
  const objects = [...SHOP, podOf("old", "10.1.0.9"), young];
  const { records, server } = await clusterLab(t, { objects });
  await until(() => at(records, "shop/young")?.addresses.length === 1);
  // Their node has started again: they have other sandboxes, and no other startTime.
  server.apply(podOf("old", "10.1.0.1"));
  await until(() => at(records, "shop/old")?.addresses[0] === "10.1.0.1");
  assert.deepEqual(at(records, "shop/young")?.addresses, []);
  server.apply({ ...young, metadata: { ...young.metadata, labels: { still: "old-address" } } });
  await until(() => dig(at(records, "shop/young"), "labels.still") !== undefined);
  assert.deepEqual(at(records, "shop/young")?.addresses, []);
  assert.deepEqual(at(records, "shop/old")?.addresses, ["10.1.0.1"]);
});

test("a later pod outside of the mesh takes the address all the same", async (t) => {
  const earlier = podOf("earlier", "10.1.0.1");
  const { records, server } = await clusterLab(t, { objects: [...SHOP, earlier] });
  await until(() => at(records, "shop/earlier")?.addresses.length === 1);
  server.apply(
    podOf("later", "10.1.0.1", {
      metadata: { annotations: { "hostmesh.io/inject": "disabled" } },
      status: { startTime: "2026-01-01T00:00:05Z" },
    }),
  );
  await until(() => at(records, "shop/earlier")?.addresses.length === 0);
  assert.equal(at(records, "shop/later"), undefined);
});

test("a pod of the same name is another one by its UID, and endpoints of the former are not called", async (t) => {
  const objects = [
    ...SHOP,
    podOf("web-0", "10.1.0.1"),
    serviceOf("web", "10.96.0.1"),
    sliceOf("web-a", "web", [{ ip: "10.1.0.1", pod: "web-0" }]),
  ];
  const { records, server } = await clusterLab(t, { objects });
  const state = () => endpointsIn(records).map((one) => [dig(one, "health"), dig(one, "outside")]);
  await until(() => endpointsIn(records).length === 1);
  assert.deepEqual(state(), [["passing", undefined]]);
  const again = podOf("web-0", "10.1.0.1", { metadata: { uid: "uid-of-another" } });
  server.apply(again);
  await until(() => at(records, "shop/web-0")?.uid === "uid-of-another");
  await until(() => dig(endpointsIn(records)[0], "health") === "critical");
  assert.deepEqual(state(), [["critical", true]]);
});

test("a pod has a record from its node on, until it ends or nothing of it runs any more", async (t) => {
  const { records, server } = await clusterLab(t, { objects: SHOP });
  const pending = { status: { phase: "Pending", podIP: undefined, podIPs: undefined } };
  server.apply(podOf("job", "", { ...pending, spec: { nodeName: undefined } }));
  server.apply(podOf("other", "10.1.0.9"));
  await until(() => at(records, "shop/other") !== undefined);
  assert.equal(at(records, "shop/job"), undefined, "placed nowhere yet");
  server.apply(podOf("job", "", pending));
  await until(() => at(records, "shop/job")?.host === "node-1");
  assert.deepEqual(at(records, "shop/job")?.addresses, []);
  server.apply(podOf("job", "10.1.0.1"));
  await until(() => at(records, "shop/job")?.addresses[0] === "10.1.0.1");

  const leaving = { metadata: { deletionTimestamp: "2026-01-01T00:01:00Z" } };
  const state = (...names: string[]) => ({
    containerStatuses: names.map((name) => ({ name, state: { [name]: {} } })),
  });
  server.apply(podOf("job", "10.1.0.1", { ...leaving, status: state("terminated", "running") }));
  server.apply(podOf("other", "10.1.0.9", { status: { phase: "Succeeded" } }));
  await until(() => at(records, "shop/other") === undefined);
  assert.deepEqual(at(records, "shop/job")?.addresses, ["10.1.0.1"], "a container still runs");
  server.apply(podOf("job", "10.1.0.1", { ...leaving, status: state("terminated") }));
  await until(() => at(records, "shop/job") === undefined);
});

test("labels of namespaces and pods take pods in and let them out while they run", async (t) => {
  const objects = [
    ...PLACES,
    namespaceOf("shop", {}),
    podOf("web-1", "10.1.0.1"),
    serviceOf("web", "10.96.0.1"),
    sliceOf("web-a", "web", [{ ip: "10.1.0.1", pod: "web-1" }]),
  ];
  const { records, server } = await clusterLab(t, { objects });
  const isIn = () => {
    const [endpoint] = endpointsIn(records);
    const isOutside = dig(endpoint, "outside") === true;
    const hasRecord = at(records, "shop/web-1") !== undefined;
    assert.equal(dig(endpoint, "health"), "passing");
    return isOutside === hasRecord ? null : hasRecord;
  };
  await until(() => endpointsIn(records).length === 1 && isIn() === false, { what: "out" });
  server.apply(namespaceOf("shop"));
  await until(() => isIn() === true, { what: "in by its namespace" });
  const out = { annotations: { "hostmesh.io/inject": "disabled" } };
  server.apply(podOf("web-1", "10.1.0.1", { metadata: out }));
  await until(() => isIn() === false, { what: "out by its annotation" });
  server.apply(namespaceOf("shop", {}));
  server.apply(podOf("web-1", "10.1.0.1", { metadata: { labels: IN } }));
  await until(() => isIn() === true, { what: "in by its label" });
});

test("pods with the host's network, and the mesh's own, are nobody", async (t) => {
  const { records, registry } = await clusterLab(t, {
    objects: [
      ...SHOP,
      podOf("on-the-host", "192.0.2.1", { metadata: { labels: IN }, spec: { hostNetwork: true } }),
      podOf("dual", "10.1.0.1", {
        status: { podIPs: [{ ip: "10.1.0.1" }, { ip: "FD00::0001" }] },
      }),
      podOf("registry-0", "10.1.0.5", {
        ...{ namespace: "hostmesh-system", metadata: { labels: IN } },
      }),
    ],
  });
  await until(() => at(records, "shop/dual") !== undefined);
  assert.deepEqual(at(records, "shop/dual")?.addresses, ["10.1.0.1", "fd00::1"]);
  const workloads = [...records.keys()].filter((key) => key.startsWith("workload "));
  assert.deepEqual(workloads, ["workload shop/dual"]);
  const { body } = await call(registry, "GET", "/v1/mesh/status");
  assert.equal(dig(body, "source.refusedCount"), 0, "what is the mesh's own is left alone");
});

test("a node keeps its place of mutual TLS without its daemon, and loses it with itself", async (t) => {
  const { records, server } = await clusterLab(t, { objects: SHOP });
  await until(() => records.has("host node-1") && records.has("host node-2"));
  server.remove(daemonOf("node-1", "192.0.2.1"));
  server.apply(daemonOf("node-2", "192.0.2.22", "hostmesh-again"));
  await until(() => dig(records.get("host node-2"), "address") === "192.0.2.22");
  assert.ok(records.has("host node-1"), "nobody goes over to plaintext by himself");
  server.remove(nodeOf("node-1"));
  await until(() => !records.has("host node-1"));
});

test("a node that is deleted and made again beside its unchanged daemon takes mutual TLS all the time", async (t) => {
  const { records, server } = await clusterLab(t, { objects: SHOP });
  const host = () => records.get("host node-1");
  await until(() => host() !== undefined && records.has("host node-2"));
  const before = host();
  const written = async (zone: string) => {
    // Nodes are told of in order.
    server.apply(nodeOf("node-2", zone));
    await until(() => dig(records.get("host node-2"), "zone") === zone);
  };
  server.remove(nodeOf("node-1"));
  await written("zone-1");
  assert.deepEqual(host(), before, "its daemon still serves");
  server.apply(nodeOf("node-1"));
  await written("zone-2");
  assert.deepEqual(host(), before);
  server.remove(nodeOf("node-1"));
  server.apply(nodeOf("node-1"));
  await written("zone-3");
  assert.deepEqual(host(), before);
  server.remove(daemonOf("node-1", "192.0.2.1"));
  await until(() => dig(host(), "away") === true, { what: "away as a node that is there" });
});

test("a node that is deleted before its daemon's pod goes with that", async (t) => {
  const daemon = daemonOf("node-1", "192.0.2.1");
  const { records, server } = await clusterLab(t, { objects: SHOP });
  await until(() => records.has("host node-1") && records.has("host node-2"));
  server.remove(nodeOf("node-1"));
  server.apply(nodeOf("node-2", "zone-b"));
  await until(() => dig(records.get("host node-2"), "zone") === "zone-b");
  const deletionTimestamp = "2026-01-01T00:01:00Z";
  server.apply({ ...daemon, metadata: { ...daemon.metadata, deletionTimestamp } });
  await until(() => dig(records.get("host node-1"), "away") === true);
  server.remove(daemon);
  await until(() => !records.has("host node-1"));
});

test("a node is away from the wish to end its daemon until the next one is ready", async (t) => {
  const daemon = daemonOf("node-1", "192.0.2.1");
  const { records, server } = await clusterLab(t, { objects: SHOP });
  const host = () => records.get("host node-1");
  const place = { zone: "zone-a", region: "here" };
  const there = { name: "node-1", address: "192.0.2.1", meshPort: 15_008, ...place };
  await until(() => host() !== undefined);
  assert.deepEqual(host(), there);
  const becomes = (away: boolean) => until(() => (dig(host(), "away") === true) === away);

  const deletionTimestamp = "2026-01-01T00:01:00Z";
  server.apply({ ...daemon, metadata: { ...daemon.metadata, deletionTimestamp } });
  await becomes(true);
  assert.deepEqual(host(), { ...there, away: true });
  server.remove(daemon);
  const again = daemonOf("node-1", "192.0.2.1", "hostmesh-again");
  const conditions = [{ type: "Ready", status: "False" }];
  server.apply({ ...again, status: { ...again.status, conditions } });
  server.apply(podOf("web-1", "10.1.0.1"));
  await until(() => at(records, "shop/web-1") !== undefined);
  assert.deepEqual(host(), { ...there, away: true }, "it is not ready yet");
  server.apply(again);
  await becomes(false);
  assert.deepEqual(host(), there);
  server.remove(again);
  await becomes(true);
});

test("a daemon learns from its host's record where its Node is", async (t) => {
  const nowhere = { apiVersion: "v1", kind: "Node", metadata: { name: "node-1" }, spec: {} };
  const { records, server } = await clusterLab(t, {
    objects: [nowhere, daemonOf("node-1", "192.0.2.1")],
  });
  const zone = () => dig(records.get("host node-1"), "zone");
  await until(() => records.has("host node-1"));
  assert.equal(zone(), undefined);
  server.apply(nodeOf("node-1", "zone-b"));
  await until(() => zone() === "zone-b");
  // A later daemon of it is no less there.
  server.apply(daemonOf("node-1", "192.0.2.9", "hostmesh-again"));
  await until(() => dig(records.get("host node-1"), "address") === "192.0.2.9");
  assert.equal(zone(), "zone-b");
});

test("a daemon with a network of its own is reached at the address of its pod", async (t) => {
  const daemon = daemonOf("node-1", "192.0.2.1");
  const own = {
    ...daemon,
    spec: { ...daemon.spec, hostNetwork: undefined },
    status: { ...daemon.status, podIP: "10.1.0.7", podIPs: [{ ip: "10.1.0.7" }] },
  };
  const { records } = await clusterLab(t, { objects: [nodeOf("node-1"), own] });
  await until(() => records.has("host node-1"));
  assert.equal(dig(records.get("host node-1"), "address"), "10.1.0.7");
});
