import assert from "node:assert/strict";
import test from "node:test";
import { skip } from "../daemon/up-process.ts";
import { RoutingStage } from "./routing-stage.ts";

const DENY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: nobody, namespace: closed }
spec: { action: DENY, rules: [{}] }
`;

test("a request says where it goes, where its caller may", { skip }, async (t) => {
  const stage = await RoutingStage.start(t, { mesh: { requestOverrides: "routes" } });
  await stage.instance("web", "web");
  const next = await stage.instance("web-next", "web-next");
  await stage.workload("client", "127.0.0.51");
  const from = "127.0.0.51";
  const to = (name: string) => ({ from, headers: { "L5d-Dst-Override": name } });

  for (const name of ["web-next", "web-next.default", "WEB-NEXT.default.svc.cluster.local:80"]) {
    assert.equal((await stage.ask("web", to(name))).body, "web-next", name);
  }
  assert.equal(next.seen[0]?.headers["l5d-dst-override"], undefined);
  assert.equal(next.seen[0]?.headers.host, "web", "the Host stays");
  assert.equal((await stage.ask("web", { from })).body, "web");
  assert.equal((await stage.ask("web", to("web"))).body, "web");

  await t.test("nobody else may, and nowhere but into the mesh", async () => {
    const stranger = await stage.ask("web", { headers: { "l5d-dst-override": "web-next" } });
    assert.equal(stranger.body, "web");
    for (const bad of ["nothing", `127.0.0.1:${next.port}`, "", "a b", "x".repeat(5_000)]) {
      const refused = await stage.ask("web", to(bad));
      assert.equal(refused.status, 404, bad);
    }
  });

  await t.test("rules and scopes hold at the destination", async () => {
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: web-next }
spec:
  hosts: [web-next]
  http: [{ match: [{ uri: { prefix: /api } }], route: [{ destination: { host: web-next } }] }]
`);
    assert.equal((await stage.ask("web/api", to("web-next"))).body, "web-next");
    assert.equal((await stage.ask("web/else", to("web-next"))).status, 404);
    await stage.apply(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default }
spec: { egress: [{ hosts: ["./web.default.svc.cluster.local"] }] }
`);
    assert.equal((await stage.ask("web/api", to("web-next"))).status, 404);
  });

  await t.test("policies of the called workload hold", async () => {
    await stage.workload("locked", "127.0.0.52", { namespace: "closed" });
    const locked = await stage.server("locked", "127.0.0.52");
    const { port } = locked;
    const more = { Address: "127.0.0.52" };
    await stage.register("locked", { name: "locked", port }, { namespace: "closed", more });
    await stage.workload("free", "127.0.0.53", { namespace: "free" });
    const free = { ...to("locked.closed"), from: "127.0.0.53" };
    await stage.settled();
    assert.equal((await stage.ask("web.default", free)).body, "locked");
    await stage.apply(DENY);
    assert.equal((await stage.ask("web.default", free)).status, 403);
  });
});

test("by default no request is sent elsewhere by its header", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  const web = await stage.instance("web", "web");
  await stage.instance("other", "other");
  await stage.workload("client", "127.0.0.51");
  const headers = { "l5d-dst-override": "other", "l5d-request-timeout": "5s" };
  assert.equal((await stage.ask("web", { from: "127.0.0.51", headers })).body, "web");
  const [seen] = web.seen;
  assert.deepEqual(
    [seen?.headers["l5d-dst-override"], seen?.headers["l5d-request-timeout"]],
    ["other", undefined],
  );
});
