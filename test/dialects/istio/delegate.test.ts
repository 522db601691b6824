import assert from "node:assert/strict";
import { test } from "node:test";
import { onlyOf, refusals, resource, shares, taken, toReviews } from "./fixtures.ts";

const rootOf = (route: object, namespace = "shop") =>
  resource("VirtualService", { hosts: ["web"], http: [route] }, { name: "root", namespace });
const leafOf = (http: readonly object[], more: object = {}) =>
  resource("VirtualService", { http, ...more }, { name: "leaf", namespace: "teams" });
const delegate = { name: "leaf", namespace: "teams" };

test("a delegate's routes stand in place of the route that names it, and its short names are its own", () => {
  const leaf = leafOf([{ match: [{ uri: { prefix: "/a/b" } }], route: toReviews }]);
  const root = rootOf({ match: [{ uri: { prefix: "/a" } }], delegate, timeout: "3s" });
  const { rules } = onlyOf("route", root, leaf);
  assert.deepEqual(rules[0]?.matches, [{ path: { kind: "prefix", value: "/a/b" } }]);
  assert.deepEqual(shares(rules[0]), [["teams/reviews", "", 100]]);
  assert.equal(rules[0]?.timeouts?.requestMs, 3_000);
});

test("the root's mirror keeps the root's namespace", () => {
  const root = rootOf({ delegate, mirror: { host: "shadow" } });
  const { rules } = onlyOf("route", root, leafOf([{ route: toReviews }]));
  assert.equal(rules[0]?.mirrors?.[0]?.backend.service, "shop/shadow");
});

test("by itself a delegate makes nothing", () => {
  assert.deepEqual(taken(leafOf([{ route: toReviews }])).records, []);
});

test("a delegate's match must be part of one of the root's, or its route is left out", () => {
  const cases: readonly (readonly [object, object, boolean])[] = [
    [{ uri: { prefix: "/a" } }, { uri: { prefix: "/a/b" } }, true],
    [{ uri: { prefix: "/a/b" } }, { uri: { prefix: "/a" } }, false],
    [{ uri: { prefix: "/a" } }, { uri: { exact: "/a" } }, true],
    [{ uri: { exact: "/a" } }, { uri: { prefix: "/a" } }, false],
    [{ uri: { exact: "/a" } }, { uri: { exact: "/a" } }, true],
    [{ uri: { prefix: "/" } }, { uri: { regex: "/a" } }, false],
    [{ uri: { regex: "/a" } }, { headers: { x: {} } }, true],
    [{ headers: { x: {} } }, { headers: { x: { exact: "1" } } }, true],
    [{ headers: { x: { exact: "1" } } }, { headers: { x: {} } }, false],
    [{ headers: { x: { exact: "1" } } }, { headers: { y: { exact: "1" } } }, true],
    [{ queryParams: { q: { exact: "1" } } }, { queryParams: { q: { exact: "2" } } }, false],
    [{ port: 80 }, { port: 81 }, false],
    [{ sourceLabels: { app: "a" } }, { sourceLabels: { app: "b" } }, false],
    [{ sourceLabels: { app: "a" } }, { sourceLabels: { constructor: "b" } }, true],
    [{ sourceNamespace: "a" }, { uri: { prefix: "/" } }, false],
    [{ uri: { prefix: "/A" }, ignoreUriCase: true }, { uri: { prefix: "/A" } }, false],
  ];
  for (const [above, below, fits] of cases) {
    const leaf = leafOf([{ match: [below], route: toReviews }, { route: toReviews }]);
    const { rules } = onlyOf("route", rootOf({ match: [above], delegate }), leaf);
    assert.equal(rules.length, fits ? 2 : 1, JSON.stringify([above, below]));
    // What the root asks for is never lost.
    for (const [name, value] of Object.entries(above)) {
      if (name !== "port") continue;
      assert.ok(rules.every(({ matches }) => matches.every(({ port }) => port === value)));
    }
  }
});

test("a delegate that is not there, or not exported to the root's namespace, is left out with a warning", () => {
  const root = rootOf({ delegate });
  const alone = taken(root);
  assert.deepEqual(alone.records, []);
  assert.match(alone.warnings[0]?.message ?? "", /teams\/leaf is not there/);
  const hidden = taken(root, leafOf([{ route: toReviews }], { exportTo: ["."] }));
  assert.match(hidden.warnings[0]?.message ?? "", /not exported/);
  assert.equal(
    taken(root, leafOf([{ route: toReviews }], { exportTo: ["shop"] })).records.length,
    1,
  );
});

test("delegates of delegates, and delegates with gateways or TCP, are refused", () => {
  const nested = leafOf([{ delegate: { name: "other" } }]);
  assert.match(refusals(nested)[0] ?? "", /^spec\.http\[0\]\.delegate: /);
  const http = [{ route: toReviews }];
  assert.match(refusals(leafOf(http, { gateways: ["mesh"] }))[0] ?? "", /^spec\.gateways: /);
  assert.match(refusals(leafOf(http, { tcp: http }))[0] ?? "", /^spec\.tcp: /);
  const both = rootOf({ delegate, route: toReviews });
  assert.match(refusals(both)[0] ?? "", /^spec\.http\[0\]\.delegate: stands alone/);
});

test("many routes with one large delegate are cut off rather than multiplied", () => {
  const match = Array.from({ length: 64 }, (_, n) => ({ uri: { prefix: `/${n}/` } }));
  const leaf = leafOf(
    Array.from({ length: 64 }, () => ({
      match: Array.from({ length: 32 }, () => ({ headers: { x: {} } })),
      route: toReviews,
    })),
  );
  const root = resource(
    "VirtualService",
    { hosts: ["web"], http: Array.from({ length: 64 }, () => ({ match, delegate })) },
    { namespace: "shop" },
  );
  const { rules } = onlyOf("route", root, leaf);
  const count = rules.reduce((sum, { matches }) => sum + matches.length, 0);
  assert.ok(count > 0 && count <= 8_192, String(count));
  assert.ok(taken(root, leaf).warnings.some(({ message }) => message.includes("at most 8192")));
});
