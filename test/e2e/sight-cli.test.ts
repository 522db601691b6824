import assert from "node:assert/strict";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { until } from "../helpers/until.ts";
import { RoutingStage } from "./routing-stage.ts";

const rules = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop]
  http:
    - name: orders
      match: [{ uri: { prefix: /orders } }]
      retries: { attempts: 2, retryOn: 5xx }
      route: [{ destination: { host: shop } }]
    - route: [{ destination: { host: shop } }]
`;

test("the commands of traffic show what a daemon carried, as the registry hears it", {
  skip,
}, async (t) => {
  const stage = await RoutingStage.start(t, { workers: 1 });
  const shop = await stage.instance("shop", "shop-1");
  await stage.instance("idle", "idle-1");
  await stage.workload("front", "127.0.0.77");
  await stage.apply(rules);
  // The first of each two tries fails, which callers of /orders never see.
  let tries = 0;
  shop.answer = (request, response) => {
    const fails = request.url === "/orders" && ++tries % 2 === 1;
    response.writeHead(fails ? 503 : 200).end("shop-1");
  };
  const from = "127.0.0.77";
  for (let at = 0; at < 10; at++) {
    assert.equal((await stage.ask("shop/orders", { from })).status, 200);
    assert.equal((await stage.ask("shop/", { from })).status, 200);
  }
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await stage.hostmesh(...args, "-o", "json");
    assert.deepEqual([code, stderr], [0, ""], args.join(" "));
    return JSON.parse(stdout);
  };

  await t.test("stat, by service, source, route and endpoint", async () => {
    await until(
      async () => {
        const { services } = await json("stat", "--to", "shop", "--by", "service");
        return services[0].requests === 20 && services[0].success === 1;
      },
      { what: "all requests" },
    );
    const named = (await json("stat")).services.map(({ service }: { service: string }) => service);
    assert.ok(named.includes("default/idle"), named.join());
    assert.match((await stage.hostmesh("stat")).stdout, /^shop +100 % +\d+\.\d /m);
    assert.match((await stage.hostmesh("stat", "--by", "source")).stdout, /^front +100 % /m);
    const { endpoints } = await json("stat", "shop");
    assert.deepEqual([endpoints[0].requests, endpoints[0].failures], [20, 0]);
    const { routes } = await json("stat", "--by", "route", "--to", "shop");
    assert.equal((await json("stat", "--to", "shop", "--by", "service")).services[0].retries, 10);
    const counted = routes.map((each: { route: string; requests: number }) => [
      each.route,
      each.requests,
    ]);
    assert.equal(new Map(counted).get("orders"), 10, JSON.stringify(counted));
  });

  await t.test("routes shows what the retries hide", async () => {
    const { services } = await json("routes", "shop");
    const [{ effective, actual }] = services;
    assert.equal(effective.success, 1);
    assert.equal(actual.retries, 10);
    assert.ok(actual.success < 1 && actual.perRequest > 1, JSON.stringify(actual));
  });

  await t.test("edges and proxy-status", async () => {
    const { edges } = await json("edges", "--from", "front");
    assert.deepEqual(
      edges.map(
        (edge: { destination: string; secured: boolean; kinds: { security: string }[] }) => [
          edge.destination,
          edge.secured,
          edge.kinds.map(({ security }) => security),
        ],
      ),
      [["default/shop", true, ["same_host"]]],
    );
    const { daemons, revision } = await json("proxy-status");
    const [daemon, ...others] = daemons;
    assert.deepEqual(others, []);
    assert.deepEqual([daemon.host, daemon.state, daemon.workers.alive], ["node-a", "reporting", 1]);
    assert.ok(daemon.revision <= revision && daemon.connectedMs > 0);
  });

  await t.test("top counts live requests", async () => {
    let over = false;
    const shown = stage.hostmesh("top", "shop", "--duration", "2s", "-o", "json").finally(() => {
      over = true;
    });
    while (!over) await stage.ask(`shop/items/${Math.round(performance.now())}?secret=1`, { from });
    const { code, stdout, stderr } = await shown;
    assert.deepEqual([code, stderr], [0, ""]);
    const [{ source, destination, method, path, count }, ...others] = JSON.parse(stdout).rows;
    assert.deepEqual(others, []);
    assert.deepEqual(
      [source, destination, method, path],
      ["default/front", "default/shop", "GET", "/items/*"],
    );
    assert.ok(count > 0);
  });

  await t.test("one host alone, and one that nobody knows", async () => {
    assert.ok((await json("stat", "shop", "--host", "node-a")).endpoints[0].requests >= 20);
    const unknown = await stage.hostmesh("stat", "--host", "nowhere");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /nowhere/);
    assert.match(unknown.stderr, /\nhint: hostmesh proxy-status lists the hosts/);
  });

  await t.test("a misspelt name has the right ones beside it", async () => {
    const { code, stderr } = await stage.hostmesh("stat", "shpo");
    assert.equal(code, 1);
    assert.match(stderr, /no service shpo\nhint: it knows .*shop/);
  });
});
