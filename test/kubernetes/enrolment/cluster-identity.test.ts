import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { processClock } from "../../../src/core/clock.ts";
import { createSigningRequest } from "../../../src/identity/signing-request.ts";
import { generateKeys } from "../../../src/identity/x509.ts";
import { clusterIdentity } from "../../../src/kubernetes/enrolment/cluster-identity.ts";
import { processTimers } from "../../../src/registry/timers.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { until } from "../../helpers/until.ts";
import {
  callTls,
  enrol,
  requestFor,
  secureRegistry,
  spiffe,
} from "../../registry/identity/setup.ts";
import { call, dig, keepingLog } from "../../registry/setup.ts";

const NAMESPACE = "hostmesh-system";
const EXTRA = "authentication.kubernetes.io/";

async function replica(t: TestContext, server: KubeApiServer, leads: boolean) {
  const cluster = clusterIdentity({
    ...{ api: await server.open(), namespace: NAMESPACE, audience: "hostmesh" },
    ...{ isLeader: () => leads, timers: processTimers, clock: processClock },
    ...{ random: Math.random, log: keepingLog() },
  });
  const registry = await secureRegistry(t, cluster.options);
  t.after(() => cluster.close());
  return registry;
}

/** A daemon's pod, and the API server's word for its token. */
function daemonPod(server: KubeApiServer, node: string) {
  const metadata = { namespace: NAMESPACE, name: `hostmesh-daemon-${node}` };
  const spec = { nodeName: node, serviceAccountName: "hostmesh-daemon" };
  const pod = server.apply({
    ...{ apiVersion: "v1", kind: "Pod", metadata, spec, status: { phase: "Running" } },
  });
  const extra = {
    [`${EXTRA}pod-name`]: [metadata.name],
    [`${EXTRA}pod-uid`]: [pod.metadata.uid],
    [`${EXTRA}node-name`]: [node],
  };
  const user = { username: `system:serviceaccount:${NAMESPACE}:hostmesh-daemon`, extra };
  return () => {
    const status = { authenticated: true, audiences: ["hostmesh"], user };
    server.fail(/tokenreviews/, { kind: "answer", status: 201, body: { status } });
  };
}

test("two replicas share the Secret; a daemon enrols at either with its pod's token, for its node alone", async (t) => {
  const server = await KubeApiServer.start(t);
  const [one, two] = await Promise.all([replica(t, server, true), replica(t, server, false)]);
  const review = daemonPod(server, "node-1");
  const enrol = (url: string, host: string) => {
    review();
    const csr = createSigningRequest(generateKeys(), spiffe("hostmesh-hosts", host));
    const body = { serviceAccountToken: "a.b.c", host, csr };
    return callTls(url, "POST", "/v1/identity/enroll", body);
  };
  for (const { tlsUrl } of [one, two]) {
    assert.equal((await enrol(tlsUrl, "node-1")).status, 200);
    const refused = await enrol(tlsUrl, "node-2");
    assert.equal(refused.status, 403);
    assert.match(String(dig(refused.body, "error")), /it is of node node-1/);
  }
  server.remove({
    ...{ apiVersion: "v1", kind: "Pod" },
    metadata: { namespace: NAMESPACE, name: "hostmesh-daemon-node-1" },
  });
  assert.match(String(dig((await enrol(one.tlsUrl, "node-1")).body, "error")), /pod is gone/);
  server.fail(/tokenreviews/, { kind: "answer", status: 500 });
  const csr = createSigningRequest(generateKeys(), spiffe("hostmesh-hosts", "node-1"));
  const body = { serviceAccountToken: "a.b.c", host: "node-1", csr };
  assert.equal((await callTls(two.tlsUrl, "POST", "/v1/identity/enroll", body)).status, 503);
});

test("certificates are for what the registry knows on the node, and for nothing else", async (t) => {
  const server = await KubeApiServer.start(t);
  const registry = await replica(t, server, true);
  const review = daemonPod(server, "node-1");
  review();
  const keys = generateKeys();
  const csr = createSigningRequest(keys, spiffe("hostmesh-hosts", "node-1"));
  const proof = { serviceAccountToken: "a.b.c", host: "node-1", csr };
  const enrolled = await callTls(registry.tlsUrl, "POST", "/v1/identity/enroll", proof);
  const credential = {
    cert: String(dig(enrolled.body, "chain")),
    key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
  for (const [name, host] of [
    ["here", "node-1"],
    ["there", "node-2"],
  ]) {
    await call(registry, "PUT", `/v1/mesh/workloads/shop/${name}`, {
      ...{ host, addresses: ["10.0.0.1"], serviceAccount: name },
    });
  }
  const requests = ["here", "there"].map((name) => requestFor(spiffe("shop", name)));
  const path = "/v1/identity/certificates";
  const { body } = await callTls(registry.tlsUrl, "POST", path, { requests }, credential);
  assert.equal(typeof dig(body, "certificates.0.chain"), "string");
  assert.match(String(dig(body, "certificates.1.error")), /registered on this host/);
});

test("a rotation of one replica is taken over by the other, and stands in the ConfigMap throughout", async (t) => {
  const server = await KubeApiServer.start(t);
  const [leader, other] = await Promise.all([replica(t, server, true), replica(t, server, false)]);
  const published = () => {
    const found = server.get("v1", "ConfigMap", NAMESPACE, "hostmesh-trust");
    return [...String(found?.data["anchors.pem"]).matchAll(/BEGIN CERTIFICATE/g)].length;
  };
  const phase = async (registry: { readonly url: string }) =>
    dig((await call(registry, "GET", "/v1/identity/authorities")).body, "phase");
  await until(() => published() === 1, { what: "the anchor" });
  const step = (name: string) => call(other, "POST", "/v1/identity/rotation", { step: name });
  assert.equal((await step("begin")).status, 200);
  await until(async () => (await phase(leader)) === "begun", { what: "the phase at the leader" });
  await until(() => published() === 2, { what: "both anchors" });
  for (const name of ["issue", "finish"]) {
    await until(async () => (await step(name)).status === 200, { what: name });
  }
  await until(async () => (await phase(leader)) === "steady", { what: "the end" });
  await until(() => published() === 1, { what: "the new anchor alone" });
});

test("a host renews its certificate for as long as there is such a Node, or nobody can say", async (t) => {
  const server = await KubeApiServer.start(t);
  const registry = await replica(t, server, true);
  const { credential } = await enrol(registry, "node-1");
  const node = { apiVersion: "v1", kind: "Node", metadata: { name: "node-1" } };
  const renew = async () => {
    const { csr } = requestFor(spiffe("hostmesh-hosts", "node-1"));
    const answer = await callTls(
      ...([registry.tlsUrl, "POST", "/v1/identity/host", { csr }, credential] as const),
    );
    return [answer.status, dig(answer.body, "error")];
  };
  server.apply(node);
  assert.deepEqual(await renew(), [200, undefined]);
  server.remove(node);
  const [status, reason] = await renew();
  assert.equal(status, 403);
  assert.match(String(reason), /there is no host node-1 any more/);
  server.fail(/GET \/api\/v1\/nodes/, { kind: "answer", status: 500 }, 100);
  assert.deepEqual(await renew(), [200, undefined]);
});
