import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteRule } from "../../../src/core/traffic.ts";
import { request } from "../../proxy/routing/match/fixtures.ts";
import { refusalOf, Translated } from "../translated-mesh.ts";

/** As `linkerd profile --open-api` makes them, with a route that is retried. */
const AUTHORS = `
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: authors.booksapp.svc.cluster.local, namespace: booksapp}
spec:
  routes:
    - condition: {method: GET, pathRegex: /authors\\.json}
      name: GET /authors.json
    - condition: {method: DELETE, pathRegex: '/authors/[^/]*\\.json'}
      name: DELETE /authors/{id}.json
    - condition: {method: HEAD, pathRegex: '/authors/[^/]*\\.json'}
      name: HEAD /authors/{id}.json
      isRetryable: true
    - condition: {method: POST, pathRegex: /authors\\.json}
      name: POST /authors.json
      isRetryable: true
      timeout: 25ms
`;

function profileOf(
  text: string,
  path: string,
  { method = "GET", namespace = "booksapp" } = {},
): RouteRule | null {
  const { tables } = new Translated(text);
  assert.ok(tables.every(({ role }) => role === "profile"));
  const routes = new Translated(text).routesOf("booksapp/authors");
  const source = { namespace, labels: {} };
  assert.equal(routes.find(request(path, [], { method, source })), null, "it routes nothing");
  return routes.profile(request(path, [], { method, source }))?.rule ?? null;
}

test("only a route that is marked is retried, whatever its method, and only it has its timeout", () => {
  assert.equal(profileOf(AUTHORS, "/authors.json")?.retry, undefined);
  const head = profileOf(AUTHORS, "/authors/3252.json", { method: "HEAD" });
  assert.deepEqual([head?.retry?.statuses, head?.retry?.unsafe], [[[500, 599]], true]);
  assert.equal(head?.timeouts, undefined);
  const post = profileOf(AUTHORS, "/authors.json?x=1", { method: "POST" });
  assert.deepEqual([post?.retry?.unsafe, post?.timeouts?.requestMs], [true, 25]);
  assert.equal(profileOf(AUTHORS, "/authors.json.bak"), null, "the whole path must match");
  assert.equal(profileOf(AUTHORS, "/authors.json", { method: "PUT" }), null);
});

test("retries keep within Linkerd's budget, where the profile says no other", () => {
  const budgetOf = (text: string) => new Translated(text).policies.map(({ settings }) => settings);
  const own = `${AUTHORS}  retryBudget: {retryRatio: 0.4, minRetriesPerSecond: 3, ttl: 20s}\n`;
  assert.deepEqual(budgetOf(AUTHORS), [
    { retryBudget: { ratio: 0.2, minPerSecond: 10, ttlMs: 10_000 } },
  ]);
  assert.deepEqual(budgetOf(own), [
    { retryBudget: { ratio: 0.4, minPerSecond: 3, ttlMs: 20_000 } },
  ]);
  assert.deepEqual(budgetOf(AUTHORS.replaceAll("isRetryable: true", "isRetryable: false")), []);
});

test("a profile in the caller's namespace counts before that of the service", () => {
  const own = AUTHORS.replace("namespace: booksapp", "namespace: web").replace("25ms", "75ms");
  const both = `${AUTHORS}---${own}`;
  const of = (namespace: string) =>
    profileOf(both, "/authors.json", { method: "POST", namespace })?.timeouts?.requestMs;
  assert.deepEqual([of("booksapp"), of("web"), of("other")], [25, 75, 25]);
});

test("dstOverrides split by weight, as quantities have it", () => {
  const mesh = new Translated(`
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: web.shop.svc.cluster.local, namespace: shop}
spec:
  dstOverrides:
    - {authority: web-v1.shop.svc.cluster.local, weight: 900m}
    - {authority: "web-v2.shop.svc.cluster.local:8080", weight: "0.1"}
`);
  const shares = mesh.shares("shop/web", request("/"), 1_000);
  assert.deepEqual(shares, { "shop/web-v1": 900, "shop/web-v2": 100 });
});

const conditions = (condition: string) => `
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: authors.booksapp.svc.cluster.local, namespace: booksapp}
spec: {routes: [{name: found, condition: ${condition}}]}
`;

test("nested conditions hold as they are written", () => {
  const holds = (condition: string, method: string, path: string) =>
    profileOf(conditions(condition), path, { method }) !== null;
  const nested =
    "{all: [{any: [{pathRegex: /a}, {pathRegex: /b}]}, {not: {any: [{method: GET}, {method: HEAD}]}}]}";
  assert.deepEqual(
    [
      ["POST", "/a"],
      ["POST", "/b"],
      ["PATCH", "/b"],
      ["GET", "/a"],
      ["HEAD", "/b"],
      ["POST", "/c"],
    ].map(([method = "", path = ""]) => holds(nested, method, path)),
    [true, true, true, false, false, false],
  );
  // Several fields of one condition, and a not of all of them.
  assert.ok(holds("{method: GET, pathRegex: /a, not: {method: PUT}}", "GET", "/a"));
  assert.ok(holds("{not: {not: {pathRegex: /a}}}", "GET", "/a"));
  assert.ok(!holds("{not: {all: [{method: GET}, {any: [{method: GET}]}]}}", "GET", "/a"));
  assert.ok(holds("{not: {all: [{method: GET}, {method: POST}]}}", "GET", "/a"));
});

test("what the model cannot say is refused with its path, and not left out", () => {
  const of = (condition: string) => refusalOf(conditions(condition));
  const at = String.raw`^spec\.routes\[0\]\.condition`;
  assert.match(of("{not: {pathRegex: /a}}"), new RegExp(`${at}\\.not\\.pathRegex: the mesh knows`));
  assert.match(of("{all: [{pathRegex: /a}, {pathRegex: /b}]}"), new RegExp(`${at}\\.all: two exp`));
  assert.match(of("{}"), new RegExp(`${at}: must have a field`));
  assert.match(of("{all: [{methd: GET}]}"), new RegExp(`${at}\\.all\\[0\\]`));
  assert.match(of("{method: GET, not: {method: GET}}"), new RegExp(`${at}: holds for no request`));
  assert.match(of("{pathRegex: '('}"), new RegExp(`${at}\\.pathRegex: no regular expression`));
});

test("a condition that would grow without end is refused at once", () => {
  const wide = Array.from({ length: 60 }, (_, n) => `{pathRegex: /${n}}`).join(", ");
  const methods = "{any: [{method: GET}, {method: PUT}]}";
  assert.match(refusalOf(conditions(`{all: [{any: [${wide}]}, ${methods}]}`)), /more than 64/);
  const deep = `${"{not: ".repeat(40)}{method: GET}${"}".repeat(40)}`;
  assert.match(refusalOf(conditions(deep)), /conditions may be 6 deep/);
  const started = process.hrtime.bigint();
  const parts = Array.from(
    { length: 60 },
    () => "{any: [{method: A}, {method: B}, {pathRegex: /x}]}",
  );
  assert.match(refusalOf(conditions(`{all: [${parts.join(", ")}]}`)), /more than 64/);
  assert.ok(Number(process.hrtime.bigint() - started) < 3e9);
});

test("names, weights, budgets and classes are checked with their paths", () => {
  const of = (spec: string) =>
    refusalOf(
      `{apiVersion: linkerd.io/v1alpha2, kind: ServiceProfile, metadata: {name: a.b.svc.cluster.local, namespace: b}, spec: ${spec}}`,
    );
  assert.match(
    of("{retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 1, ttl: 2m}}"),
    /^spec\.retryBudget\.ttl: must be 1s to 60s/,
  );
  assert.match(of("{dstOverrides: [{authority: a, weight: 0}]}"), /^spec\.dstOverrides: one of/);
  assert.match(
    of("{dstOverrides: [{authority: 'a b', weight: 1}]}"),
    /^spec\.dstOverrides\[0\]\.authority/,
  );
  assert.match(
    of("{dstOverrides: [{authority: a, weight: 1k}]}"),
    /^spec\.dstOverrides\[0\]\.weight/,
  );
  assert.match(
    of(
      "{routes: [{condition: {method: GET}, responseClasses: [{condition: {status: {min: 90}}}]}]}",
    ),
    /^spec\.routes\[0\]\.responseClasses\[0\]\.condition\.status\.min/,
  );
  assert.match(of("{routes: [{condition: {method: GET}, timeout: 5}]}"), /timeout/);
});
