import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { KubernetesTokenReview } from "../../src/registry/identity/kubernetes-token-review.ts";
import { Cluster } from "./cluster.ts";
import { installDefinitions } from "./crds.ts";
import { accountObject, podObject, tokenVolume } from "./install.ts";
import type { KubeClient, WatchEvent } from "./kube-client.ts";
import { type KubeObject, pathOf } from "./objects.ts";
import { kubeSkipReason } from "./programs.ts";

describe("a real API server, as the tests of this folder use it", {
  skip: kubeSkipReason(),
}, () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await Cluster.start({ nodes: ["n1", "n2"] });
  });
  after(() => cluster?.stop());

  test("it applies YAML, and serves the definitions of Gateway API", async () => {
    const { admin } = cluster;
    await installDefinitions(admin, "gateway");
    const [service, route] = await admin.apply(`
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec: { parentRefs: [{ kind: Service, group: "", name: web }] }
`);
    assert.match(service?.["spec"].clusterIP, /^10\.96\./);
    assert.equal(route?.metadata.generation, 1);
  });

  test("a watch from before a compaction and a restart is answered with 410", async () => {
    const { admin } = cluster;
    const path = pathOf("v1", "ConfigMap", { namespace: "default" });
    const create = (name: string) =>
      admin.create({ apiVersion: "v1", kind: "ConfigMap", metadata: { name } });
    const { metadata } = await create("first");
    await create("second");
    await cluster.compact();
    await cluster.api.end("SIGKILL");
    await cluster.startApi();
    const events: WatchEvent[] = [];
    const query = `watch=1&timeoutSeconds=5&resourceVersion=${metadata.resourceVersion}`;
    await admin.watch(
      `${path}?${query}`,
      (event) => events.push(event),
      AbortSignal.timeout(8_000),
    );
    assert.deepEqual(
      events.map(({ type, object }) => [type, object["code"]]),
      [["ERROR", 410]],
    );
  });

  describe("TokenReview", () => {
    const AUDIENCE = "hostmesh";
    let pod: KubeObject;
    let reviewer: KubernetesTokenReview;
    before(async () => {
      const { admin, ca, tokens } = cluster;
      for (const name of ["n1", "n2"]) {
        await admin.create({ apiVersion: "v1", kind: "Node", metadata: { name } });
      }
      await admin.apply(accountObject("daemon"), accountObject("other"));
      const wish = podObject({ name: "daemon", account: "daemon", image: "server" });
      const volumes = [tokenVolume(AUDIENCE)];
      pod = await admin.create({ ...wish, spec: { ...wish["spec"], nodeName: "n1", volumes } });
      reviewer = new KubernetesTokenReview({
        apiUrl: cluster.url,
        caFile: cluster.file("ca.pem", ca),
        tokenFile: cluster.file("admin-token", tokens.admin),
      });
    });

    /** Of a pod's account, as a kubelet asks for it; `bound` false: bound to nothing. */
    async function request(client: KubeClient, audience: string, bound = true) {
      const path = pathOf("v1", "ServiceAccount", {
        ...{ namespace: "default", name: "daemon", sub: "token" },
      });
      const { name, uid } = pod.metadata;
      const boundObjectRef = { kind: "Pod", apiVersion: "v1", name, uid };
      return client.call("POST", path, {
        ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" },
        spec: { audiences: [audience], ...(bound ? { boundObjectRef } : {}) },
      });
    }

    test("a token that the node of a pod got for it proves the account and the node", async () => {
      const { status, body } = await request(cluster.client(cluster.tokens.ofNode("n1")), AUDIENCE);
      assert.equal(status, 201, JSON.stringify(body));
      assert.deepEqual(await reviewer.review(body.status.token, AUDIENCE), {
        ...{ namespace: "default", serviceAccount: "daemon", node: "n1" },
      });
      const changed = `${body.status.token.slice(0, -4)}AAAA`;
      assert.match(JSON.stringify(await reviewer.review(changed, AUDIENCE)), /refusal/);
    });

    test("another node gets none for that pod", async () => {
      const { status } = await request(cluster.client(cluster.tokens.ofNode("n2")), AUDIENCE);
      assert.equal(status, 403);
    });

    test("a token for another audience, or of no pod, is refused", async () => {
      const elsewhere = await request(cluster.admin, "vault");
      const refused = await reviewer.review(elsewhere.body.status.token, AUDIENCE);
      assert.match("refusal" in refused ? refused.refusal : "", /audience/);
      const free = await request(cluster.admin, AUDIENCE, false);
      assert.deepEqual(await reviewer.review(free.body.status.token, AUDIENCE), {
        refusal: "it is bound to no node",
      });
    });

    test("a token dies with its pod", async () => {
      const { body } = await request(cluster.admin, AUDIENCE);
      await cluster.admin.remove(pod, { gracePeriodSeconds: 0 });
      const refused = await reviewer.review(body.status.token, AUDIENCE);
      assert.match("refusal" in refused ? refused.refusal : "", /has been invalidated/);
    });
  });
});
