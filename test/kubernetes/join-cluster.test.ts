import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { joinCluster } from "../../src/kubernetes/join-cluster.ts";
import { KubeApiServer } from "../helpers/kube-api-server.ts";
import { until } from "../helpers/until.ts";
import { callTls, secureRegistry } from "../registry/identity/setup.ts";
import { dig, keepingLog } from "../registry/setup.ts";

const NAMESPACE = "hostmesh-system";

async function replica(t: TestContext, server: KubeApiServer, name: string) {
  const cluster = await joinCluster({
    ...{ kubeconfig: server.kubeconfig, context: "", namespace: NAMESPACE, replica: name },
    ...{ audience: "hostmesh", log: keepingLog() },
  });
  const registry = await secureRegistry(t, cluster.identity);
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= registry.close().then(() => cluster.close());
    return closing;
  };
  t.after(close);
  return { registry, cluster, close };
}

test("of two replicas one leads and publishes the anchors; when it goes the other does", async (t) => {
  const server = await KubeApiServer.start(t);
  const one = await replica(t, server, "registry-0");
  await until(() => one.cluster.leader.isLeader(), { what: "the first leader" });
  const two = await replica(t, server, "registry-1");
  const trust = async ({ tlsUrl }: { readonly tlsUrl: string }) =>
    dig((await callTls(tlsUrl, "GET", "/v1/identity/trust")).body, "anchors.0");
  const anchor = await trust(one.registry);
  assert.equal(await trust(two.registry), anchor);
  const published = () =>
    server.get("v1", "ConfigMap", NAMESPACE, "hostmesh-trust")?.data["anchors.pem"];
  await until(() => published() === anchor, { what: "the anchors" });
  assert.equal(two.cluster.leader.isLeader(), false);

  await one.close();
  const map = server.get("v1", "ConfigMap", NAMESPACE, "hostmesh-trust");
  server.apply({ ...map, data: { "anchors.pem": "wrong" } });
  await until(() => two.cluster.leader.isLeader(), { what: "the second leader" });
  await until(() => published() === anchor, { what: "the anchors by the second leader" });
});
