import assert from "node:assert/strict";
import { test } from "node:test";
import { call, dig, tempFolder, testRegistry } from "./setup.ts";

const endpoint = { service: "web", address: "10.0.0.1", port: 8080 };

test("a declared service keeps its settings over its endpoints, and without any", async (t) => {
  const registry = await testRegistry(t);
  const services = async () => (await call(registry, "GET", "/v1/mesh/services")).body;
  const remove = async (path: string) =>
    dig((await call(registry, "DELETE", path)).body, "removed");
  await call(registry, "PUT", "/v1/mesh/services/shop/web", {
    protocol: "http",
    balancer: { policy: "ring-hash", hashOn: { kind: "header", name: "x-user" } },
    ports: [{ name: "", port: 80 }],
    meta: { team: "a" },
  });
  const web = { ...endpoint, namespace: "shop", protocol: "tcp", tags: ["x"] };
  await call(registry, "PUT", "/v1/mesh/endpoints/h1/web-1", web);
  const listed = await services();
  assert.equal(dig(listed, "0.protocol"), "http");
  assert.deepEqual(dig(listed, "0.balancer"), {
    policy: "ring-hash",
    hashOn: { kind: "header", name: "x-user" },
    slowStartMs: 10_000,
  });
  assert.deepEqual(dig(listed, "0.endpoints"), { passing: 1, warning: 0, critical: 0 });
  assert.notEqual(dig(listed, "0.addresses.1"), undefined);
  assert.equal(await remove("/v1/mesh/endpoints/h1/web-1"), true);
  assert.equal(await remove("/v1/mesh/endpoints/h1/web-1"), false);
  assert.equal(dig(await services(), "0.declared"), true);
  assert.equal(await remove("/v1/mesh/services/shop/web"), true);
  assert.deepEqual(await services(), []);
});

test("withdrawing a declaration leaves a service with endpoints, its addresses and no settings", async (t) => {
  const registry = await testRegistry(t);
  const services = async () => (await call(registry, "GET", "/v1/mesh/services")).body;
  await call(registry, "PUT", "/v1/mesh/services/default/web", { protocol: "http" });
  await call(registry, "PUT", "/v1/mesh/endpoints/h1/web-1", endpoint);
  const before = await services();
  await call(registry, "DELETE", "/v1/mesh/services/default/web");
  const after = await services();
  assert.deepEqual(dig(after, "0.addresses"), dig(before, "0.addresses"));
  assert.equal(dig(before, "0.protocol"), "http");
  assert.equal(dig(after, "0.name"), "web");
  assert.equal(dig(after, "0.protocol"), undefined);
  assert.equal(dig(after, "0.declared"), false);
  const again = await call(registry, "DELETE", "/v1/mesh/services/default/web");
  assert.equal(dig(again.body, "removed"), false);
});

test("virtual addresses are unique, come from the ranges, and survive restarts", async (t) => {
  const dataDir = await tempFolder(t);
  const first = await testRegistry(t, { dataDir });
  const services = Array.from({ length: 300 }, (_, index) => ({ name: `s${index}` }));
  await call(first, "POST", "/v1/mesh/apply", { services });
  const addresses = async (registry: { url: string }) => {
    const { body } = await call(registry, "GET", "/v1/mesh/services");
    assert.ok(Array.isArray(body));
    return new Map(body.map((each) => [dig(each, "name"), JSON.stringify(dig(each, "addresses"))]));
  };
  const before = await addresses(first);
  assert.equal(new Set(before.values()).size, 300);
  for (const pair of before.values())
    assert.match(pair, /^\["240\.240\.\d+\.\d+","2001:2:[0-9a-f:]+"\]$/);
  await first.close();
  const second = await testRegistry(t, { dataDir });
  assert.deepEqual(await addresses(second), before);
});

test("a freed virtual address is given out again, and an exhausted range is an error", async (t) => {
  const registry = await testRegistry(t, { virtualCidr4: "240.0.0.0/30", virtualCidr6: "" });
  const put = (name: string) => call(registry, "PUT", `/v1/mesh/services/default/${name}`);
  assert.equal((await put("a")).status, 200);
  assert.equal((await put("b")).status, 200);
  const third = await put("c");
  assert.equal(third.status, 503);
  assert.match(String(dig(third.body, "error")), /virtual addresses is used up/);
  await call(registry, "DELETE", "/v1/mesh/services/default/a");
  assert.equal((await put("c")).status, 200);
});

test("an address of another service or workload is refused", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/services/default/a", { addresses: ["10.96.0.1"] });
  const service = await call(registry, "PUT", "/v1/mesh/services/default/b", {
    addresses: ["10.96.0.2", "10.96.0.1"],
  });
  assert.equal(service.status, 409);
  assert.equal(dig(service.body, "path"), "addresses[1]");
  const workload = { addresses: ["10.1.0.1"], serviceAccount: "sa" };
  await call(registry, "PUT", "/v1/mesh/workloads/default/one", workload);
  const second = await call(registry, "PUT", "/v1/mesh/workloads/default/two", workload);
  assert.equal(second.status, 409);
  const elsewhere = { ...workload, host: "h2" };
  const third = await call(registry, "PUT", "/v1/mesh/workloads/default/two", elsewhere);
  assert.equal(third.status, 200);
  const listed = await call(registry, "GET", "/v1/mesh/workloads?host=h1");
  assert.deepEqual(listed.body, [
    {
      name: "one",
      namespace: "default",
      serviceAccount: "sa",
      host: "h1",
      addresses: ["10.1.0.1"],
    },
  ]);
  assert.equal(
    dig((await call(registry, "DELETE", "/v1/mesh/workloads/default/one")).body, "removed"),
    true,
  );
  assert.equal(
    dig((await call(registry, "DELETE", "/v1/mesh/workloads/default/one")).body, "removed"),
    false,
  );
});

test("apply is one revision, all or nothing, and names what is wrong", async (t) => {
  const registry = await testRegistry(t);
  const batch = {
    services: [{ name: "web", protocol: "http" }],
    endpoints: [
      { id: "web-1", ...endpoint },
      { id: "web-2", ...endpoint, host: "h2", checks: [{ ttlMs: 1_000 }] },
    ],
    workloads: [{ name: "front", addresses: ["10.1.0.1"] }],
  };
  const reply = await call(registry, "POST", "/v1/mesh/apply", batch);
  assert.deepEqual(reply.body, { revision: 2, services: 1, endpoints: 2, workloads: 1 });
  assert.equal((await call(registry, "POST", "/v1/mesh/apply", batch)).index, 2);
  const invalid = await call(registry, "POST", "/v1/mesh/apply", {
    endpoints: [batch.endpoints[0], { id: "x", ...endpoint, port: 0 }],
  });
  assert.equal(invalid.status, 400);
  assert.equal(dig(invalid.body, "path"), "endpoints[1].port");
  const conflict = await call(registry, "POST", "/v1/mesh/apply", {
    services: [{ name: "new" }],
    workloads: [{ name: "thief", addresses: ["10.1.0.1"] }],
  });
  assert.equal(conflict.status, 409);
  assert.equal(dig(conflict.body, "path"), "workloads[0].addresses[0]");
  const services = await call(registry, "GET", "/v1/mesh/services");
  assert.equal(Array.isArray(services.body) && services.body.length, 1);
  assert.equal(dig(services.body, "0.protocol"), "http");
});

/** Method, path, body -> path of the error. */
const refused: [string, string, unknown, string][] = [
  ["PUT", "/v1/mesh/services/default/web", { protocl: "http" }, "protocl"],
  ["PUT", "/v1/mesh/services/Default/web", {}, "namespace"],
  ["PUT", "/v1/mesh/services/default/a.b", {}, "name"],
  ["PUT", "/v1/mesh/services/default/web", { ports: [{ port: 80 }, { port: 81 }] }, "ports"],
  ["PUT", "/v1/mesh/services/default/web", { balancer: { policy: "best" } }, "balancer.policy"],
  [
    "PUT",
    "/v1/mesh/services/default/web",
    { balancer: { hashOn: { kind: "header" } } },
    "balancer.hashOn.name",
  ],
  ["PUT", "/v1/mesh/endpoints/h1/web", { ...endpoint, port: 1.5 }, "port"],
  ["PUT", "/v1/mesh/endpoints/h1/web", { ...endpoint, weight: 65_536 }, "weight"],
  ["PUT", "/v1/mesh/endpoints/h1/web", { ...endpoint, checks: [{ ttlMs: 5 }] }, "checks[0].ttlMs"],
  ["PUT", "/v1/mesh/endpoints/h1/%2e%2e", endpoint, "id"],
  ["PUT", "/v1/mesh/endpoints/h1/a%2F..%2Fb", endpoint, "id"],
  ["PUT", "/v1/mesh/endpoints/h%201/web", endpoint, "host"],
  ["PUT", "/v1/mesh/workloads/default/w", { addresses: [] }, "addresses"],
  ["PUT", "/v1/mesh/workloads/default/w", { addresses: ["x"] }, "addresses[0]"],
];
for (const [method, path, body, field] of refused) {
  test(`${method} ${path} is refused with the path ${field}`, async (t) => {
    const registry = await testRegistry(t);
    // A path with dots must reach the server as it stands, which fetch does not let through.
    const reply = await call(registry, method, path, body);
    assert.equal(reply.status, path.includes("%2e%2e") ? 404 : 400, JSON.stringify(reply.body));
    if (reply.status === 400) assert.equal(dig(reply.body, "path"), field);
    assert.deepEqual((await call(registry, "GET", "/v1/mesh/services")).body, []);
  });
}

test("ids may hold slashes, encoded or not", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/endpoints/h1/pods/web%2F1", endpoint);
  const { body } = await call(registry, "GET", "/v1/mesh/endpoints?host=h1&service=web");
  assert.equal(dig(body, "0.id"), "h1/pods/web/1");
  await call(registry, "PUT", "/v1/agent/service/deregister/pods/web/1");
  assert.deepEqual((await call(registry, "GET", "/v1/mesh/endpoints")).body, []);
});

test("check results over HTTP are taken for the host's own checks only", async (t) => {
  const registry = await testRegistry(t);
  const checks = [{ tcp: "10.0.0.1:8080" }];
  await call(registry, "PUT", "/v1/mesh/endpoints/h2/web", { ...endpoint, checks });
  const report = (host: string, check: string) =>
    call(registry, "PUT", "/v1/mesh/health", { host, results: [{ check, status: "passing" }] });
  assert.equal((await report("h1", "h2/service:web")).status, 403);
  assert.deepEqual((await report("h2", "h2/service:none")).body, { unknown: ["h2/service:none"] });
  assert.deepEqual((await report("h2", "h2/service:web")).body, { unknown: [] });
  const { body } = await call(registry, "GET", "/v1/mesh/endpoints");
  assert.equal(dig(body, "0.health"), "passing");
  assert.equal(dig(body, "0.checks.0.status"), "passing");
});

test("writes that arrive together share revisions and all are kept", async (t) => {
  const registry = await testRegistry(t);
  const names = Array.from({ length: 200 }, (_, index) => `w${index}`);
  // Connections are opened first: the requests then reach the registry in the same turn.
  await Promise.all(names.map(() => call(registry, "GET", "/v1/mesh/status")));
  const before = (await call(registry, "GET", "/v1/mesh/status")).index;
  const replies = await Promise.all(
    names.map((name, index) =>
      call(registry, "PUT", `/v1/mesh/workloads/default/${name}`, {
        addresses: [`10.1.${index}.1`],
      }),
    ),
  );
  assert.ok(replies.every(({ status }) => status === 200));
  const after = await call(registry, "GET", "/v1/mesh/status");
  assert.equal(dig(after.body, "workloads"), 200);
  assert.ok(after.index - before < 100, `${after.index - before} commits for 200 writes`);
});

test("a Consul registration is an endpoint of the mesh until it is deregistered", async (t) => {
  const registry = await testRegistry(t);
  const list = async () => (await call(registry, "GET", "/v1/mesh/endpoints?service=web")).body;
  await call(registry, "PUT", "/v1/agent/service/register", { Name: "web", Port: 80 });
  assert.equal(dig(await list(), "0.port"), 80);
  assert.equal(dig(await list(), "1"), undefined);
  assert.equal(dig((await call(registry, "GET", "/v1/mesh/status")).body, "endpoints"), 1);
  const refused = await call(registry, "PUT", "/v1/agent/service/register", { Name: "web" });
  assert.deepEqual([refused.status, dig(refused.body, "path")], [400, "Port"]);
  await call(registry, "PUT", "/v1/agent/service/deregister/web");
  assert.deepEqual(await list(), []);
});
