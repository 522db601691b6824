import assert from "node:assert/strict";
import { test } from "node:test";
import { endpoint, service } from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { everything, named, routeLab, table, to, two } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

test("a header leads to a subset, everything else to another", async (t) => {
  const rules = [
    everything({
      matches: [{ headers: [{ name: "end-user", match: { kind: "exact", value: "jason" } }] }],
      action: { kind: "forward", backends: [to("v2")] },
    }),
    everything({ action: { kind: "forward", backends: [to("v1")] } }),
  ];
  const { ask } = await routeLab(t, { routes: [table(rules)], routeStamp: "1", traffic: two });
  assert.equal((await ask("/")).body, "v1");
  assert.equal((await ask("/", { headers: { host: "web", "end-user": "jason" } })).body, "v2");
});

test("weights are exact, and a change of weights holds from the next request on", async (t) => {
  const split = (a: number, b: number, stamp: string) => ({
    routes: [
      table([everything({ action: { kind: "forward", backends: [to("v1", a), to("v2", b)] } })]),
    ],
    routeStamp: stamp,
    traffic: two,
  });
  const { lab, web, ask } = await routeLab(t, split(90, 10, "1"));
  const counts: Record<string, number> = { v1: 0, v2: 0 };
  for (let at = 0; at < 100; at++) counts[(await ask("/")).body]! += 1;
  assert.deepEqual(counts, { v1: 90, v2: 10 });
  lab.services({ ...web, ...split(0, 100, "2") });
  for (let at = 0; at < 10; at++) assert.equal((await ask("/")).body, "v2");
});

test("no rule matches: 404, or the service itself", async (t) => {
  const rules = [everything({ matches: [{ path: { kind: "prefix", value: "/api" } }] })];
  const { lab, web, ask } = await routeLab(t, { routes: [table(rules)], routeStamp: "1" });
  assert.equal((await ask("/api/x")).status, 200);
  const refused = await ask("/other");
  assert.equal(refused.status, 404);
  assert.equal(refused.headers["x-hostmesh-error"], "ROUTE_NOT_FOUND");
  lab.services({ ...web, routes: [table(rules, { otherwise: "service" })], routeStamp: "2" });
  assert.equal((await ask("/other")).status, 200);
});

test("rewrites, header edits, redirects and answers of a rule", async (t) => {
  const rules = [
    everything({
      matches: [{ path: { kind: "prefix", value: "/old" } }],
      rewrite: { path: { kind: "prefix", value: "/new" }, authority: "inner.example" },
      requestHeaders: { set: [["x-canary", "yes"]], remove: ["x-secret"] },
      responseHeaders: { set: [["x-via", "hostmesh"]], remove: ["x-served-by"] },
    }),
    everything({
      matches: [{ path: { kind: "exact", value: "/moved" } }],
      action: { kind: "redirect", redirect: { host: "elsewhere.example", status: 308 } },
    }),
    everything({
      matches: [{ path: { kind: "exact", value: "/teapot" } }],
      action: { kind: "respond", status: 418, body: "short and stout" },
    }),
  ];
  const { servers, ask } = await routeLab(
    t,
    { routes: [table(rules)], routeStamp: "1" },
    { names: ["v1"] },
  );
  for (let at = 0; at < 3; at++) {
    const answer = await ask("/old/a?b=1", { headers: { host: "web", "x-secret": "1" } });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["x-via"], "hostmesh");
    assert.equal(answer.headers["x-served-by"], undefined);
  }
  for (const seen of servers[0]?.seen ?? []) {
    assert.equal(seen.url, "/new/a?b=1");
    assert.equal(seen.host, "inner.example");
    assert.equal(seen.headers["x-canary"], "yes");
    assert.equal(seen.headers["x-secret"], undefined);
  }
  const moved = await ask("/moved");
  assert.equal(moved.status, 308);
  assert.equal(moved.headers.location, "http://elsewhere.example/moved");
  const teapot = await ask("/teapot");
  assert.deepEqual([teapot.status, teapot.body], [418, "short and stout"]);
});

test("a fault aborts, or delays and then goes on", async (t) => {
  const rules = [
    everything({
      matches: [{ path: { kind: "exact", value: "/abort" } }],
      fault: { abort: { status: 418, percent: 100 } },
    }),
    everything({ fault: { delay: { ms: 120, percent: 100 } } }),
  ];
  const { ask } = await routeLab(t, { routes: [table(rules)], routeStamp: "1" });
  const aborted = await ask("/abort");
  assert.equal(aborted.status, 418);
  assert.equal(aborted.headers["x-hostmesh-error"], "FAULT_INJECTED");
  const startMs = performance.now();
  assert.equal((await ask("/", { method: "POST" }, "body")).status, 200);
  assert.ok(performance.now() - startMs >= 119);
});

test("a mirror gets a copy with its body, and nobody waits for it", async (t) => {
  const shadow = await named(t, "shadow", 500);
  const mirrors = [{ backend: { service: "default/shadow" }, percent: 100 }];
  const { lab, web, ask } = await routeLab(
    t,
    { routes: [table([everything({ mirrors })])], routeStamp: "1" },
    { names: ["v1"] },
  );
  lab.services(web, service("shadow", [endpoint(shadow.port)]));
  const answer = await ask("/buy", { method: "POST" }, "the body");
  assert.deepEqual([answer.status, answer.body], [200, "v1"]);
  while (shadow.seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const [copy] = shadow.seen;
  assert.equal(copy?.body, "the body");
  assert.equal(copy?.host, "web-shadow");
});

test("what is recorded names the rule as its author does, else by its place in its resource", async (t) => {
  const at = (value: string) => [{ path: { kind: "exact", value } as const }];
  const rules = [
    everything({ name: "api", matches: at("/api") }),
    everything({ matches: at("/two") }),
    everything({ matches: at("/answer"), action: { kind: "respond", status: 418, body: "" } }),
    everything({
      ...{ name: "lost", matches: at("/lost") },
      action: { kind: "forward", backends: [{ service: null, weight: 1 }] },
    }),
  ];
  const { lab, web, ask } = await routeLab(t, { routes: [table(rules)], routeStamp: "1" });
  for (const path of ["/api", "/two", "/answer", "/lost", "/none"]) await ask(path);
  lab.services({ ...web, routes: [table(rules, { otherwise: "service" })], routeStamp: "2" });
  await ask("/none");
  assert.deepEqual(
    lab.facts.map(({ route, error }) => [route, error]),
    [
      ["api", null],
      ["VirtualService default/web#2", null],
      ["VirtualService default/web#3", null],
      ["lost", "BACKEND_UNKNOWN"],
      ["default", "ROUTE_NOT_FOUND"],
      ["default", null],
    ],
  );
});

test("a TCP rule is recorded by its name, too", async (t) => {
  const rules = [everything({ name: "bytes", action: { kind: "forward", backends: [to("v1")] } })];
  const tables = [table(rules, { protocol: "tcp" })];
  const { lab } = await routeLab(t, { routes: tables, routeStamp: "1", traffic: two });
  const client = await RawClient.open(lab.port);
  client.send("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
  await client.until(/ 200 /);
  client.close();
  await until(() => lab.facts.length === 1);
  assert.equal(lab.facts[0]?.route, "bytes");
});
