import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { call, dig, tempFolder, testRegistry } from "./setup.ts";

const PATH = "/v1/mesh/resources";
const DENY = "security.istio.io/AuthorizationPolicy/shop/deny";
const ROUTES = "specs.smi-spec.io/HTTPRouteGroup/shop/routes";
const TARGET = "access.smi-spec.io/TrafficTarget/shop/metrics";

function deny(path: string, name = "deny"): Record<string, unknown> {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name, namespace: "shop" },
    spec: { action: "DENY", rules: [{ to: [{ operation: { paths: [path] } }] }] },
  };
}

function routes(name: string): Record<string, unknown> {
  return {
    apiVersion: "specs.smi-spec.io/v1alpha4",
    kind: "HTTPRouteGroup",
    metadata: { name: "routes", namespace: "shop" },
    spec: { matches: [{ name, pathRegex: "/a" }] },
  };
}

const target = {
  apiVersion: "access.smi-spec.io/v1alpha3",
  kind: "TrafficTarget",
  metadata: { name: "metrics", namespace: "shop" },
  spec: {
    destination: { kind: "ServiceAccount", name: "api" },
    rules: [{ kind: "HTTPRouteGroup", name: "routes", matches: ["all"] }],
    sources: [{ kind: "ServiceAccount", name: "web" }],
  },
};

async function pathNow(registry: RunningRegistry): Promise<unknown> {
  const { body } = await call(registry, "GET", `${PATH}/${DENY}`);
  return dig(body, "translation.0.value.rules.0.to.0.paths.0");
}

function revisions(body: unknown): unknown[] {
  const found = dig(body, "revisions");
  assert.ok(Array.isArray(found));
  return found.map((each) => [dig(each, "generation"), dig(each, "cause")]);
}

const rollBack = (registry: RunningRegistry, key: string, body?: unknown) =>
  call(registry, "POST", `${PATH}/${key}/rollback`, body);

test("every content that a resource had is kept, and one of them can hold again", async (t) => {
  const registry = await testRegistry(t, { wall: { now: () => 5_000 } });
  for (const path of ["/a", "/b", "/b", "/c"]) await call(registry, "POST", PATH, deny(path));
  const { body } = await call(registry, "GET", `${PATH}/${DENY}/history`);
  assert.deepEqual(revisions(body), [
    [3, "applied"],
    [2, "applied"],
    [1, "applied"],
  ]);
  assert.equal(dig(body, "revisions.2.content.spec.rules.0.to.0.operation.paths.0"), "/a");
  assert.equal(dig(body, "revisions.0.atMs"), 5_000);
  assert.equal(dig(body, "revisions.0.by"), "operator at 127.0.0.1");

  const back = await rollBack(registry, DENY);
  assert.deepEqual(
    [back.status, dig(back.body, "result"), dig(back.body, "from"), dig(back.body, "generation")],
    [200, "changed", 2, 4],
  );
  assert.equal(await pathNow(registry), "/b");
  await rollBack(registry, DENY, { generation: 1 });
  assert.equal(await pathNow(registry), "/a");
  const dry = await rollBack(registry, DENY, { generation: 3, dryRun: true });
  assert.equal(dig(dry.body, "result"), "changed");
  assert.equal(await pathNow(registry), "/a");
  const after = await call(registry, "GET", `${PATH}/${DENY}/history`);
  assert.deepEqual(revisions(after.body).slice(0, 2), [
    [5, "rolled back"],
    [4, "rolled back"],
  ]);
});

test("a removed resource comes back as old as it was, and its numbers go on", async (t) => {
  let now = 1_000;
  const registry = await testRegistry(t, { wall: { now: () => now } });
  await call(registry, "POST", PATH, deny("/a"));
  now = 2_000;
  await call(registry, "DELETE", `${PATH}/${DENY}`);
  assert.equal((await call(registry, "GET", `${PATH}/${DENY}`)).status, 404);
  const list = await call(registry, "GET", "/v1/mesh/history?kind=AuthorizationPolicy");
  assert.equal(dig(list.body, "0.revisions.0.removed"), true);
  assert.equal(dig(list.body, "0.revisions.0.content"), undefined);
  now = 3_000;
  const removal = await rollBack(registry, DENY, { generation: 2 });
  assert.match(String(dig(removal.body, "error")), /is its removal/);
  const back = await rollBack(registry, DENY);
  assert.deepEqual([dig(back.body, "result"), dig(back.body, "generation")], ["created", 3]);
  const shown = await call(registry, "GET", `${PATH}/${DENY}`);
  assert.equal(dig(shown.body, "createdMs"), 1_000);
});

test("histories are bounded by the setting, and survive a restart", async (t) => {
  const dataDir = await tempFolder(t);
  const resources = { historyPerResource: 2 };
  const first = await testRegistry(t, { dataDir, resources });
  for (const path of ["/a", "/b", "/c"]) await call(first, "POST", PATH, deny(path));
  await first.close();
  const second = await testRegistry(t, { dataDir, resources });
  const { body } = await call(second, "GET", `${PATH}/${DENY}/history`);
  assert.deepEqual(revisions(body), [
    [3, "applied"],
    [2, "applied"],
  ]);
  const gone = await rollBack(second, DENY, { generation: 1 });
  assert.equal(gone.status, 404);
  assert.match(String(dig(gone.body, "error")), /no generation 1 .* there are: 2, 3/);
  await second.close();
  const third = await testRegistry(t, { dataDir, resources: { historyPerResource: 0 } });
  await call(third, "POST", PATH, deny("/d"));
  assert.equal((await call(third, "GET", `${PATH}/${DENY}/history`)).status, 404);
  assert.equal((await rollBack(third, DENY)).status, 404);
});

test("whoever depends on what is rolled back or removed is told of", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "POST", PATH, [routes("all")]);
  await call(registry, "POST", PATH, [routes("other"), routes("all"), target]);
  const back = await rollBack(registry, ROUTES);
  assert.equal(back.status, 200);
  const name = { kind: "TrafficTarget", namespace: "shop", name: "metrics" };
  assert.equal(dig(back.body, "affected.0.key"), TARGET);
  assert.equal(dig(back.body, "affected.0.kind"), name.kind);
  assert.match(String(dig(back.body, "affected.0.warnings.0.message")), /all/);
  await rollBack(registry, ROUTES);
  const removed = await call(registry, "DELETE", `${PATH}/${ROUTES}`);
  assert.equal(dig(removed.body, "affected.0.key"), TARGET);
});

test("a body that is no rollback is refused, and so is an unknown resource", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "POST", PATH, deny("/a"));
  for (const bad of [{ generation: 0 }, { generation: "1" }, { to: 1 }, "{", []]) {
    const { status } = await rollBack(registry, DENY, bad);
    assert.equal(status, 400, JSON.stringify(bad));
  }
  assert.equal((await rollBack(registry, `${DENY}-not`)).status, 404);
  assert.equal((await call(registry, "GET", `${PATH}/${DENY}-not/history`)).status, 404);
});

test("histories of resources that are gone are forgotten in the order in which these went", async (t) => {
  let now = 0;
  const registry = await testRegistry(t, { wall: { now: () => ++now } });
  for (let start = 0; start < 1_001; start += 143) {
    const some = Array.from({ length: 143 }, (_, index) => deny("/a", `d${start + index}`));
    await call(registry, "POST", PATH, some);
  }
  for (let index = 0; index < 1_001; index++) {
    await call(registry, "DELETE", `${PATH}/security.istio.io/AuthorizationPolicy/shop/d${index}`);
  }
  const { body } = await call(registry, "GET", "/v1/mesh/history");
  assert.ok(Array.isArray(body));
  assert.equal(body.length, 1_000);
  assert.ok(!body.some((each) => dig(each, "name") === "d0"), "the first is forgotten");
});
