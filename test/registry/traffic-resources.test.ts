import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../helpers/until.ts";
import { call, dig, tempFolder, testClient, testRegistry } from "./setup.ts";

const PATH = "/v1/mesh/resources";
const metadata = { name: "reviews", namespace: "shop" };
const service = {
  ...{ apiVersion: "v1", kind: "Service", metadata },
  spec: { ports: [{ name: "http", port: 9080 }], selector: { app: "reviews" } },
};
const rule = {
  ...{ apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata },
  spec: {
    host: "reviews",
    subsets: ["v1", "v2"].map((version) => ({ name: version, labels: { version } })),
  },
};
const canary = (weight: number) => ({
  ...{ apiVersion: "networking.istio.io/v1", kind: "VirtualService", metadata },
  spec: {
    hosts: ["reviews"],
    http: [
      {
        route: [
          { destination: { host: "reviews", subset: "v1" }, weight: 100 - weight },
          { destination: { host: "reviews", subset: "v2" }, weight },
        ],
      },
    ],
  },
});
const ROUTE = "networking.istio.io/VirtualService/shop/reviews";
const POLICY = "networking.istio.io/DestinationRule/shop/reviews";
const instance = (version: string) => ({
  ...{ service: "reviews", namespace: "shop", address: "10.0.0.1", port: 9080 },
  meta: { version },
});

test("a canary of registered endpoints reaches the daemons, changes with its weight, and goes", async (t) => {
  const registry = await testRegistry(t);
  const { client, records } = await testClient(t, [registry.url]);
  await client.start();
  await call(registry, "PUT", "/v1/mesh/endpoints/h1/a", instance("v1"));
  const { body } = await call(registry, "POST", PATH, [service, rule, canary(5)]);
  assert.equal(dig(body, "refused"), 0);
  await until(() => records.has(`route ${ROUTE}`), { what: "the route at the daemon" });
  const weights = () =>
    [0, 1].map((index) =>
      dig(records.get(`route ${ROUTE}`), `rules.0.action.backends.${index}.weight`),
    );
  assert.deepEqual(weights(), [95, 5]);
  assert.equal(dig(records.get(`traffic ${POLICY}`), "subsets.1.labels.version"), "v2");
  assert.equal(dig(records.get("service shop/reviews"), "ports.0.port"), 9080);
  assert.match(String(dig(records.get("service shop/reviews"), "addresses.0")), /^240\.240\./);
  assert.deepEqual(dig(records.get("endpoint h1/a"), "meta"), { version: "v1" });

  await call(registry, "POST", PATH, canary(50));
  await until(() => weights()[1] === 50, { what: "the new weight" });
  await call(registry, "POST", `${PATH}/${ROUTE}/rollback`);
  await until(() => weights()[1] === 5, { what: "the weight before" });

  for (const key of [ROUTE, POLICY, "core/Service/shop/reviews"]) {
    await call(registry, "DELETE", `${PATH}/${key}`);
  }
  const left = () => [...records.keys()].filter((key) => /^(route|traffic) /.test(key));
  await until(() => left().length === 0, { what: "both to go" });
  await until(() => dig(records.get("service shop/reviews"), "ports.0") === undefined, {
    what: "the service to be as its endpoint implies it",
  });
  assert.deepEqual(dig(records.get("endpoint h1/a"), "meta"), { version: "v1" });
});

test("a resource for a declared service is refused with its path, and the others of the request are taken", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/services/shop/reviews", {});
  const { status, body } = await call(registry, "POST", PATH, [service, rule]);
  assert.deepEqual(
    [status, dig(body, "results.0.result"), dig(body, "results.1.result")],
    [200, "refused", "created"],
  );
  assert.equal(dig(body, "results.0.errors.0.path"), "metadata.name");
  assert.match(String(dig(body, "results.0.errors.0.reason")), /declared by registration/);
  assert.equal((await call(registry, "GET", `${PATH}/core/Service/shop/reviews`)).status, 404);
});

test("a virtual address that another service has is refused where it stands", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/services/shop/other", { addresses: ["10.9.9.9"] });
  const spec = { clusterIP: "10.9.9.9", ports: [{ port: 80 }] };
  const entry = {
    ...{ apiVersion: "networking.istio.io/v1", kind: "ServiceEntry" },
    metadata: { name: "outside", namespace: "shop" },
    spec: {
      ...{ hosts: ["a.example.com"], addresses: ["10.9.9.9"] },
      ports: [{ number: 80, name: "http" }],
    },
  };
  const { body } = await call(registry, "POST", PATH, [{ ...service, spec }, entry]);
  assert.equal(dig(body, "results.0.errors.0.path"), "spec.clusterIP");
  assert.equal(dig(body, "results.1.errors.0.path"), "spec.addresses");
  assert.match(String(dig(body, "results.1.errors.0.reason")), /virtual address of shop\/other/);
});

test("what a resource brought is not changed past it, and the lists say whose it is", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "POST", PATH, service);
  for (const [method, body] of [
    ["PUT", {}],
    ["DELETE", undefined],
  ] as const) {
    const { status } = await call(registry, method, "/v1/mesh/services/shop/reviews", body);
    assert.equal(status, 409, method);
  }
  const { body: list } = await call(registry, "GET", "/v1/mesh/services");
  assert.equal(dig(list, "0.resource"), "core/Service/shop/reviews");
  const { body: status } = await call(registry, "GET", "/v1/mesh/status");
  assert.deepEqual([dig(status, "resources"), dig(status, "routes")], [1, 0]);
});

test("records of resources are the same after a restart", async (t) => {
  const dataDir = await tempFolder(t);
  const first = await testRegistry(t, { dataDir });
  await call(first, "POST", PATH, [service, rule, canary(5)]);
  const before = (await call(first, "GET", `${PATH}/${ROUTE}`)).body;
  await first.close();
  const second = await testRegistry(t, { dataDir });
  assert.deepEqual((await call(second, "GET", `${PATH}/${ROUTE}`)).body, before);
  await call(second, "DELETE", `${PATH}/core/Service/shop/reviews`);
  const { body } = await call(second, "GET", "/v1/mesh/services");
  assert.deepEqual(body, []);
});
