import assert from "node:assert/strict";
import { test } from "node:test";
import { request } from "../../proxy/routing/match/fixtures.ts";
import { nameOf, refusalOf, Translated } from "../translated-mesh.ts";

const RESOLVER = `
Kind: service-resolver
Name: web
DefaultSubset: v1
Subsets:
  v1: {Filter: Service.Meta.version == v1}
  v2: {Filter: Service.Meta.version == v2}
`;

test("a canary by a splitter gets exactly its share", () => {
  const mesh = new Translated(`${RESOLVER}---
Kind: service-splitter
Name: web
Splits: [{Weight: 95, ServiceSubset: v1}, {Weight: 5, ServiceSubset: v2}]
`);
  const shares = mesh.shares("default/web", request("/"));
  assert.deepEqual(shares, { "default/web#v1": 9_500, "default/web#v2": 500 });
  assert.deepEqual(
    mesh.policies.flatMap(({ subsets }) => subsets),
    [
      { name: "v1", labels: { version: "v1" } },
      { name: "v2", labels: { version: "v2" } },
    ],
  );
});

test("weights of splitters behind each other multiply, down to the hundredth of a percent", () => {
  const mesh = new Translated(`
Kind: service-splitter
Name: front
Splits: [{Weight: 50, Service: web}, {Weight: 50}]
---
Kind: service-splitter
Name: web
Splits: [{Weight: 99.99}, {Weight: 0.01, Service: labs}]
---
Kind: service-splitter
Name: labs
Splits: [{Weight: 75}, {Weight: 25, Service: labs-next}]
`);
  const shares = mesh.shares("default/front", request("/"), 80_000);
  assert.deepEqual(shares, {
    "default/front": 40_000,
    "default/web": 39_996,
    "default/labs": 3,
    "default/labs-next": 1,
  });
});

test("a split that names a subset is not split again", () => {
  const mesh = new Translated(`${RESOLVER}---
Kind: service-splitter
Name: web
Splits: [{Weight: 50, ServiceSubset: v1}, {Weight: 50, ServiceSubset: v2}]
---
Kind: service-splitter
Name: front
Splits: [{Weight: 100, Service: web, ServiceSubset: v2}]
`);
  assert.deepEqual(mesh.shares("default/front", request("/"), 100), { "default/web#v2": 100 });
});

test("a router sends testers to the new version, and all others through the splitter", () => {
  const mesh = new Translated(`${RESOLVER}---
Kind: service-splitter
Name: web
Splits: [{Weight: 90, ServiceSubset: v1}, {Weight: 10, ServiceSubset: v2}]
---
Kind: service-router
Name: web
Routes:
  - Match: {HTTP: {Header: [{Name: x-debug, Exact: "1"}]}}
    Destination: {ServiceSubset: v2}
  - Match: {HTTP: {PathPrefix: /admin, Methods: [GET]}}
    Destination: {Service: admin}
`);
  const debug = request("/", ["X-Debug: 1"]);
  assert.deepEqual(mesh.shares("default/web", debug, 100), { "default/web#v2": 100 });
  assert.deepEqual(mesh.shares("default/web", request("/admin/x"), 10), { "default/admin": 10 });
  const others = { "default/web#v1": 90, "default/web#v2": 10 };
  assert.deepEqual(mesh.shares("default/web", request("/", ["X-Debug: 2"]), 100), others);
  const post = request("/admin/x", [], { method: "POST" });
  assert.deepEqual(mesh.shares("default/web", post, 100), others);
});

test("what a router does not match goes to the service as it is, where nothing else is said of it", () => {
  const mesh = new Translated(`
Kind: service-router
Name: web
Routes: [{Match: {HTTP: {PathExact: /a}}, Destination: {Service: other}}]
`);
  assert.equal(mesh.routesOf("default/web").find(request("/b")), null);
  assert.equal(mesh.tables[0]?.otherwise, "service");
});

test("an inverted header of a router asks for the header to be there, as in Envoy", () => {
  const mesh = new Translated(`
Kind: service-router
Name: web
Routes: [{Match: {HTTP: {Header: [{Name: x-v, Exact: old, Invert: true}]}}, Destination: {Service: new}}]
`);
  const to = (...fields: string[]) => mesh.shares("default/web", request("/", fields), 1);
  assert.deepEqual(to("X-V: young"), { "default/new": 1 });
  assert.deepEqual(to("X-V: old"), { "": 1 });
  assert.deepEqual(to(), { "": 1 });
});

test("a failover lists its targets in their order, each resolved, without the place itself", () => {
  const { tables } = new Translated(`${RESOLVER}
Failover:
  "*":
    Targets:
      - {Service: web}
      - {ServiceSubset: v2}
      - {Service: moved}
      - {Service: web, Namespace: dr}
---
Kind: service-resolver
Name: moved
Redirect: {Service: web, ServiceSubset: v2}
---
Kind: service-resolver
Name: web
Namespace: dr
Failover: {"*": {Service: never}}
`);
  const backends = tables
    .filter(({ services }) => services[0] === "default/web")
    .map(({ protocol, rules: [rule] }) => {
      assert.ok(rule?.action.kind === "forward");
      const [backend] = rule.action.backends;
      assert.ok(backend !== undefined);
      return [protocol, nameOf(backend), backend.failover?.map(nameOf)];
    });
  const failover = ["default/web#v2", "dr/web"];
  assert.deepEqual(backends, [
    ["http", "default/web#v1", failover],
    ["tcp", "default/web#v1", failover],
  ]);
});

test("a redirect takes calls of any protocol to the other service's default subset", () => {
  const mesh = new Translated(`${RESOLVER}---
Kind: service-resolver
Name: old
Redirect: {Service: older}
---
Kind: service-resolver
Name: older
Redirect: {Service: web}
`);
  assert.deepEqual(mesh.shares("default/old", request("/"), 5), { "default/web#v1": 5 });
  const source = { namespace: "web", labels: {} };
  const tcp = mesh.routesOf("default/old").findTcp({ address: "10.0.0.1", port: 1, source });
  assert.ok(tcp !== null && tcp !== "refuse" && tcp.rule.rule.action.kind === "forward");
  assert.deepEqual(tcp.rule.rule.action.backends.map(nameOf), ["default/web#v1"]);
});

test("prefixRewrite to a path that ends with a slash does not double it", async () => {
  const { rewritePath } = await import("../../../src/proxy/routing/transform/path-rewrite.ts");
  const mesh = new Translated(`
Kind: service-router
Name: web
Routes: [{Match: {HTTP: {PathPrefix: /api}}, Destination: {Service: api, PrefixRewrite: /}}]
`);
  const routes = mesh.routesOf("default/web");
  const rewritten = ["/api/users?x=1", "/api", "/apis"].map((path) => {
    const found = routes.find(request(path));
    assert.ok(found !== null && found !== "refuse");
    const { rewrite } = found.rule.rule;
    assert.ok(rewrite?.path !== undefined);
    return rewritePath(path, rewrite.path, found.match);
  });
  assert.deepEqual(rewritten, ["/users?x=1", "/", "/s"]);
});

test("circles are refused, whoever closes them", () => {
  assert.match(
    refusalOf("{Kind: service-resolver, Name: a, Redirect: {Service: a, ServiceSubset: x}}"),
    /^it is taken$/,
  );
  const b = "Kind: service-resolver\nName: b\nRedirect: {Service: a}\n";
  const a = "Kind: service-resolver\nName: a\nRedirect: {Service: b}\n";
  assert.match(refusalOf(`${b}---\n${a}`), /^Redirect: the redirects go in a circle: default\/a/);
  // A router and a splitter that lead into one are refused as well.
  const router = "Kind: service-router\nName: r\nRoutes: [{Destination: {Service: a}}]\n";
  assert.match(
    refusalOf(`${b}---\n${a}---\n${router}`),
    /^Routes\[0\]\.Destination: the redirects/,
  );
});

test("splitters that lead to too many places are refused and not written out", () => {
  const level = (name: string, next: string) =>
    `Kind: service-splitter\nName: ${name}\nSplits: [${Array.from({ length: 50 }, () => `{Weight: 2, Service: ${next}}`).join(", ")}]\n`;
  const text = [level("c", "d"), level("b", "c"), level("a", "b")].join("---\n");
  assert.match(refusalOf(text), /^Splits: the splitters lead to more than 256 places/);
});

test("a long row of splitters or redirects is refused", () => {
  const row = (kind: string, step: (n: number) => string) =>
    Array.from({ length: 40 }, (_, n) => `{Kind: ${kind}, Name: s${39 - n}, ${step(39 - n)}}`).join(
      "\n---\n",
    );
  const splits = row("service-splitter", (n) => `Splits: [{Weight: 100, Service: s${n + 1}}]`);
  assert.match(refusalOf(splits), /^Splits: more than 32 splitters follow each other/);
  const redirects = row("service-resolver", (n) => `Redirect: {Service: s${n + 1}}`);
  assert.match(refusalOf(redirects), /^Redirect: more than 32 redirects follow each other/);
});
