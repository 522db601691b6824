import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { Policy, PolicyTarget } from "../../src/core/policy.ts";
import type { DataEndpoint } from "../../src/core/snapshot.ts";
import { endpoint, planeLab, policyUpdate, service, workload } from "../helpers/plane.ts";

/** Whatever record leads to a workload's address: its policies are asked. */
const ADDRESS = "127.0.0.7";
const WEB = "spiffe://cluster.local/ns/default/sa/web";

const target: PolicyTarget = {
  ...{ key: "default/web", namespace: "default", serviceAccount: "web", labels: {} },
  ...{ services: ["web"], identity: WEB },
};

const denyAll: Policy = {
  ...{ kind: "authorization", source: "AuthorizationPolicy default/deny", createdMs: 0 },
  ...{ scope: { namespace: "default", labels: {} }, dryRun: false, action: "deny" },
  rules: [{ from: [], to: [], when: [] }],
};

/** A guarded workload, and a service that somebody else has made of its address. */
async function lab(t: TestContext, alias: Partial<DataEndpoint>, dialled = false) {
  const seen: string[] = [];
  const server = createServer((incoming, response) => {
    seen.push(incoming.url ?? "");
    response.end("ok");
  }).listen(0, ADDRESS);
  await once(server, "listening");
  t.after(() => void server.closeAllConnections());
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const place = { host: ADDRESS, port };
  const mesh = await planeLab({
    workloads: [{ ...workload(3, "web", ADDRESS), identity: WEB }],
    ...(dialled ? { destination: { of: () => place } } : {}),
  });
  t.after(() => mesh.close());
  const own = { address: ADDRESS, identity: WEB, target };
  mesh.services(
    service("web", [endpoint(port, own)], { protocol: "http" }),
    service("alias", [endpoint(port, { address: ADDRESS, local: false, host: "", ...alias })]),
  );
  const get = async (host: string) => {
    const outgoing = request({ port: mesh.port, path: `/${host}`, headers: { host } });
    outgoing.end();
    const [response] = await once(outgoing, "response");
    response.resume();
    return response.statusCode;
  };
  const guard = () => mesh.plane.apply(policyUpdate([denyAll]));
  return { ...mesh, seen, get, guard };
}

for (const [what, alias] of [
  ["an endpoint without a host", {}],
  ["an endpoint that says it is on another host, which takes no mutual TLS", { host: "node-b" }],
] as const) {
  test(`a guarded workload is not reached by ${what}`, async (t) => {
    const mesh = await lab(t, alias);
    assert.equal(await mesh.get("alias"), 200, "it would be");
    mesh.guard();
    assert.equal(await mesh.get("alias"), 403);
    assert.equal(await mesh.get("web"), 403);
    assert.deepEqual(mesh.seen, ["/alias"]);
  });
}

test("an endpoint of another host at the same address opens no door when the address is dialled", async (t) => {
  const mesh = await lab(t, { host: "node-b" }, true);
  mesh.guard();
  assert.equal(await mesh.get("web"), 403);
  assert.deepEqual(mesh.seen, []);
});
