import assert from "node:assert/strict";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { RoutingStage } from "./routing-stage.ts";

test("SMI: 90/10 between services", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  for (const name of ["web", "web-v1", "web-v2"]) await stage.instance(name, name);
  await stage.apply(`
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: { name: web }
spec:
  service: web
  backends:
  - { service: web-v1, weight: 90 }
  - { service: web-v2, weight: 10 }
`);
  assert.deepEqual(await stage.tally("web", 50), { "web-v1": 45, "web-v2": 5 });

  await t.test("an experiment for some by a group of routes", async () => {
    await stage.apply(`
apiVersion: specs.smi-spec.io/v1alpha4
kind: HTTPRouteGroup
metadata: { name: insiders }
spec:
  matches: [{ name: firefox, headers: { user-agent: ".*Firefox.*" } }]
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: { name: web }
spec:
  service: web
  matches: [{ kind: HTTPRouteGroup, name: insiders }]
  backends: [{ service: web-v2, weight: 1 }]
`);
    const headers = { "user-agent": "Mozilla Firefox/1" };
    assert.deepEqual(await stage.tally("web", 3, { headers }), { "web-v2": 3 });
    assert.deepEqual(await stage.tally("web", 3), { web: 3 });
  });
});

const K8S_SERVICE = (name: string, port: number) => `
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  ports: [{ name: http, port: ${port}, targetPort: 8080 }]
---
`;

test("Gateway API on Kubernetes Services given as files", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.apply(K8S_SERVICE("cart", 80) + K8S_SERVICE("cart-v2", 8080));
  await stage.instance("cart", "cart-1");
  const v2 = await stage.server("cart-2");
  await stage.workload("consumer", "127.0.0.21", { namespace: "consumer" });
  await stage.apply(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: cart-v2-abc, labels: { kubernetes.io/service-name: cart-v2 } }
addressType: IPv4
ports: [{ name: http, port: ${v2.port} }]
endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
`);
  assert.equal((await stage.ask("cart")).body, "cart-1");
  assert.equal((await stage.ask("cart-v2:8080")).body, "cart-2");

  await t.test("weights, matches and their precedence", async () => {
    await stage.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: cart }
spec:
  parentRefs: [{ group: "", kind: Service, name: cart, port: 80 }]
  rules:
    - backendRefs: [{ name: cart, port: 80, weight: 3 }, { name: cart-v2, port: 8080, weight: 1 }]
    - matches: [{ path: { type: PathPrefix, value: /add } }]
      filters:
        - type: URLRewrite
          urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /put } }
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: x-by, value: gateway }] }
      backendRefs: [{ name: cart-v2, port: 8080 }]
    - matches: [{ path: { type: Exact, value: /add/one } }]
      filters: [{ type: RequestRedirect, requestRedirect: { hostname: else.example, statusCode: 302 } }]
    - matches: [{ path: { value: /missing } }]
      backendRefs: [{ name: nowhere, port: 80 }]
`);
    assert.deepEqual(await stage.tally("cart", 8), { "cart-1": 6, "cart-2": 2 });
    assert.equal((await stage.ask("cart/add/two?x=1")).body, "cart-2");
    assert.deepEqual(
      [v2.seen.at(-1)?.url, v2.seen.at(-1)?.headers["x-by"]],
      ["/put/two?x=1", "gateway"],
    );
    const moved = await stage.ask("cart/add/one");
    assert.deepEqual([moved.status, moved.headers.location], [302, "http://else.example/add/one"]);
    assert.equal((await stage.ask("cart/missing")).status, 500);
  });

  await t.test("a consumer's route holds for its namespace, before the producer's", async () => {
    await stage.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: mine, namespace: consumer }
spec:
  parentRefs: [{ group: "", kind: Service, name: cart, namespace: default }]
  rules:
    - filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x-for, value: consumer }] } }]
      backendRefs: [{ name: cart, namespace: default, port: 80 }]
`);
    const own = await stage.ask("cart.default/add/one", { from: "127.0.0.21" });
    assert.deepEqual([own.status, own.headers["x-for"]], [200, "consumer"]);
    assert.equal((await stage.ask("cart/add/one")).status, 302);
  });
});

test("Consul: router, splitter and resolver", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.versions("web", "v1", "v2");
  const admin = await stage.instance("admin", "admin");
  await stage.apply(`
Kind: service-resolver
Name: web
DefaultSubset: v1
Subsets:
  v1: { Filter: "Service.Meta.version == v1" }
  v2: { Filter: "Service.Meta.version == v2" }
---
Kind: service-router
Name: web
Routes:
  - Match: { HTTP: { PathPrefix: /admin } }
    Destination: { Service: admin, PrefixRewrite: / }
  - Match: { HTTP: { Header: [{ Name: x-debug, Exact: "1" }] } }
    Destination: { Service: web, ServiceSubset: v2 }
`);
  assert.deepEqual(await stage.tally("web", 4), { "web-v1": 4 });
  assert.equal((await stage.ask("web/admin/users")).body, "admin");
  assert.equal(admin.seen.at(-1)?.url, "/users");
  assert.equal((await stage.ask("web", { headers: { "x-debug": "1" } })).body, "web-v2");

  await stage.apply(`
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceSplitter
metadata: { name: web }
spec:
  splits: [{ weight: 75, serviceSubset: v1 }, { weight: 25, serviceSubset: v2 }]
`);
  assert.deepEqual(await stage.tally("web", 8), { "web-v1": 6, "web-v2": 2 });

  await t.test("failover goes elsewhere and comes back", async () => {
    const Check = { TTL: "1h", Status: "passing" };
    await stage.instance("db", "db-1", { more: { Check } });
    await stage.instance("db-backup", "db-2");
    await stage.apply(`
Kind: service-resolver
Name: db
Failover: { "*": { Service: db-backup } }
`);
    assert.deepEqual(await stage.tally("db", 3), { "db-1": 3 });
    await stage.call("PUT", "/v1/agent/check/fail/service:db-1");
    await stage.settled();
    assert.deepEqual(await stage.tally("db", 3), { "db-2": 3 });
    await stage.call("PUT", "/v1/agent/check/pass/service:db-1");
    await stage.settled();
    assert.deepEqual(await stage.tally("db", 3), { "db-1": 3 });
    await stage.call("PUT", "/v1/agent/service/deregister/db-1");
    await stage.settled();
    assert.deepEqual(await stage.tally("db", 3), { "db-2": 3 });
  });

  await t.test("a redirect to another service", async () => {
    await stage.apply(`
Kind: service-resolver
Name: old
Redirect: { Service: admin }
`);
    await stage.instance("old", "old");
    await stage.settled();
    assert.equal((await stage.ask("old")).body, "admin");
  });
});

test("Linkerd: profiles and annotations", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  const books = await stage.instance("books", "books");
  await stage.instance("books-v2", "books-v2");
  let left = 0;
  books.answer = (_, response) => {
    left -= 1;
    response.writeHead(left >= 0 ? 503 : 200).end("books");
  };
  await stage.apply(`
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: { name: books.default.svc.cluster.local }
spec:
  routes:
    - { name: read, condition: { method: GET, pathRegex: "/books/[0-9]+" }, isRetryable: true }
    - { name: slow, condition: { pathRegex: /slow }, timeout: 100ms }
`);
  const fails = async (count: number, path: string) => {
    left = count;
    return (await stage.ask(`books${path}`)).status;
  };
  assert.equal(await fails(1, "/books/1"), 200);
  assert.equal(await fails(1, "/books/x"), 503);
  const usual = books.answer;
  books.answer = () => undefined;
  assert.equal((await stage.ask("books/slow")).status, 504);
  books.answer = usual;

  await t.test("overrides split, as the service does that is annotated", async () => {
    left = 0;
    await stage.apply(`
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: { name: books.default.svc.cluster.local }
spec:
  dstOverrides:
    - { authority: books.default.svc.cluster.local, weight: 500m }
    - { authority: books-v2.default.svc.cluster.local, weight: 500m }
---
apiVersion: v1
kind: Service
metadata:
  name: books
  annotations:
    retry.linkerd.io/http: 5xx
    retry.linkerd.io/limit: "2"
    timeout.linkerd.io/response: 100ms
spec: { ports: [{ name: http, port: 80 }] }
`);
    assert.deepEqual(await stage.tally("books", 6), { books: 3, "books-v2": 3 });
    assert.equal(await fails(2, "/"), 200);
  });
});
