import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { recordsOfText } from "../dialects/translated.ts";
import { grpcLab } from "../helpers/grpc-lab.ts";
import type { GrpcHandlers } from "../helpers/grpc-peers.ts";
import { Http2Client } from "../helpers/h2-peers.ts";
import { endpoint, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

/** GRPCRoutes as users write them, obeyed by calls of gRPC. */
const route = (rules: string, annotations = "{}"): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: web, namespace: default, annotations: ${annotations} }
spec:
  parentRefs: [{ group: "", kind: Service, name: web }]
  rules:
${rules}
`;

const to = (name: string): string => `backendRefs: [{ name: ${name}, port: 80 }]`;

/** Services `v1` and `v2`, whose servers say their names; `web` has the rules. */
async function routed(t: TestContext, yaml: string, one?: GrpcHandlers) {
  const saying = (name: string): GrpcHandlers => ({
    unary: (_call, done) => done(null, Buffer.from(name)),
  });
  const made = await grpcLab(t, [one ?? saying("v1"), saying("v2")], {
    protocol: "grpc",
    random: () => 0,
  });
  const [first, second] = made.servers.map(({ port }) => endpoint(port));
  const routes = recordsOfText(yaml).flatMap(({ kind, value }) =>
    kind === "route" ? [value] : [],
  );
  made.lab.services(
    { ...made.web(...made.endpoints), routes, routeStamp: "2" },
    service("v1", [first!], { protocol: "grpc" }),
    service("v2", [second!], { protocol: "grpc" }),
  );
  const ask = async (path: string, metadata: Record<string, string> = {}): Promise<string> => {
    const { code, messages } = await made.client.unary("x", { metadata }, path);
    return code === status.OK ? messages.join() : (status[code] ?? String(code));
  };
  return { ...made, ask };
}

test("a GRPCRoute chooses by service, method and metadata; the rest is UNIMPLEMENTED", async (t) => {
  const { ask, lab } = await routed(
    t,
    route(`
    - matches: [{ method: { service: hostmesh.test.Echo, method: unary } }]
      ${to("v1")}
    - matches: [{ method: { service: hostmesh.test.Echo }, headers: [{ name: tenant, value: a }] }]
      ${to("v2")}
    - matches: [{ method: { type: RegularExpression, service: "hostmesh[.].*", method: "un.*d" } }]
      ${to("v2")}`),
  );
  assert.equal(await ask("/hostmesh.test.Echo/unary"), "v1");
  // No server has these methods: what says so is the one that was chosen, not the proxy.
  const before = lab.facts.length;
  assert.equal(await ask("/hostmesh.test.Echo/other", { tenant: "a" }), "UNIMPLEMENTED");
  assert.equal(await ask("/hostmesh.test.Echo/understood"), "UNIMPLEMENTED");
  await until(() => lab.facts.length === before + 2);
  for (const one of lab.facts.slice(before)) {
    assert.deepEqual([one.service?.key, one.error], ["default/web", null]);
    assert.equal(one.endpoint?.port, lab.facts.at(-1)?.endpoint?.port);
  }
  assert.equal(await ask("/hostmesh.test.Echo/other", { tenant: "b" }), "UNIMPLEMENTED");
  await until(() => lab.facts.length === before + 3);
  assert.equal(lab.facts.at(-1)?.error, "ROUTE_NOT_FOUND");
});

test("metadata chooses among backends for the same method", async (t) => {
  const { ask } = await routed(
    t,
    route(`
    - matches: [{ headers: [{ name: x-canary, value: "1" }] }]
      ${to("v2")}
    - ${to("v1")}`),
  );
  assert.equal(await ask("/hostmesh.test.Echo/unary"), "v1");
  assert.equal(await ask("/hostmesh.test.Echo/unary", { "x-canary": "1" }), "v2");
  assert.equal(await ask("/hostmesh.test.Echo/unary", { "x-canary": "2" }), "v1");
});

test("weights share calls of one connection exactly", async (t) => {
  const { ask } = await routed(
    t,
    route(
      "    - backendRefs: [{ name: v1, port: 80, weight: 3 }, { name: v2, port: 80, weight: 1 }]",
    ),
  );
  const got = await Promise.all(Array.from({ length: 40 }, () => ask("/hostmesh.test.Echo/unary")));
  assert.equal(got.filter((name) => name === "v1").length, 30);
});

test("a backend that nobody has and that has no weight disturbs nobody", async (t) => {
  const { ask } = await routed(
    t,
    route(
      "    - backendRefs: [{ name: v1, port: 80 }, { name: v2, port: 80 }, { name: nobody, port: 80, weight: 0 }]",
    ),
  );
  const found: string[] = [];
  for (let call = 0; call < 6; call++) found.push(await ask("/hostmesh.test.Echo/unary"));
  assert.deepEqual(found.sort(), ["v1", "v1", "v1", "v2", "v2", "v2"]);
});

test("a backend that nobody has is UNAVAILABLE, to a request of another kind 503", async (t) => {
  const { ask, lab } = await routed(t, route(`    - ${to("nobody")}`));
  assert.equal(await ask("/hostmesh.test.Echo/unary"), "UNAVAILABLE");
  const client = new Http2Client(lab.port);
  t.after(() => client.close());
  const fields = { ":path": "/hostmesh.test.Echo/unary", ":method": "POST", ":authority": "web" };
  assert.equal((await client.ask(fields, ["x"])).status, 503);
});

test("Linkerd's annotations of a GRPCRoute hold for its calls", async (t) => {
  const broken: GrpcHandlers = {
    unary: (_call, done) => done({ code: status.UNAVAILABLE, details: "broken" }),
  };
  const annotations =
    '{ retry.linkerd.io/grpc: "unavailable", retry.linkerd.io/limit: "2", timeout.linkerd.io/request: "9s" }';
  const { servers, client, lab } = await routed(t, route("    - {}", annotations), broken);
  const { code } = await client.unary("x");
  assert.equal(code, status.OK);
  assert.deepEqual(
    servers.map(({ calls }) => calls()),
    [1, 1],
  );
  await until(() => lab.facts.length === 1);
  assert.equal(lab.facts[0]?.attempts, 2);
});
