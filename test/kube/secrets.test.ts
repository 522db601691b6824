import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { processClock } from "../../src/core/clock.ts";
import { seeded } from "../../src/core/random.ts";
import { KubeApi } from "../../src/kubernetes/api/kube-api.ts";
import { ClusterTokenReview } from "../../src/kubernetes/enrolment/cluster-token-review.ts";
import { SecretPrivateStore } from "../../src/kubernetes/secrets/secret-private-store.ts";
import { processTimers } from "../../src/registry/timers.ts";
import { privateStoreConformance } from "../registry/identity/private-store-conformance.ts";
import { keepingLog } from "../registry/setup.ts";
import { Cluster } from "./cluster.ts";
import { MESH_NAMESPACE, meshObjects, podObject, tokenVolume } from "./install.ts";
import { pathOf } from "./objects.ts";
import { kubeSkipReason } from "./programs.ts";

describe("what the registry keeps in a real cluster and asks of it, with its own rights", {
  skip: kubeSkipReason(),
}, () => {
  let cluster: Cluster;
  let api: KubeApi;
  const log = keepingLog();
  before(async () => {
    cluster = await Cluster.start({ nodes: ["n1"] });
    await cluster.admin.apply(...meshObjects());
    const account = { namespace: MESH_NAMESPACE, name: "hostmesh-registry", sub: "token" };
    const { status } = await cluster.admin.must("POST", pathOf("v1", "ServiceAccount", account), {
      ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} },
    });
    const kubeconfig = cluster.kubeconfig("registry", status.token);
    api = await KubeApi.open({ kubeconfig, context: "", log });
  });
  after(async () => {
    await api?.close();
    await cluster?.stop();
  });

  let secrets = 0;
  privateStoreConformance("a Secret of a real cluster", async (context) => {
    secrets += 1;
    const name = `hostmesh-ca-${secrets}`;
    return async () => {
      const parts = { timers: processTimers, clock: processClock, random: seeded(3), log };
      const store = new SecretPrivateStore({ api, namespace: MESH_NAMESPACE, name, ...parts });
      context.after(() => store.close());
      return store;
    };
  });

  test("a daemon's token is judged by the pod that it was made for", async () => {
    const { admin, tokens } = cluster;
    const [name, namespace] = ["daemon-1", MESH_NAMESPACE];
    await admin.create({ apiVersion: "v1", kind: "Node", metadata: { name: "n1" } });
    const wish = podObject({ name, namespace, account: "hostmesh-daemon", image: "server" });
    const volumes = [tokenVolume("hostmesh")];
    const spec = { ...wish["spec"], nodeName: "n1", volumes };
    const pod = await admin.create({ ...wish, spec });
    const account = { namespace, name: "hostmesh-daemon", sub: "token" };
    const boundObjectRef = { kind: "Pod", apiVersion: "v1", name, uid: pod.metadata.uid };
    const kubelet = cluster.client(tokens.ofNode("n1"));
    const { status } = await kubelet.must("POST", pathOf("v1", "ServiceAccount", account), {
      ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" },
      spec: { audiences: ["hostmesh"], boundObjectRef },
    });
    const reviewer = new ClusterTokenReview(api);
    assert.deepEqual(await reviewer.review(status.token, "hostmesh"), {
      ...{ namespace, serviceAccount: "hostmesh-daemon", node: "n1" },
    });
    assert.ok("refusal" in (await reviewer.review(status.token, "vault")), "another audience");
    await admin.remove(pod, { gracePeriodSeconds: 0 });
    assert.ok("refusal" in (await reviewer.review(status.token, "hostmesh")), "the pod is gone");
    const again = await admin.create({ ...wish, spec });
    assert.notEqual(again.metadata.uid, pod.metadata.uid);
    const refused = await reviewer.review(status.token, "hostmesh");
    assert.ok("refusal" in refused, "another pod of that name");
  });
});
