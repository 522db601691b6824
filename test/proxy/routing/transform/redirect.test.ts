import assert from "node:assert/strict";
import { test } from "node:test";
import type { Redirect, RouteMatch } from "../../../../src/core/traffic.ts";
import { redirectTo } from "../../../../src/proxy/routing/transform/redirect.ts";

const REQUEST = { scheme: "http", host: "cart.shop", port: 8080, path: "/foo/bar?q=1" };
const FOO: RouteMatch = { path: { kind: "segments", value: "/foo" } };

function location(
  redirect: Omit<Redirect, "status">,
  request: Partial<typeof REQUEST> = {},
  match: RouteMatch | null = FOO,
): string {
  return redirectTo({ status: 302, ...redirect }, { ...REQUEST, ...request }, match).location;
}

test("what a redirect does not say stays as it was, with the query", () => {
  assert.equal(location({}), "http://cart.shop:8080/foo/bar?q=1");
  assert.equal(location({ host: "other" }), "http://other:8080/foo/bar?q=1");
  assert.equal(location({ path: { kind: "full", value: "/x" } }), "http://cart.shop:8080/x?q=1");
  assert.equal(location({ path: { kind: "prefix", value: "/" } }), "http://cart.shop:8080/bar?q=1");
  assert.equal(redirectTo({ status: 308 }, REQUEST, null).status, 308);
});

test("the port is the one that is asked for, and that of the scheme is not written", () => {
  assert.equal(location({ port: 9090 }), "http://cart.shop:9090/foo/bar?q=1");
  assert.equal(location({ port: 80 }), "http://cart.shop/foo/bar?q=1");
  assert.equal(location({ port: 443 }), "http://cart.shop:443/foo/bar?q=1");
  assert.equal(location({ port: "default" }), "http://cart.shop/foo/bar?q=1");
  assert.equal(location({ port: "request" }), "http://cart.shop:8080/foo/bar?q=1");
  assert.equal(location({ scheme: "https" }), "https://cart.shop/foo/bar?q=1");
  assert.equal(location({ scheme: "https", port: 443 }), "https://cart.shop/foo/bar?q=1");
  assert.equal(location({ scheme: "https", port: 8443 }), "https://cart.shop:8443/foo/bar?q=1");
  assert.equal(
    location({ scheme: "https", port: "request" }),
    "https://cart.shop:8080/foo/bar?q=1",
  );
  assert.equal(location({}, { port: 80 }), "http://cart.shop/foo/bar?q=1");
  assert.equal(location({}, { port: 0 }), "http://cart.shop/foo/bar?q=1");
  assert.equal(location({}, { scheme: "https", port: 443 }), "https://cart.shop/foo/bar?q=1");
});

test("a host may bring its port, and IPv6 gets its brackets", () => {
  assert.equal(location({ host: "other:81" }), "http://other:81/foo/bar?q=1");
  assert.equal(location({ host: "other:81", port: 82 }), "http://other:82/foo/bar?q=1");
  assert.equal(location({}, { host: "fd00::1" }), "http://[fd00::1]:8080/foo/bar?q=1");
  assert.equal(location({ host: "[fd00::2]:81" }), "http://[fd00::2]:81/foo/bar?q=1");
});

test("a location always names scheme and host, and cannot be broken out of", () => {
  assert.equal(location({}, { path: "//evil.example/x" }), "http://cart.shop:8080//evil.example/x");
  assert.equal(location({}, { path: "*" }), "http://cart.shop:8080/");
  assert.equal(location({ host: "a\r\nx: y" }), "http://cart.shop:8080/foo/bar?q=1");
  const path = { kind: "full", value: "/a\r\nx: y" } as const;
  assert.equal(location({ path }), "http://cart.shop:8080/a%0D%0Ax:%20y?q=1");
});
