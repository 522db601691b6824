import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Difference } from "../../../src/cli/config/compare-dumps.ts";
import { runCliHere } from "../run.ts";
import { openPeer, type Peer } from "../sight/peer.ts";

let registry: Peer;
before(async () => {
  registry = await openPeer();
});
after(() => registry.close());

function place(id: string, slot: number, more: object = {}) {
  return { id, address: "10.1.0.5", port: 8080, weight: 1, health: "passing", slot, ...more };
}

function dump(more: object = {}, endpoints = [place("node-a/1", 3)], policies = {}) {
  const web = {
    ...{ key: "shop/web", addresses: ["240.240.0.7"], ports: [], slots: { "": 4 } },
    ...{ routeStamp: "1", routes: [{ source: "VirtualService shop/web" }], endpoints },
  };
  return {
    ...{ version: "0.1.0", revision: 41 },
    settings: { host: "x", limits: { endpoints: 100 }, registry: { urls: ["http://r"] } },
    snapshot: { services: [{ ...web, ...more }], policies },
  };
}

beforeEach(() => {
  registry.answers.clear();
  registry.answers.set("/v1/mesh/sight/hosts/node-a/config", [200, dump()]);
});

async function diff(...hosts: string[]) {
  const args = ["config", "diff", ...hosts, "-o", "json", "--registry", registry.url];
  const { code, stdout, stderr } = await runCliHere(args);
  const found: Difference[] = stdout === "" ? [] : JSON.parse(stdout);
  return { code, stderr, found: found.map(({ kind, name, text }) => `${kind} ${name}: ${text}`) };
}

test("two hosts that should be alike are, whatever is their own", async () => {
  const other = dump({ slots: { "": 9 }, routeStamp: "7" }, [
    place("node-a/1", 8, { local: true, health: "critical" }),
  ]);
  registry.answers.set("/v1/mesh/sight/hosts/node-b/config", [200, other]);
  assert.deepEqual(await diff("node-a", "node-b"), { code: 0, stderr: "", found: [] });
});

test("what is different between two hosts is named, and ends it with 1", async () => {
  const other = {
    ...dump(
      { routes: [], addresses: ["240.240.0.8"] },
      [place("node-a/1", 8, { weight: 5 }), place("node-b/2", 9)],
      { "ap/shop/x": { kind: "authorization" } },
    ),
    ...{ revision: 40, version: "0.2.0", settings: { host: "y", limits: { endpoints: 200 } } },
  };
  registry.answers.set("/v1/mesh/sight/hosts/node-b/config", [200, other]);
  const { code, found } = await diff("node-a", "node-b");
  assert.equal(code, 1);
  assert.deepEqual(found, [
    "version daemon: 0.1.0 on node-a, 0.2.0 on node-b",
    "revision daemon: 41 on node-a, 40 on node-b",
    "setting limits.endpoints: 100 on node-a, 200 on node-b",
    'setting registry.urls: ["http://r"] on node-a, none on node-b',
    "service shop/web: addresses, routes differ",
    "endpoint shop/web node-a/1: weight differs",
    "endpoint shop/web node-b/2: only on node-b",
    "policy ap/shop/x: only on node-b",
  ]);
});

test("a host is compared with the registry: services, endpoints, and whether it is behind or refused", async () => {
  const service = (name: string) => ({
    ...{ name, namespace: "shop", addresses: [], balancer: { policy: "random" } },
    endpoints: { passing: 1, warning: 0, critical: 0 },
  });
  const endpoint = (id: string) => ({
    ...place(id, 0),
    ...{ service: "web", namespace: "shop", host: "node-a", checks: [] },
  });
  registry.answers.set("/v1/mesh/services", [200, [service("web"), service("new")]]);
  registry.answers.set("/v1/mesh/endpoints", [200, [endpoint("node-a/1"), endpoint("node-a/2")]]);
  const refusal = { revision: 42, reason: "bad route" };
  const daemons = [{ host: "node-a", revision: 41, refusal }];
  registry.answers.set("/v1/mesh/status", [200, { revision: 42, daemons }]);
  const { code, found } = await diff("node-a");
  assert.equal(code, 1);
  assert.deepEqual(found, [
    "revision daemon: refused 42: bad route",
    "revision daemon: acts on 41, and the registry has 42",
    "service shop/new: only on the registry",
    "endpoint shop/web node-a/2: only on the registry",
  ]);
});

test("a host that cannot be asked, or tells something else, is an error", async () => {
  const unknown = await diff("node-z", "node-a");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /nothing at this path/);
  registry.answers.set("/v1/mesh/sight/hosts/node-z/config", [200, { version: 1 }]);
  assert.match((await diff("node-a", "node-z")).stderr, /dump of host node-z is not understood/);
});

test("config dump --host asks the registry for another host's dump", async () => {
  const args = ["config", "dump", "--host", "node-a", "-o", "json", "--registry", registry.url];
  const { code, stdout } = await runCliHere(args);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), dump());
});
