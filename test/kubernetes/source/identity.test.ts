import assert from "node:assert/strict";
import { test } from "node:test";
import { KubernetesSource } from "../../../src/kubernetes/source/kubernetes-source.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { until } from "../../helpers/until.ts";
import {
  callTls,
  enrol,
  requestFor,
  secureRegistry,
  spiffe,
} from "../../registry/identity/setup.ts";
import { call, dig, testRegistry } from "../../registry/setup.ts";
import {
  IN,
  namespaceOf,
  nodeOf,
  openApi,
  podOf,
  RULES,
  serviceOf,
  sliceOf,
} from "./cluster-lab.ts";

const out = { "hostmesh.io/inject": "disabled" };

test("a node gets certificates for the pods that the API server has placed there, and for nobody else", async (t) => {
  const server = await KubeApiServer.start(t);
  const objects = [
    ...[namespaceOf("shop"), nodeOf("node-1"), nodeOf("node-2")],
    podOf("web-1", "10.1.0.1", { account: "web" }),
    podOf("far-1", "10.1.0.2", { account: "far", node: "node-2" }),
    podOf("out-1", "10.1.0.3", { account: "out", metadata: { annotations: out } }),
    podOf("host-1", "192.0.2.1", {
      ...{ account: "host", metadata: { labels: IN }, spec: { hostNetwork: true } },
    }),
    serviceOf("front", "10.96.0.1"),
    sliceOf("front-a", "front", [
      { ip: "10.1.0.1", pod: "web-1" },
      { ip: "10.1.0.3", pod: "out-1" },
      { ip: "192.0.2.1", pod: "host-1" },
      // Somebody may write a slice that says otherwise.
      { ip: "10.1.0.2", pod: "far-1", nodeName: "node-1" },
      { ip: "10.1.0.9", pod: "nobody" },
    ]),
  ];
  for (const object of objects) server.apply(object);
  const source = new KubernetesSource({ api: await openApi(t, server), rules: RULES });
  const registry = await secureRegistry(t, {}, { source });
  const { credential } = await enrol(registry, "node-1");
  const certified = async (account: string) => {
    const requests = [requestFor(spiffe("shop", account))];
    const answer = await callTls(
      ...([
        registry.tlsUrl,
        "POST",
        "/v1/identity/certificates",
        { requests },
        credential,
      ] as const),
    );
    return dig(answer.body, "certificates.0.chain") !== undefined;
  };
  assert.equal(await certified("web"), true);
  for (const account of ["far", "out", "host", "front", "other"]) {
    assert.equal(await certified(account), false, account);
  }
  // It moves to the other node, as a pod of a StatefulSet does.
  server.remove(podOf("web-1", ""));
  server.apply(podOf("web-1", "10.1.0.4", { node: "node-2", metadata: { uid: "another" } }));
  await until(async () => !(await certified("web")), { what: "nothing of it there any more" });

  const anonymous = await callTls(registry.tlsUrl, "GET", "/v1/mesh/ready");
  assert.deepEqual(anonymous.body, { ready: true });
  const host = await callTls(registry.tlsUrl, "GET", "/v1/mesh/ready", undefined, credential);
  assert.equal(dig(host.body, "synced"), true);
});

test("nobody is served before everything is read, and a start that waits can be given up", async (t) => {
  const server = await KubeApiServer.start(t);
  const refused = { status: 403, body: { kind: "Status", reason: "Forbidden", code: 403 } };
  server.fail(/GET \/api\/v1\/pods/, { kind: "answer", ...refused }, 1_000);
  const stop = new AbortController();
  const source = new KubernetesSource({ api: await openApi(t, server), rules: RULES });
  const starting = testRegistry(t, { source, stop: stop.signal });
  const failed = assert.rejects(starting, /given up/);
  await until(() => server.count(/GET \/api\/v1\/pods/) > 0 && server.watches() === 5);
  stop.abort(new Error("given up"));
  await failed;
  await until(() => server.watches() === 0, { what: "nothing is watched any more" });
});

test("a registry without a source is ready, and says that it has none", async (t) => {
  const registry = await testRegistry(t);
  const { status, body } = await call(registry, "GET", "/v1/mesh/ready");
  assert.deepEqual([status, dig(body, "synced"), dig(body, "position")], [200, true, {}]);
  assert.equal(dig((await call(registry, "GET", "/v1/mesh/status")).body, "source"), null);
});
