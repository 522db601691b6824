import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterTokenReview } from "../../../src/kubernetes/enrolment/cluster-token-review.ts";
import { type Fault, KubeApiServer } from "../../helpers/kube-api-server.ts";

const EXTRA = "authentication.kubernetes.io/";
const POD = "hostmesh-daemon-x";

function answer(extra: Record<string, string[]>, facts: object = {}): Fault {
  const username = "system:serviceaccount:hostmesh-system:hostmesh-daemon";
  const named = Object.fromEntries(
    Object.entries(extra).map(([name, value]) => [`${EXTRA}${name}`, value]),
  );
  const user = { username, extra: named };
  const status = { authenticated: true, audiences: ["hostmesh"], user, ...facts };
  return { kind: "answer", status: 201, body: { kind: "TokenReview", status } };
}

async function lab(t: Parameters<typeof KubeApiServer.start>[0]) {
  const server = await KubeApiServer.start(t);
  const put = (facts: { node?: string; phase?: string; account?: string; name?: string } = {}) => {
    const { node = "node-1", phase = "Running", account = "hostmesh-daemon", name = POD } = facts;
    const spec = { ...(node === "" ? {} : { nodeName: node }), serviceAccountName: account };
    const metadata = { namespace: "hostmesh-system", name };
    const pod = { apiVersion: "v1", kind: "Pod", metadata, spec, status: { phase } };
    return server.apply(pod).metadata.uid ?? "";
  };
  const review = new ClusterTokenReview(await server.open());
  const ask = (fault: Fault) => {
    server.fail(/tokenreviews/, fault);
    return review.review("a.b.c", "hostmesh");
  };
  return { server, put, ask, review };
}

const holder = { namespace: "hostmesh-system", serviceAccount: "hostmesh-daemon", node: "node-1" };

test("a token counts for the node that its pod is on, whether it names the node or not", async (t) => {
  const { put, ask, server } = await lab(t);
  const uid = put();
  const pod = { "pod-name": [POD], "pod-uid": [uid] };
  assert.deepEqual(await ask(answer({ ...pod, "node-name": ["node-1"] })), holder);
  assert.deepEqual(await ask(answer(pod)), holder, "before Kubernetes 1.30");
  assert.equal(server.count(/^POST \/apis\/authentication.k8s.io\/v1\/tokenreviews/), 2);
});

test("a token whose pod is not there, not the same, ended, elsewhere or another's is refused", async (t) => {
  const { put, ask } = await lab(t);
  const uid = put();
  const pod = { "pod-name": [POD], "pod-uid": [uid] };
  const waiting = put({ name: "waiting", node: "" });
  const ended = put({ name: "ended", phase: "Failed" });
  const other = put({ name: "other", account: "default" });
  const of = (name: string, its: string) => ({ "pod-name": [name], "pod-uid": [its] });
  const cases: [Fault, RegExp][] = [
    [answer({ "node-name": ["node-1"] }), /bound to no pod/],
    [answer({ ...pod, "pod-uid": ["another"] }), /its pod is gone/],
    [answer(of("nobody", uid)), /its pod is gone/],
    [answer(of("waiting", waiting)), /on no node yet/],
    [answer(of("ended", ended)), /its pod has ended/],
    [answer(of("other", other)), /another account/],
    [answer({ ...pod, "node-name": ["node-2"] }), /bound to node node-2, and its pod is on node-1/],
    [answer(pod, { authenticated: false, error: "token expired" }), /token expired/],
    [answer(pod, { audiences: ["https://kubernetes.default.svc"] }), /not for hostmesh/],
    [answer(pod, { audiences: [] }), /not for hostmesh/],
    [answer({ ...pod, "pod-name": [POD, "other"] }), /bound to no pod/],
    [answer(pod, { user: { username: "system:node:node-1" } }), /no service account/],
  ];
  for (const [fault, reason] of cases) {
    const found = await ask(fault);
    assert.ok("refusal" in found, String(reason));
    assert.match(found.refusal, reason);
  }
});

test("an API server that cannot say is no refusal", async (t) => {
  const { put, ask, server } = await lab(t);
  const uid = put();
  const pod = { "pod-name": [POD], "pod-uid": [uid] };
  for (const fault of [
    { kind: "answer", status: 500 },
    { kind: "answer", status: 403 },
    { kind: "reset" },
    { kind: "bytes", text: "{}" },
    { kind: "bytes", text: "no JSON" },
  ] as const) {
    await assert.rejects(ask(fault));
  }
  server.fail(/GET .*pods/, { kind: "answer", status: 503 });
  await assert.rejects(ask(answer(pod)));
  assert.deepEqual(await ask(answer(pod)), holder);
});
