import assert from "node:assert/strict";
import { connect } from "node:net";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { RoutingStage } from "./routing-stage.ts";

test("annotations in the Meta of registrations", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  let left = 0;
  const failing = (name: string) => (_: unknown, response: import("node:http").ServerResponse) => {
    left -= 1;
    response.writeHead(left >= 0 ? 503 : 200).end(name);
  };
  const meta = { version: "v1", "retry.linkerd.io/http": "503", "retry.linkerd.io/limit": "2" };
  const web = await stage.instance("web", "web", { meta });
  web.answer = failing("web");
  await stage.settled();
  const status = async (fails: number) => {
    left = fails;
    return (await stage.ask("web", { method: "POST", body: "x" })).status;
  };
  assert.equal(await status(2), 200);
  assert.equal(await status(3), 503);

  await t.test("they join with what resources say, which comes first", async () => {
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: all }
spec:
  host: "*.default.svc.cluster.local"
  trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } }
---
Kind: service-defaults
Name: web
LocalRequestTimeoutMs: 100
Protocol: http
`);
    assert.equal(await status(2), 200);
    web.answer = () => undefined;
    assert.equal((await stage.ask("web")).status, 504);
    web.answer = failing("web");
  });

  await t.test("rate limits and timeouts; what cannot be read has no effect", async () => {
    const limits = { "hostmesh.io/rate-limit": "2/h", "timeout.linkerd.io/request": "soon" };
    await stage.instance("slow", "slow", { meta: limits });
    await stage.settled();
    assert.deepEqual(await stage.tally("slow", 4), { slow: 2, "429": 2 });
  });

  await t.test("a declared service has them in its own Meta", async () => {
    const instance = await stage.server("declared");
    const services = [{ name: "declared", meta: { "hostmesh.io/rate-limit": "1/h" } }];
    const endpoints = [
      { id: "declared", service: "declared", address: "127.0.0.1", port: instance.port },
    ];
    await stage.call("POST", "/v1/mesh/apply", { services, endpoints });
    await stage.settled();
    assert.deepEqual(await stage.tally("declared", 3), { declared: 1, "429": 2 });
  });
});

test("limits of routes, of a try, and a bad resource among good ones", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  const web = await stage.instance("web", "web");
  await stage.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web, annotations: { hostmesh.io/rate-limit: "3/h; by=header:x-user" } }
spec:
  hosts: [web]
  http:
    - match: [{ uri: { prefix: /a } }]
      route: [{ destination: { host: web } }]
    - route: [{ destination: { host: web } }]
`);
  const jason = { headers: { "x-user": "jason" } };
  assert.deepEqual(await stage.tally("web/a", 2, jason), { web: 2 });
  assert.deepEqual(await stage.tally("web/b", 2, jason), { web: 1, "429": 1 });
  assert.deepEqual(await stage.tally("web/b", 1, { headers: { "x-user": "eve" } }), { web: 1 });

  await t.test("what is refused disturbs nothing, and tells its path", async () => {
    const file = await stage.file(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: bad }
spec:
  hosts: [web]
  http: [{ rout: [{ destination: { host: nowhere } }] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: good }
spec:
  hosts: [other]
  http: [{ directResponse: { status: 418 } }]
`);
    await stage.instance("other", "other");
    const { code, stderr } = await stage.hostmesh("apply", "-f", file);
    assert.equal(code, 1);
    assert.match(stderr, /spec\.http\[0\]\.rout/);
    await stage.settled();
    assert.equal((await stage.ask("web")).status, 200);
    assert.equal((await stage.ask("other")).status, 418);
  });

  await t.test("a change is taken back by a rollback, a resource by its removal", async () => {
    const teapot = (status: number) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: good }
spec: { hosts: [other], http: [{ directResponse: { status: ${status} } }] }
`;
    await stage.apply(teapot(404));
    assert.equal((await stage.ask("other")).status, 404);
    const back = await stage.hostmesh("rollback", "VirtualService", "good");
    assert.equal(back.code, 0, back.stderr);
    await stage.settled();
    assert.equal((await stage.ask("other")).status, 418);
    await stage.delete(teapot(418));
    assert.equal((await stage.ask("other")).body, "other");
  });

  await t.test("a limit for one try leaves the daemon's own retries", async () => {
    await stage.apply(`
apiVersion: v1
kind: Service
metadata: { name: tries }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: tries }
spec:
  parentRefs: [{ group: "", kind: Service, name: tries }]
  rules: [{ backendRefs: [{ name: tries, port: 80 }], timeouts: { backendRequest: 200ms } }]
`);
    await stage.register("tries", { name: "tries-gone", port: 1 });
    await stage.register("tries", { name: "tries", port: web.port });
    await stage.settled();
    assert.deepEqual(await stage.tally("tries", 6), { web: 6 });
    await stage.call("PUT", "/v1/agent/service/deregister/tries-gone");
    await stage.settled();
    web.answer = () => undefined;
    assert.equal((await stage.ask("tries")).status, 504);
    web.answer = null;
  });
});

test("TCP: weights by VirtualService and TrafficSplit, over CONNECT", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.versions("echo", "v1", "v2");
  for (const name of ["db", "db-a", "db-b"]) await stage.instance(name, name);
  await stage.apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: echo }
spec:
  host: echo
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: echo }
spec:
  hosts: [echo]
  tcp:
    - route:
        - { destination: { host: echo, subset: v1 }, weight: 80 }
        - { destination: { host: echo, subset: v2 }, weight: 20 }
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: { name: db }
spec: { service: db, backends: [{ service: db-a, weight: 1 }, { service: db-b, weight: 1 }] }
`);
  const tally = async (target: string, count: number) => {
    const found: Record<string, number> = {};
    for (let at = 0; at < count; at++) {
      const name = await tunnelled(stage.explicit, target);
      found[name] = (found[name] ?? 0) + 1;
    }
    return found;
  };
  assert.deepEqual(await tally("echo:9000", 10), { "echo-v1": 8, "echo-v2": 2 });
  assert.deepEqual(await tally("db:5432", 4), { "db-a": 2, "db-b": 2 });
});

/** Who answers in a tunnel of its own. */
function tunnelled(port: number, target: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(port, "127.0.0.1");
  let text = "";
  let isOpen = false;
  socket.on("error", reject);
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (!isOpen && text.includes("\r\n\r\n")) {
      isOpen = true;
      if (!text.startsWith("HTTP/1.1 200")) reject(new Error(text));
      socket.write("GET / HTTP/1.1\r\nhost: inner\r\nconnection: close\r\n\r\n");
    }
  });
  socket.on("close", () => resolve(/x-served-by: (\S+)/.exec(text)?.[1] ?? text));
  socket.write(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
  return promise;
}
