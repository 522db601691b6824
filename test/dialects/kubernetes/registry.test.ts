import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../helpers/until.ts";
import { call, dig, testClient, testRegistry } from "../../registry/setup.ts";

const PATH = "/v1/mesh/resources";

const metadata = (name: string, more: object = {}) => ({ name, namespace: "shop", ...more });
const service = {
  ...{ apiVersion: "v1", kind: "Service", metadata: metadata("web") },
  spec: { selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
};
const pod = (version: string, ready: "True" | "False" = "True") => ({
  ...{
    apiVersion: "v1",
    kind: "Pod",
    metadata: metadata("web-1", { labels: { app: "web", version } }),
  },
  spec: { nodeName: "node-1", containers: [] },
  status: { podIP: "10.1.0.1", conditions: [{ type: "Ready", status: ready }] },
});
const slice = (name: string, ...addresses: readonly string[]) => ({
  ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
  metadata: metadata(name, { labels: { "kubernetes.io/service-name": "web" } }),
  ports: [{ name: "http", port: 8080 }],
  endpoints: addresses.map((address) => ({ addresses: [address], nodeName: "node-1" })),
});

test("a Service of a file becomes a service with an address, and its endpoints follow pods and slices", async (t) => {
  const registry = await testRegistry(t);
  const { client, records } = await testClient(t, [registry.url]);
  await client.start();
  const apply = async (...resources: readonly object[]) => {
    const { status, body } = await call(registry, "POST", PATH, resources);
    assert.equal(status, 200, JSON.stringify(body));
  };
  const endpoints = () =>
    [...records].filter(([key]) => key.startsWith("endpoint ")).map(([, value]) => value);
  const addresses = () =>
    endpoints()
      .map((each) => String(dig(each, "address")))
      .sort()
      .join();

  await apply(service, pod("v1"));
  await until(() => addresses() === "10.1.0.1", { what: "the pod's endpoint" });
  assert.match(String(dig(records.get("service shop/web"), "addresses.0")), /^240\.240\./);
  assert.deepEqual(dig(endpoints()[0], "meta"), { app: "web", version: "v1" });

  await apply(pod("v2", "False"));
  await until(() => dig(endpoints()[0], "health") === "critical", { what: "the pod's new state" });
  assert.equal(dig(endpoints()[0], "meta.version"), "v2");

  // Kubernetes' own slice names the same address.
  await apply(slice("one", "10.1.0.1"));
  await until(() => endpoints().every((each) => dig(each, "health") === "passing"), {
    what: "the slice in place of the pod",
  });
  assert.equal(addresses(), "10.1.0.1");
  await apply(slice("one", "10.1.0.7", "10.1.0.8"));
  await until(() => addresses() === "10.1.0.7,10.1.0.8", { what: "the slice's change" });
  // One endpoint moves: it is in both slices first, then in the younger one only.
  await apply(slice("two", "10.1.0.8", "10.1.0.9"));
  await until(() => addresses() === "10.1.0.7,10.1.0.8,10.1.0.9", { what: "both slices" });
  await apply(slice("one", "10.1.0.7"));
  await until(() => addresses() === "10.1.0.7,10.1.0.8,10.1.0.9", { what: "nothing lost" });
  assert.equal(endpoints().length, 3);
  // And back, which the older one is told of first.
  await apply(slice("one", "10.1.0.7", "10.1.0.9"));
  await apply(slice("two", "10.1.0.8"));
  await until(() => addresses() === "10.1.0.7,10.1.0.8,10.1.0.9", { what: "the move back" });
  assert.equal(endpoints().length, 3);

  for (const name of ["one", "two"]) {
    await call(registry, "DELETE", `${PATH}/discovery.k8s.io/EndpointSlice/shop/${name}`);
  }
  await until(() => addresses() === "10.1.0.1", { what: "the pod again" });
  await call(registry, "DELETE", `${PATH}/core/Service/shop/web`);
  await until(() => endpoints().length === 0 && !records.has("service shop/web"), {
    what: "nothing left",
  });
});
