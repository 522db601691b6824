import assert from "node:assert/strict";
import { test } from "node:test";
import { definitionOf } from "../../helpers/kube-store.ts";
import { until } from "../../helpers/until.ts";
import { call, dig } from "../../registry/setup.ts";
import {
  clusterLab,
  daemonOf,
  namespaceOf,
  nodeOf,
  podOf,
  serviceOf,
  sliceOf,
} from "./cluster-lab.ts";

const SHOP = [
  namespaceOf("shop"),
  nodeOf("node-1"),
  daemonOf("node-1", "192.0.2.1"),
  podOf("web-1", "10.1.0.1", { metadata: { labels: { app: "web" } } }),
  serviceOf("web", "10.96.0.1"),
  sliceOf("web-a", "web", [{ ip: "10.1.0.1", pod: "web-1" }]),
];

test("what a cluster has is there before anybody is served", async (t) => {
  const { records, registry, log } = await clusterLab(t, { objects: SHOP });
  await until(() => records.size > 0, { what: "the first state" });
  assert.deepEqual(records.get("workload shop/web-1"), {
    ...{ name: "web-1", namespace: "shop", serviceAccount: "web", host: "node-1" },
    ...{ addresses: ["10.1.0.1"], labels: { app: "web" }, uid: "uid-of-web-1" },
  });
  assert.deepEqual(records.get("host node-1"), {
    ...{ name: "node-1", address: "192.0.2.1", meshPort: 15_008 },
    ...{ zone: "zone-a", region: "here" },
  });
  const [endpoint] = endpointsIn(records);
  assert.deepEqual(
    [dig(endpoint, "address"), dig(endpoint, "host"), dig(endpoint, "workload")],
    ["10.1.0.1", "node-1", "shop/web-1"],
  );
  assert.deepEqual([dig(endpoint, "zone"), dig(endpoint, "region")], ["zone-a", "here"]);
  assert.deepEqual(dig(endpoint, "meta"), { app: "web" });
  assert.deepEqual(dig(records.get("service shop/web"), "addresses"), ["10.96.0.1"]);
  const { body } = await call(registry, "GET", "/v1/mesh/resources");
  assert.deepEqual(
    Object.values(body as object).flatMap((each) => dig(each, "warnings")),
    [],
    "what an API server adds is nothing to warn of",
  );
  assert.ok(!log.lines.some(({ level }) => level === "warn" || level === "error"));
});

const endpointsIn = (records: ReadonlyMap<string, unknown>) =>
  [...records].filter(([key]) => key.startsWith("endpoint ")).map(([, value]) => value);
const addressesIn = (records: ReadonlyMap<string, unknown>) =>
  endpointsIn(records)
    .map((one) => `${dig(one, "address")} ${dig(one, "health")}`)
    .sort()
    .join(", ");

test("changes follow, and what is gone goes", async (t) => {
  const { records, server } = await clusterLab(t, { objects: SHOP });
  const more = podOf("web-2", "10.1.0.2", { metadata: { labels: { app: "web" } } });
  server.apply(more);
  const both = [
    { ip: "10.1.0.1", pod: "web-1" },
    { ip: "10.1.0.2", pod: "web-2" },
  ];
  server.apply(sliceOf("web-a", "web", both));
  await until(() => addressesIn(records) === "10.1.0.1 passing, 10.1.0.2 passing");
  server.remove(more);
  await until(() => addressesIn(records) === "10.1.0.1 passing, 10.1.0.2 critical", {
    what: "a pod that is gone, but for its slice",
  });
  assert.ok(!records.has("workload shop/web-2"));
  server.apply(sliceOf("web-a", "web", both.slice(0, 1)));
  await until(() => addressesIn(records) === "10.1.0.1 passing");
  server.remove(serviceOf("web", ""));
  server.remove(sliceOf("web-a", "web", []));
  await until(() => !records.has("service shop/web") && endpointsIn(records).length === 0);
});

test("heartbeats of kubelets and statuses change nothing", async (t) => {
  const { records, server, registry } = await clusterLab(t, { objects: SHOP });
  await until(() => records.size > 0);
  const { revision } = (await call(registry, "GET", "/v1/mesh/status")).body as {
    revision: number;
  };
  server.apply({ ...nodeOf("node-1"), status: { conditions: [{ type: "Ready" }] } });
  server.apply(
    podOf("web-1", "10.1.0.1", {
      metadata: { labels: { app: "web" }, annotations: { "example.com/seen": "now" } },
      status: { containerStatuses: [{ name: "main", restartCount: 3, state: { running: {} } }] },
    }),
  );
  // Something that is written shows that the others came before it.
  server.apply(serviceOf("last", "10.96.0.9"));
  await until(() => records.has("service shop/last"));
  const after = await call(registry, "GET", "/v1/mesh/status");
  assert.equal(dig(after.body, "revision"), revision + 1);
});

test("writes are refused, and the answer says where to turn", async (t) => {
  const { registry } = await clusterLab(t, { objects: SHOP });
  const refused = [
    ["PUT", "/v1/mesh/services/shop/other", {}],
    ["DELETE", "/v1/mesh/services/shop/web"],
    ["PUT", "/v1/mesh/endpoints/node-1/x", { service: "web", address: "10.1.0.9", port: 80 }],
    ["DELETE", "/v1/mesh/endpoints/node-1/x"],
    ["PUT", "/v1/mesh/workloads/shop/x", { serviceAccount: "a", addresses: ["10.1.0.9"] }],
    ["DELETE", "/v1/mesh/workloads/shop/web-1"],
    ["POST", "/v1/mesh/apply", {}],
    ["POST", "/v1/mesh/resources", serviceOf("other", "10.96.0.2")],
    ["DELETE", "/v1/mesh/resources/core/Service/shop/web"],
    ["POST", "/v1/mesh/resources/core/Service/shop/web/rollback", {}],
    ["PUT", "/v1/agent/service/register", { Name: "x", Port: 80 }],
    ["PUT", "/v1/agent/service/deregister/x"],
  ] as const;
  for (const [method, path, body] of refused) {
    const answer = await call(registry, method, path, body);
    assert.equal(answer.status, 409, path);
    assert.match(
      String(dig(answer.body, "error")),
      /reads Kubernetes: change it there \(kubectl\)/,
    );
  }
  const validate = await call(registry, "POST", "/v1/mesh/resources/validate", [
    serviceOf("other", "10.96.0.2"),
  ]);
  assert.equal(validate.status, 200, "what writes nothing goes on");
  const forgotten = await call(registry, "DELETE", "/v1/mesh/hosts/node-1");
  assert.equal(dig(forgotten.body, "removed"), true);
});

test("the status says what is read, how new it is, and what was refused", async (t) => {
  const bad = serviceOf("bad", "10.96.0.3", { ports: [{ port: 80 }, { port: 81 }] });
  const { registry, server } = await clusterLab(t, { objects: [...SHOP, bad] });
  await until(() => server.watches() === 6, { what: "everything is watched" });
  const { body } = await call(registry, "GET", "/v1/mesh/status");
  const source = dig(body, "source");
  assert.deepEqual([dig(source, "kind"), dig(source, "synced")], ["kubernetes", true]);
  assert.equal(dig(source, "notSyncedMs"), 0);
  const kinds = dig(source, "kinds") as Record<string, unknown>;
  assert.equal(dig(kinds["core/Pod"], "lists"), 1);
  assert.match(String((dig(source, "position") as Record<string, string>)["core/Pod"]), /^\d+$/);
  assert.equal(dig(source, "refusedCount"), 1);
  assert.equal(dig(source, "refused.0.key"), "core/Service/shop/bad");
  assert.equal(dig(source, "refused.0.issues.0.path"), "spec.ports[0].name");
  const ready = await call(registry, "GET", "/v1/mesh/ready");
  assert.deepEqual([ready.status, dig(ready.body, "synced")], [200, true]);

  server.apply(serviceOf("bad", "10.96.0.3"));
  await until(async () => {
    const now = await call(registry, "GET", "/v1/mesh/status");
    return dig(now.body, "source.refusedCount") === 0;
  });
});

test("custom resources are read where they are installed, also later, and go with their definition", async (t) => {
  const { records, server } = await clusterLab(t, { objects: SHOP });
  const definition = definitionOf("networking.istio.io", "VirtualService", ["v1"]);
  const rule = {
    ...{ apiVersion: "networking.istio.io/v1", kind: "VirtualService" },
    metadata: { name: "web", namespace: "shop", managedFields: [{ manager: "kubectl" }] },
    spec: { hosts: ["web"], http: [{ timeout: "5s", route: [{ destination: { host: "web" } }] }] },
    status: { conditions: [] },
  };
  server.apply(definition);
  server.apply(rule);
  const routes = () => [...records.keys()].filter((key) => key.startsWith("route "));
  await until(() => routes().length === 1, { what: "the rule" });
  server.remove(definition);
  await until(() => routes().length === 0, { what: "nothing left of it" });
});

test("a field that is not known is left out and named, and does not cost the resource", async (t) => {
  const { records, registry, server } = await clusterLab(t, { objects: SHOP });
  const later = serviceOf("later", "10.96.0.4", {
    ...{ fieldOfTomorrow: { a: 1 }, trafficDistribution: "PreferSameMoon" },
    ports: [{ name: "http", port: 80, protocol: "TCP", another: true }],
  });
  server.apply(later);
  await until(() => records.has("service shop/later"));
  const { body } = await call(registry, "GET", "/v1/mesh/status");
  const unknown = dig(body, "source.unknownFields") as Record<string, string[]>;
  assert.deepEqual(unknown["core/Service/shop/later"]?.toSorted(), [
    "spec.fieldOfTomorrow",
    "spec.ports[0].another",
  ]);
});

test("an address that another Service still has is taken when that goes", async (t) => {
  const { records, registry, server } = await clusterLab(t, { objects: SHOP });
  server.apply(serviceOf("next", "10.96.0.1"));
  const refused = async () => {
    const { body } = await call(registry, "GET", "/v1/mesh/status");
    return dig(body, "source.refusedCount");
  };
  await until(async () => (await refused()) === 1);
  server.remove(serviceOf("web", ""));
  server.remove(sliceOf("web-a", "web", []));
  await until(() => dig(records.get("service shop/next"), "addresses.0") === "10.96.0.1");
  assert.equal(await refused(), 0);
});

test("a history with a gap makes no difference but for what has changed", async (t) => {
  const { records, server, updates, registry } = await clusterLab(t, { objects: SHOP });
  await until(() => server.watches() === 6 && records.size > 0);
  const before = updates.length;
  server.store.advance();
  server.store.compact();
  server.resetWatches();
  server.apply(serviceOf("new", "10.96.0.5"));
  await until(() => records.has("service shop/new"), { what: "what came meanwhile" });
  const { body } = await call(registry, "GET", "/v1/mesh/status");
  const kinds = dig(body, "source.kinds") as Record<string, unknown>;
  assert.equal(dig(kinds["core/Service"], "relists"), 1);
  assert.ok(updates.slice(before).every(({ full, changes }) => !full && changes === 1));
});

test("without its API server a registry serves what it knows, and says since when", async (t) => {
  const { records, registry, server, client } = await clusterLab(t, { objects: SHOP });
  await until(() => server.watches() === 6 && records.size > 0);
  const { port } = server;
  await server.stop();
  await until(async () => {
    const { body } = await call(registry, "GET", "/v1/mesh/status");
    return dig(body, "source.synced") === false && Number(dig(body, "source.notSyncedMs")) > 0;
  });
  const ready = await call(registry, "GET", "/v1/mesh/ready");
  assert.deepEqual([ready.status, dig(ready.body, "synced")], [200, false]);
  assert.ok(records.has("workload shop/web-1") && client !== null);
  server.apply(serviceOf("back", "10.96.0.6"));
  await server.listen(port);
  await until(() => records.has("service shop/back"), { what: "the server is back" });
});
