import assert from "node:assert/strict";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { RoutingStage } from "./routing-stage.ts";

const SUBSETS = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop }
spec:
  host: shop
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
---
`;

/** A VirtualService for `shop` with these routes; the rest goes to v1. */
const shop = (routes: string, host = "shop") => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec:
  hosts: [${host}]
  http:
${routes}
    - route: [{ destination: { host: shop, subset: v1 } }]
`;

/** A route to v2 for one match. */
const toV2 = (match: string) => `    - match: [${match}]
      route: [{ destination: { host: shop, subset: v2 } }]`;

test("what a match asks for", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.versions("shop", "v1", "v2");
  await stage.workload("phone", "127.0.0.11", { labels: { app: "phone" } });
  await stage.workload("desk", "127.0.0.12", { labels: { app: "desk" } });
  await stage.workload("other", "127.0.0.13", { namespace: "other", labels: { app: "phone" } });
  await stage.apply(SUBSETS);

  /** Which version each of these requests gets. */
  const expect = async (
    match: string,
    yes: readonly Parameters<RoutingStage["ask"]>[],
    no: readonly Parameters<RoutingStage["ask"]>[],
  ) => {
    await stage.apply(shop(toV2(match)));
    for (const each of yes) {
      assert.equal((await stage.ask(...each)).body, "shop-v2", JSON.stringify(each));
    }
    for (const each of no) {
      assert.equal((await stage.ask(...each)).body, "shop-v1", JSON.stringify(each));
    }
  };

  await t.test("paths: exact, prefix, expression, whatever the case", async () => {
    await expect(
      "{ uri: { exact: /cart } }",
      [["shop/cart"], ["shop/cart?x=1"]],
      [["shop/cart/"], ["shop/Cart"]],
    );
    await expect(
      "{ uri: { prefix: /cart }, ignoreUriCase: true }",
      [["shop/cart/1"], ["shop/CARTS"], ["shop/./cart"]],
      [["shop/car"]],
    );
    await expect(
      "{ uri: { regex: '/items/[0-9]+' } }",
      [["shop/items/12?q"]],
      [["shop/items/12/x"], ["shop/items/a"]],
    );
  });

  await t.test("headers, cookies and what must not be there", async () => {
    const cookie = (text: string) => ({ headers: { cookie: text } });
    await expect(
      "{ headers: { cookie: { regex: '^(.*?;)?(\\s*user=jason)(;.*)?$' } } }",
      [
        ["shop", cookie("user=jason")],
        ["shop", cookie("a=b; user=jason; c=d")],
      ],
      [["shop"], ["shop", cookie("user=jasonx")]],
    );
    await expect(
      "{ headers: { x-beta: {} }, withoutHeaders: { x-old: {} } }",
      [["shop", { headers: { "X-Beta": "1" } }]],
      [["shop"], ["shop", { headers: { "x-beta": "1", "x-old": "1" } }]],
    );
  });

  await t.test("query, method and authority", async () => {
    await expect(
      "{ queryParams: { beta: { exact: 'yes' } } }",
      [["shop/?a=1&beta=yes"]],
      [["shop/?beta=no"], ["shop/"]],
    );
    await expect(
      "{ method: { exact: POST } }",
      [["shop", { method: "POST", body: "x" }]],
      [["shop"], ["shop", { method: "PUT", body: "x" }]],
    );
    await expect(
      "{ authority: { prefix: shop.default } }",
      [["shop.default"], ["SHOP.default.svc.cluster.local:80"]],
      [["shop"]],
    );
  });

  await t.test("who calls: labels and namespace", async () => {
    await expect(
      "{ sourceLabels: { app: phone } }",
      [
        ["shop", { from: "127.0.0.11" }],
        ["shop.default", { from: "127.0.0.13" }],
      ],
      [["shop", { from: "127.0.0.12" }], ["shop"]],
    );
    await expect(
      "{ sourceNamespace: other }",
      [["shop.default", { from: "127.0.0.13" }]],
      [["shop", { from: "127.0.0.11" }], ["shop"]],
    );
  });

  await t.test("the port that was called", async () => {
    const [{ port }] = [await stage.server("ports")];
    const services = [
      {
        name: "ports",
        ports: [
          { name: "a", port: 80 },
          { name: "b", port: 81 },
        ],
      },
    ];
    const endpoints = ["a", "b"].map((portName) => ({
      ...{ id: `ports-${portName}`, service: "ports", address: "127.0.0.1", port, portName },
    }));
    await stage.call("POST", "/v1/mesh/apply", { services, endpoints });
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ports }
spec:
  hosts: [ports]
  http:
    - match: [{ port: 81 }]
      directResponse: { status: 418, body: { string: teapot } }
    - route: [{ destination: { host: ports } }]
`);
    assert.equal((await stage.ask("ports:81")).status, 418);
    assert.equal((await stage.ask("ports:80")).body, "ports");
    assert.equal((await stage.ask("ports")).body, "ports");
  });

  await t.test("the port that was called, of a service that takes any", async () => {
    await expect("{ port: 9080 }", [["shop:9080"]], [["shop:9081"], ["shop"]]);
    await expect("{ port: 80 }", [["shop"], ["shop:80"]], [["shop:9080"]]);
    await stage.instance("cart", "cart");
    await stage.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: cart }
spec:
  parentRefs: [{ group: "", kind: Service, name: cart, port: 80 }]
  rules: [{ backendRefs: [{ name: shop, port: 80 }] }]
`);
    assert.match((await stage.ask("cart")).body, /^shop/);
    assert.equal((await stage.ask("cart:81")).body, "cart");
  });

  await t.test("faults that a request asks for itself, where its rule has some", async () => {
    await stage.apply(
      shop(
        "    - fault: { abort: { percentage: { value: 100 }, httpStatus: 500 } }\n      route: [{ destination: { host: shop, subset: v1 } }]",
      ),
    );
    const headers = { "x-envoy-fault-abort-request": "418" };
    assert.equal((await stage.ask("shop", { headers })).status, 418);
    const none = { "x-envoy-fault-abort-request-percentage": "0" };
    assert.equal((await stage.ask("shop", { headers: none })).status, 200);
    assert.equal((await stage.ask("shop")).status, 500);
  });

  await t.test("no rule matches: 404", async () => {
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop]
  http: [{ match: [{ uri: { prefix: /api } }], route: [{ destination: { host: shop } }] }]
`);
    assert.equal((await stage.ask("shop/api/1")).status, 200);
    const refused = await stage.ask("shop/else");
    assert.deepEqual(
      [refused.status, refused.headers["x-hostmesh-error"]],
      [404, "ROUTE_NOT_FOUND"],
    );
  });
});

const ACTIONS = `
    - match: [{ uri: { prefix: /wpcatalog } }, { uri: { prefix: /consumercatalog } }]
      rewrite: { uri: /newcatalog, authority: inner.example }
      route: [{ destination: { host: shop, subset: v2 }, headers: { request: { set: { x-route: two } } } }]
    - match: [{ uri: { regex: '/user/([0-9]+)/books' } }]
      rewrite: { uriRegexRewrite: { match: '/user/([0-9]+)/(.*)', rewrite: '/\\2?of=\\1' } }
      route: [{ destination: { host: shop, subset: v1 } }]
    - match: [{ uri: { exact: /both } }]
      rewrite: { uri: /one }
      route: [{ destination: { host: shop, subset: v1 }, headers: { request: { set: { ":authority": two.example } } } }]
    - match: [{ uri: { prefix: /v1/getProductRatings } }]
      redirect: { uri: /v1/bookRatings, authority: newratings.default.svc.cluster.local }
    - match: [{ uri: { prefix: /gone } }]
      redirect: { uri: /new, redirectCode: 308, scheme: https, port: 8443 }
    - match: [{ uri: { exact: /status } }]
      directResponse: { status: 503, body: { string: closed today } }
    - match: [{ uri: { prefix: /headers } }]
      headers:
        request: { set: { x-env: prod }, add: { x-tag: b }, remove: [x-secret] }
        response: { set: { x-from: mesh }, remove: [x-served-by] }
      route: [{ destination: { host: shop, subset: v1 } }]
    - match: [{ uri: { prefix: /cors } }]
      corsPolicy:
        allowOrigins: [{ exact: "https://example.com" }, { regex: 'https://[a-z]+\\.example\\.org' }]
        allowMethods: [POST, GET]
        allowCredentials: false
        allowHeaders: [X-Foo-Bar]
        maxAge: 24h
      route: [{ destination: { host: shop, subset: v1 } }]
`;

test("what a rule does to requests and responses", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  const [v1, v2] = await stage.versions("shop", "v1", "v2");
  assert.ok(v1 && v2);
  await stage.apply(SUBSETS + shop(ACTIONS));

  await t.test(
    "rewrites: prefix with authority, expression, and both of route and destination",
    async () => {
      assert.equal((await stage.ask("shop/wpcatalog/7?a=1")).body, "shop-v2");
      const [seen] = v2.seen;
      assert.equal(seen?.url, "/newcatalog/7?a=1");
      assert.equal(seen?.headers.host, "inner.example");
      assert.equal(seen?.headers["x-route"], "two");
      assert.equal((await stage.ask("shop/user/42/books")).body, "shop-v1");
      assert.equal(v1.seen.at(-1)?.url, "/books?of=42");
      await stage.ask("shop/both");
      assert.equal(v1.seen.at(-1)?.url, "/one");
      assert.equal(v1.seen.at(-1)?.headers.host, "two.example");
    },
  );

  await t.test("redirects and answers of its own", async () => {
    const moved = await stage.ask("shop/v1/getProductRatings");
    assert.equal(moved.status, 301);
    assert.equal(
      moved.headers.location,
      "http://newratings.default.svc.cluster.local/v1/bookRatings",
    );
    const gone = await stage.ask("shop/gone?x=1");
    assert.deepEqual([gone.status, gone.headers.location], [308, "https://shop:8443/new?x=1"]);
    const closed = await stage.ask("shop/status");
    assert.deepEqual([closed.status, closed.body], [503, "closed today"]);
    assert.ok(![...v1.seen, ...v2.seen].some(({ url }) => url === "/status"));
  });

  await t.test("header operations", async () => {
    const headers = { "x-secret": "1", "x-tag": "a", "x-env": "test" };
    const answer = await stage.ask("shop/headers", { headers });
    const seen = v1.seen.at(-1)?.headers;
    assert.deepEqual(
      [seen?.["x-env"], seen?.["x-tag"], seen?.["x-secret"]],
      ["prod", "a, b", undefined],
    );
    assert.deepEqual(
      [answer.headers["x-from"], answer.headers["x-served-by"]],
      ["mesh", undefined],
    );
  });

  await t.test("CORS: preflight, call, and a foreign origin", async () => {
    const preflight = (origin: string) =>
      stage.ask("shop/cors", {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
    const allowed = await preflight("https://example.com");
    assert.equal(allowed.status, 200);
    assert.equal(allowed.headers["access-control-allow-origin"], "https://example.com");
    assert.equal(allowed.headers["access-control-allow-methods"], "POST,GET");
    assert.equal(allowed.headers["access-control-allow-headers"], "x-foo-bar");
    assert.equal(allowed.headers["access-control-max-age"], "86400");
    const call = await stage.ask("shop/cors", { headers: { origin: "https://a.example.org" } });
    assert.deepEqual(
      [call.body, call.headers["access-control-allow-origin"]],
      ["shop-v1", "https://a.example.org"],
    );
    const foreign = await stage.ask("shop/cors", { headers: { origin: "https://evil.example" } });
    assert.equal(foreign.headers["access-control-allow-origin"], undefined);
  });

  await t.test("delegates", async () => {
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop]
  http:
    - match: [{ uri: { prefix: /productpage } }]
      delegate: { name: productpage, namespace: nsa }
    - match: [{ uri: { prefix: /reviews } }]
      delegate: { name: reviews, namespace: nsb }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: productpage, namespace: nsa }
spec:
  http:
    - match: [{ uri: { prefix: /productpage/v1/ } }]
      route: [{ destination: { host: shop.default.svc.cluster.local, subset: v1 } }]
    - route: [{ destination: { host: shop.default.svc.cluster.local, subset: v2 } }]
`);
    assert.equal((await stage.ask("shop/productpage/v1/x")).body, "shop-v1");
    assert.equal((await stage.ask("shop/productpage/x")).body, "shop-v2");
    assert.equal((await stage.ask("shop/reviews")).status, 404);
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: nsb }
spec:
  http: [{ directResponse: { status: 418 } }]
`);
    assert.equal((await stage.ask("shop/reviews")).status, 418);
  });
});
