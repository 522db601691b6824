import assert from "node:assert/strict";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { RoutingStage } from "./routing-stage.ts";

test("ServiceEntries: hosts outside, by address, by name, and as they were dialled", {
  skip,
}, async (t) => {
  const stage = await RoutingStage.start(t);
  const api = await stage.server("api");
  await stage.apply(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: static }
spec:
  hosts: [api.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { http: ${api.port} }, labels: { version: v1 } }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: dns }
spec:
  hosts: [named.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: ${api.port} }]
  resolution: DNS
  endpoints: [{ address: localhost }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: none }
spec:
  hosts: ["localhost.localdomain", "*.wild.example"]
  ports: [{ number: ${api.port}, name: http, protocol: HTTP }]
  resolution: NONE
`);
  assert.equal((await stage.ask("api.example.com")).body, "api");
  assert.equal((await stage.ask("named.example.com")).body, "api");
  assert.equal((await stage.ask("api.example.com:81")).status, 404);

  await t.test("they are routed like any other service", async () => {
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: api }
spec:
  hosts: [api.example.com]
  http:
    - match: [{ uri: { prefix: /v2 } }]
      rewrite: { uri: /v1 }
      route: [{ destination: { host: api.example.com } }]
    - match: [{ uri: { prefix: /slow } }]
      timeout: 0.1s
      route: [{ destination: { host: named.example.com } }]
`);
    await stage.ask("api.example.com/v2/x");
    assert.equal(api.seen.at(-1)?.url, "/v1/x");
    api.answer = () => undefined;
    assert.equal((await stage.ask("api.example.com/slow")).status, 504);
    api.answer = null;
    assert.equal((await stage.ask("api.example.com/else")).status, 404);
  });
});

test("what workloads see: Sidecar, exportTo, REGISTRY_ONLY", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.instance("own", "own", { namespace: "blue" });
  await stage.instance("shared", "shared");
  await stage.instance("hidden", "hidden");
  const far = await stage.server("far");
  await stage.workload("client", "127.0.0.31", { namespace: "blue", labels: { app: "client" } });
  const blue = { from: "127.0.0.31" };
  for (const host of ["own", "shared.default", "hidden.default"]) {
    assert.equal((await stage.ask(host, blue)).status, 200, host);
  }
  await stage.apply(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: blue }
spec:
  egress: [{ hosts: ["./*", "default/shared.default.svc.cluster.local"] }]
  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
`);
  assert.equal((await stage.ask("own", blue)).body, "own");
  assert.equal((await stage.ask("shared.default", blue)).body, "shared");
  assert.equal((await stage.ask("hidden.default", blue)).status, 404);
  assert.equal((await stage.ask("hidden")).body, "hidden", "for others nothing has changed");

  await t.test("out of the mesh only who may", async () => {
    const absolute = (from?: string) =>
      stage.absolute(`http://127.0.0.1:${far.port}/`, from === undefined ? {} : { from });
    assert.equal((await absolute()).body, "far");
    assert.equal((await absolute("127.0.0.31")).status, 404);
  });

  await t.test("a ServiceEntry for one namespace only", async () => {
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: private }
spec:
  hosts: [private.example.com]
  exportTo: ["."]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { http: ${far.port} } }]
`);
    assert.equal((await stage.ask("private.example.com")).body, "far");
    assert.equal((await stage.ask("private.example.com", blue)).status, 404);
  });
});

test("DestinationRules: by the caller's namespace, and by port", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.versions("web", "v1", "v2");
  await stage.workload("client", "127.0.0.41", { namespace: "blue" });
  const subset = (namespace: string, version: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: ${namespace} }
spec:
  host: web.default.svc.cluster.local
  subsets: [{ name: stable, labels: { version: ${version} } }]
---
`;
  await stage.apply(`${subset("default", "v1")}${subset("blue", "v2")}
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web }
spec:
  hosts: [web]
  http: [{ route: [{ destination: { host: web, subset: stable } }] }]
`);
  assert.deepEqual(await stage.tally("web", 3), { "web-v1": 3 });
  assert.deepEqual(await stage.tally("web.default", 3, { from: "127.0.0.41" }), { "web-v2": 3 });

  await t.test("portLevelSettings stand in place of the others", async () => {
    const [a, b] = [await stage.server("a"), await stage.server("b")];
    const services = [
      {
        name: "two",
        ports: [
          { name: "p", port: 80 },
          { name: "q", port: 81 },
        ],
      },
    ];
    const endpoints = [a, b].flatMap(({ name, port }) =>
      ["p", "q"].map((portName) => ({
        ...{ id: `${name}-${portName}`, service: "two", address: "127.0.0.1", port, portName },
      })),
    );
    await stage.call("POST", "/v1/mesh/apply", { services, endpoints });
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: two }
spec:
  host: two
  trafficPolicy:
    loadBalancer: { consistentHash: { httpHeaderName: x-user } }
    portLevelSettings:
      - port: { number: 81 }
        loadBalancer: { simple: ROUND_ROBIN }
`);
    const headers = { "x-user": "jason" };
    const hashed = await stage.tally("two:80", 6, { headers });
    assert.equal(Object.keys(hashed).length, 1, JSON.stringify(hashed));
    assert.deepEqual(await stage.tally("two:81", 6, { headers }), { a: 3, b: 3 });
  });
});

test("entries of several namespaces for one host: each caller has its own", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.workload("client", "127.0.0.61", { namespace: "blue" });
  const [one, two] = [await stage.server("one"), await stage.server("two")];
  const entry = (namespace: string, port: number) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: api, namespace: ${namespace} }
spec:
  hosts: [api.example.com]
  exportTo: ["."]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { http: ${port} } }]
---
`;
  await stage.apply(entry("default", one.port) + entry("blue", two.port));
  const from = "127.0.0.61";
  assert.equal((await stage.ask("api.example.com")).body, "one");
  assert.equal((await stage.ask("api.example.com", { from })).body, "two");
  await stage.delete(entry("blue", two.port));
  assert.equal((await stage.ask("api.example.com", { from })).status, 404);
  assert.equal((await stage.ask("api.example.com")).body, "one");
});
