import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { HostPort } from "../../src/core/address.ts";
import type { DataEndpoint, DataService } from "../../src/core/snapshot.ts";
import { recordsOfText } from "../dialects/translated.ts";
import { endpoint, planeLab, service, workload } from "../helpers/plane.ts";
import { type Answer, ask, named } from "../helpers/route-lab.ts";

const VIP = "10.96.0.10";

/** Three Services of `shop`, as GAMMA's conformance tests have them; the ports of the endpoints are anybody's. */
const SERVICES = `
apiVersion: v1
kind: Service
metadata: { name: echo, namespace: shop }
spec:
  clusterIP: ${VIP}
  ports: [{ name: http, port: 80 }, { name: admin, port: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: echo-v1, namespace: shop }
spec: { clusterIP: 10.96.0.11, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: echo-v2, namespace: shop }
spec: { clusterIP: 10.96.0.12, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: secure, namespace: shop }
spec: { clusterIP: 10.96.0.13, ports: [{ port: 443, appProtocol: kubernetes.io/wss }] }
---
apiVersion: v1
kind: Service
metadata: { name: empty, namespace: shop }
spec: { clusterIP: 10.96.0.14, ports: [{ port: 80 }] }
`;

const route = (name: string, namespace: string, rules: string, parent = "port: 80"): string => `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo, namespace: shop, ${parent} }]
  hostnames: [only.example.com]
  rules:
${rules}
`;

/** A captured port before the Services, with a client in the namespace `shop` and one in `client`. */
async function mesh(t: TestContext, routes: string) {
  const servers = await Promise.all([named(t, "v1"), named(t, "v2")]);
  const places: Record<string, DataEndpoint[]> = {
    "shop/echo": [
      endpoint(servers[0].port, { portName: "http" }),
      endpoint(servers[1].port, { portName: "admin" }),
    ],
    "shop/echo-v1": [endpoint(servers[0].port)],
    "shop/echo-v2": [endpoint(servers[1].port)],
    "shop/secure": [endpoint(servers[0].port)],
  };
  let place: HostPort = { host: VIP, port: 80 };
  const lab = await planeLab({
    destination: { of: () => place },
    workloads: [
      { ...workload(0, "near", "127.0.0.31"), namespace: "shop", key: "shop/near" },
      { ...workload(1, "far", "127.0.0.32"), namespace: "client", key: "client/far" },
      { ...workload(2, "other", "127.0.0.33"), namespace: "other", key: "other/other" },
    ],
  });
  t.after(() => lab.close());
  const records = recordsOfText(SERVICES + routes);
  const tables = records.flatMap(({ kind, value }) => (kind === "route" ? [value] : []));
  const found = records.flatMap((record): DataService[] => {
    if (record.kind !== "service") return [];
    const { meta: _, ...value } = record.value;
    const own = tables.filter(({ services }) => services.includes(record.key));
    const made = service(value.name, places[record.key] ?? []);
    const routed = own.length === 0 ? {} : { routes: own, routeStamp: "1" };
    return [{ ...made, ...value, key: record.key, ...routed }];
  });
  lab.services(...found);
  const from =
    (localAddress: string) =>
    (path: string, headers: Record<string, string> = {}) =>
      // A connection each: what is captured has been dialled once.
      ask(lab.port, path, { agent: false, localAddress, headers: { host: "echo", ...headers } });
  return {
    servers,
    goTo: (next: HostPort) => {
      place = next;
    },
    near: from("127.0.0.31"),
    far: from("127.0.0.32"),
    other: from("127.0.0.33"),
  };
}

const outcome = ({ status, body }: Answer): string => (status === 200 ? body : String(status));

const V1_ONLY = `
    - matches: [{ path: { value: /v1 } }]
      backendRefs: [{ name: echo-v1, port: 80 }]`;

test("a route is bound to the address and port of its Service, whatever Host says", async (t) => {
  const { near, goTo, servers } = await mesh(t, route("split", "shop", V1_ONLY));
  assert.equal(outcome(await near("/v1", { host: "nobody.example" })), "v1");
  assert.equal(outcome(await near("/other", { host: "echo-v2" })), "404");
  // The other port of the Service has no route: calls of it are delivered as ever.
  goTo({ host: VIP, port: 8080 });
  assert.equal(outcome(await near("/other")), "v2");
  // Neither has the address of an endpoint, although Host names the Service.
  goTo({ host: "127.0.0.1", port: servers[1].port });
  assert.equal(outcome(await near("/other", { host: "echo.shop" })), "v2");
});

test("a consumer's route is for its own namespace and hides the producer's there", async (t) => {
  const producer = route("producer", "shop", V1_ONLY);
  const consumer = route(
    "consumer",
    "client",
    `
    - matches: [{ path: { value: /mine } }]
      backendRefs: [{ name: echo-v2, namespace: shop, port: 80 }]`,
  );
  const { near, far, other } = await mesh(t, producer + consumer);
  // Of another namespace, and no ReferenceGrant: none is needed in a mesh.
  assert.equal(outcome(await far("/mine")), "v2");
  assert.equal(outcome(await far("/v1")), "404");
  for (const caller of [near, other]) {
    assert.equal(outcome(await caller("/v1")), "v1");
    assert.equal(outcome(await caller("/mine")), "404");
  }
});

test("only the first route counts: a backend's own routes are not asked", async (t) => {
  const onward = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: onward, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: echo-v1 }]
  rules: [{ backendRefs: [{ name: echo-v2, port: 80 }] }]
`;
  const { near, goTo } = await mesh(t, route("first", "shop", V1_ONLY) + onward);
  assert.equal(outcome(await near("/v1")), "v1");
  goTo({ host: "10.96.0.11", port: 80 });
  assert.equal(outcome(await near("/v1")), "v2");
});

test("what a rule names in vain is answered for its share, and disturbs no other share", async (t) => {
  const rules = `
    - matches: [{ path: { value: /half } }]
      backendRefs: [{ name: echo-v1, port: 80 }, { name: nobody, port: 80 }]
    - matches: [{ path: { value: /none-of-it } }]
      backendRefs: [{ name: echo-v1, port: 80 }, { name: nobody, port: 80, weight: 0 }]
    - matches: [{ path: { value: /bad-port } }]
      backendRefs: [{ name: echo-v1, port: 81 }]
    - matches: [{ path: { value: /tls } }]
      backendRefs: [{ name: secure, port: 443 }]
    - matches: [{ path: { value: /empty } }]
      backendRefs: [{ name: empty, port: 80 }]`;
  const { near } = await mesh(t, route("shares", "shop", rules));
  const outcomes = async (path: string, count: number) => {
    const found: string[] = [];
    for (let at = 0; at < count; at++) found.push(outcome(await near(path)));
    return found.sort();
  };
  assert.deepEqual(await outcomes("/half", 4), ["500", "500", "v1", "v1"]);
  assert.deepEqual(await outcomes("/none-of-it", 3), ["v1", "v1", "v1"]);
  assert.deepEqual(await outcomes("/bad-port", 1), ["500"]);
  assert.deepEqual(await outcomes("/tls", 1), ["500"]);
  assert.deepEqual(await outcomes("/empty", 1), ["503"]);
});
