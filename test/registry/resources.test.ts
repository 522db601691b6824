import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { call, dig, tempFolder, testClient, testRegistry } from "./setup.ts";

const PATH = "/v1/mesh/resources";
const DENY = "security.istio.io/AuthorizationPolicy/shop/deny";

function denyAdmin(paths: unknown = ["/admin*"]): Record<string, unknown> {
  return {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "deny", namespace: "shop" },
    spec: { action: "DENY", rules: [{ to: [{ operation: { paths } }] }] },
  };
}

const target = {
  apiVersion: "access.smi-spec.io/v1alpha3",
  kind: "TrafficTarget",
  metadata: { name: "metrics", namespace: "shop" },
  spec: {
    destination: { kind: "ServiceAccount", name: "api" },
    rules: [{ kind: "HTTPRouteGroup", name: "routes" }],
    sources: [{ kind: "ServiceAccount", name: "web" }],
  },
};
const TARGET = "access.smi-spec.io/TrafficTarget/shop/metrics";

function routes(pathRegex: string): Record<string, unknown> {
  return {
    apiVersion: "specs.smi-spec.io/v1alpha4",
    kind: "HTTPRouteGroup",
    metadata: { name: "routes", namespace: "shop" },
    spec: { matches: [{ name: "all", pathRegex }] },
  };
}
const ROUTES = "specs.smi-spec.io/HTTPRouteGroup/shop/routes";

async function show(registry: RunningRegistry, key: string): Promise<unknown> {
  const { status, body } = await call(registry, "GET", `${PATH}/${key}`);
  return status === 200 ? body : status;
}

test("a resource is kept as applied, translated, and told to daemons", async (t) => {
  const registry = await testRegistry(t);
  const { client, records } = await testClient(t, [registry.url]);
  await client.start();
  const { status, body } = await call(registry, "POST", PATH, denyAdmin());
  assert.deepEqual([status, dig(body, "results.0.result")], [200, "created"]);
  await until(() => records.has(`policy ${DENY}`), { what: "the policy at the daemon" });
  const policy = records.get(`policy ${DENY}`);
  assert.deepEqual(
    [dig(policy, "action"), dig(policy, "rules.0.to.0.paths")],
    ["deny", ["/admin*"]],
  );
  assert.ok(![...records.keys()].some((key) => key.startsWith("resource ")), "kept to itself");
  const shown = await show(registry, DENY);
  assert.deepEqual(dig(shown, "content"), denyAdmin());
  assert.deepEqual(dig(shown, "translation.0"), { kind: "policy", key: DENY, value: policy });
  assert.match(String(dig(shown, "warnings.0.message")), /every TCP connection/);

  await call(registry, "DELETE", `${PATH}/${DENY}`);
  await until(() => !records.has(`policy ${DENY}`), { what: "the policy to go" });
  assert.equal(await show(registry, DENY), 404);
  const again = await call(registry, "DELETE", `${PATH}/${DENY}`);
  assert.deepEqual([again.status, dig(again.body, "removed")], [200, false]);
});

test("one bad resource does not hold up the others, and says where it is bad", async (t) => {
  const registry = await testRegistry(t);
  const bad = { ...denyAdmin(["ok", "a*b"]), metadata: { name: "bad", namespace: "shop" } };
  const { status, body } = await call(registry, "POST", PATH, [
    bad,
    denyAdmin(),
    { kind: "Pod" },
    7,
    { ...target, kind: "TrafficSplit" },
  ]);
  assert.equal(status, 200);
  assert.equal(dig(body, "refused"), 4);
  const outcomes = [0, 1, 2, 3, 4].map((index) => [
    dig(body, `results.${index}.result`),
    dig(body, `results.${index}.errors.0.path`),
  ]);
  assert.deepEqual(outcomes, [
    ["refused", "spec.rules[0].to[0].operation.paths[1]"],
    ["created", undefined],
    ["refused", "apiVersion"],
    ["refused", ""],
    ["refused", "kind"],
  ]);
  const list = await call(registry, "GET", `${PATH}?namespace=shop`);
  assert.deepEqual([dig(list.body, "0.name"), dig(list.body, "1")], ["deny", undefined]);
});

test("a bad resource does not replace a good one", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "POST", PATH, denyAdmin());
  const { status, body, index } = await call(registry, "POST", PATH, denyAdmin([]));
  assert.equal(status, 400);
  assert.match(
    String(dig(body, "error")),
    /^spec\.rules\[0\]\.to\[0\]\.operation\.paths: must not/,
  );
  assert.deepEqual(dig(await show(registry, DENY), "content"), denyAdmin());
  const after = await call(registry, "GET", PATH);
  assert.equal(after.index, index, "nothing was written");
});

test("?atomic=true writes all or nothing", async (t) => {
  const registry = await testRegistry(t);
  const bad = { ...denyAdmin(["a*b"]), metadata: { name: "bad", namespace: "shop" } };
  const { status, body } = await call(registry, "POST", `${PATH}?atomic=true`, [denyAdmin(), bad]);
  assert.equal(status, 400);
  assert.match(String(dig(body, "error")), /shop\/bad: spec\.rules\[0\]/);
  assert.equal(await show(registry, DENY), 404);
});

test("validating tells the same and writes nothing", async (t) => {
  const registry = await testRegistry(t);
  const { status, body, index } = await call(registry, "POST", `${PATH}/validate`, [
    denyAdmin(),
    target,
    routes("/x"),
  ]);
  assert.equal(status, 200);
  assert.deepEqual(
    [0, 1, 2].map((at) => dig(body, `results.${at}.result`)),
    ["created", "created", "created"],
  );
  // The routes stand behind the target, and are found.
  assert.deepEqual(dig(body, "results.1.warnings"), []);
  assert.deepEqual((await call(registry, "GET", PATH)).body, []);
  assert.equal(index, 1);
});

test("applying the same again is no change; a change keeps the age and counts the generation", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { wall: time });
  time.advance(5_000);
  const first = await call(registry, "POST", PATH, denyAdmin());
  time.advance(5_000);
  const same = await call(registry, "POST", PATH, denyAdmin());
  assert.deepEqual([dig(same.body, "results.0.result"), same.index], ["unchanged", first.index]);
  const changed = await call(registry, "POST", PATH, denyAdmin(["/x"]));
  assert.equal(dig(changed.body, "results.0.result"), "changed");
  const shown = await show(registry, DENY);
  assert.deepEqual([dig(shown, "createdMs"), dig(shown, "generation")], [5_000, 2]);
  assert.equal(dig(shown, "translation.0.value.createdMs"), 5_000);
});

test("a TrafficTarget follows the routes that it names, and is closed without them", async (t) => {
  const registry = await testRegistry(t);
  const rulesNow = async () => dig(await show(registry, TARGET), "translation.0.value.rules");
  const missing = await call(registry, "POST", PATH, target);
  assert.deepEqual(await rulesNow(), []);
  assert.equal(dig(missing.body, "results.0.warnings.0.path"), "spec.rules[0].name");

  await call(registry, "POST", PATH, routes("/a"));
  assert.deepEqual(dig(await rulesNow(), "0.to.0.pathRegexes"), ["(?:/a)(?s:.*)"]);
  assert.deepEqual(dig(await show(registry, TARGET), "warnings"), []);
  assert.equal(dig(await show(registry, TARGET), "generation"), 1, "it did not change itself");

  await call(registry, "POST", PATH, routes("/b"));
  assert.deepEqual(dig(await rulesNow(), "0.to.0.pathRegexes"), ["(?:/b)(?s:.*)"]);
  await call(registry, "DELETE", `${PATH}/${ROUTES}`);
  assert.deepEqual(await rulesNow(), []);
});

test("resources, policies and what depends on what survive a restart", async (t) => {
  const dataDir = await tempFolder(t);
  const first = await testRegistry(t, { dataDir });
  await call(first, "POST", PATH, [denyAdmin(), target, routes("/a")]);
  const before = await call(first, "GET", PATH);
  const digest = dig((await call(first, "GET", "/v1/mesh/status")).body, "digest");
  await first.close();

  const second = await testRegistry(t, { dataDir });
  const after = await call(second, "GET", PATH);
  assert.deepEqual(byKey(after.body), byKey(before.body));
  const status = (await call(second, "GET", "/v1/mesh/status")).body;
  assert.deepEqual(
    [dig(status, "digest"), dig(status, "resources"), dig(status, "policies")],
    [digest, 3, 2],
  );
  await call(second, "POST", PATH, routes("/b"));
  const rules = dig(await show(second, TARGET), "translation.0.value.rules");
  assert.deepEqual(dig(rules, "0.to.0.pathRegexes"), ["(?:/b)(?s:.*)"]);
});

/** The list in an order of its own: the registry's is that of its memory. */
function byKey(list: unknown): unknown[] {
  assert.ok(Array.isArray(list));
  return list.toSorted((a, b) => (String(dig(a, "key")) < String(dig(b, "key")) ? -1 : 1));
}

test("a policy that a resource no longer makes is removed", async (t) => {
  const registry = await testRegistry(t);
  const forServices = (...names: string[]) => ({
    ...denyAdmin(),
    spec: { targetRefs: names.map((name) => ({ kind: "Service", name })), rules: [{}] },
  });
  await call(registry, "POST", PATH, forServices("a", "b"));
  const [kind, key] = ["policy", DENY];
  assert.deepEqual(dig(await show(registry, DENY), "records"), [
    { kind, key },
    { kind, key: `${key}#2` },
  ]);
  await call(registry, "POST", PATH, forServices("a"));
  assert.deepEqual(dig(await show(registry, DENY), "records"), [{ kind, key }]);
  const status = (await call(registry, "GET", "/v1/mesh/status")).body;
  assert.equal(dig(status, "policies"), 1);
});

test("intentions for all services leave out those that have their own, as these come and go", async (t) => {
  const registry = await testRegistry(t);
  const entry = (Name: string) => ({
    ...{ Kind: "service-intentions", Name, Namespace: "shop" },
    Sources: [{ Name: "web", Action: "allow" }],
  });
  const wide = "consul/service-intentions/shop/*";
  const except = async () =>
    dig(await show(registry, encodeURI(wide)), "translation.0.value.scope.exceptServices");
  await call(registry, "POST", PATH, entry("*"));
  assert.equal(await except(), undefined);
  await call(registry, "POST", PATH, [entry("db"), entry("api")]);
  assert.deepEqual(await except(), ["api", "db"]);
  await call(registry, "DELETE", `${PATH}/consul/service-intentions/shop/db`);
  assert.deepEqual(await except(), ["api"]);
});

test("root namespace and trust domain are the registry's to say", async (t) => {
  const resources = { rootNamespaces: ["root"], trustDomain: "mesh.example" };
  const registry = await testRegistry(t, { resources });
  await call(registry, "POST", PATH, {
    ...denyAdmin(),
    metadata: { name: "wide", namespace: "root" },
    spec: { rules: [{ from: [{ source: { principals: ["cluster.local/ns/a/sa/b"] } }] }] },
  });
  const shown = await show(registry, "security.istio.io/AuthorizationPolicy/root/wide");
  assert.equal(dig(shown, "translation.0.value.scope.namespace"), null);
  assert.deepEqual(dig(shown, "translation.0.value.rules.0.from.0.principals"), [
    "mesh.example/ns/a/sa/b",
  ]);
});

test("labels of workloads and the demand for mutual TLS of services reach daemons", async (t) => {
  const registry = await testRegistry(t);
  const { client, records } = await testClient(t, [registry.url]);
  await client.start();
  const labels = { app: "web", "example.com/tier": "front" };
  await call(registry, "POST", "/v1/mesh/apply", {
    services: [{ name: "db", mtls: "required" }],
    workloads: [{ name: "web", addresses: ["10.0.0.5"], labels }],
  });
  const meta = { "hostmesh-mtls": "required" };
  const registration = { Name: "pay", Port: 80, Meta: meta };
  await call(registry, "PUT", "/v1/agent/service/register", registration);
  await until(() => records.has("service default/pay"), { what: "the records" });
  assert.deepEqual(dig(records.get("workload default/web"), "labels"), labels);
  assert.equal(dig(records.get("service default/db"), "mtls"), "required");
  assert.equal(dig(records.get("service default/pay"), "mtls"), "required");
  const bad = await call(registry, "PUT", "/v1/mesh/workloads/default/x", {
    addresses: ["10.0.0.6"],
    labels: { "a b": "c" },
  });
  assert.deepEqual([bad.status, dig(bad.body, "path")], [400, 'labels["a b"]']);
  await call(registry, "PUT", "/v1/mesh/services/default/declared", {});
  const late = { Name: "declared", Port: 80, Address: "10.0.0.2", Meta: meta };
  await call(registry, "PUT", "/v1/agent/service/register", late);
  const { body: declared } = await call(registry, "GET", "/v1/mesh/services");
  const found = (declared as { name: string; mtls?: string }[]).find(
    ({ name }) => name === "declared",
  );
  assert.equal(found?.mtls, "required", "a demand raises what was declared without one");
  const never = await call(registry, "PUT", "/v1/mesh/services/default/x", { mtls: "never" });
  assert.deepEqual([never.status, dig(never.body, "path")], [400, "mtls"]);
});
