import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { KubeApi } from "../../src/kubernetes/api/kube-api.ts";
import { wantedKinds } from "../../src/kubernetes/api/wanted-kinds.ts";
import { ClusterTokenReview } from "../../src/kubernetes/enrolment/cluster-token-review.ts";
import { STATUS_KINDS } from "../../src/kubernetes/status/status-kinds.ts";
import { until } from "../helpers/until.ts";
import { objectsOf } from "../install/variants.ts";
import { registryProgram } from "../kubernetes/registry-program.ts";
import { call, dig, keepingLog } from "../registry/setup.ts";
import { Cluster } from "./cluster.ts";
import { installKinds } from "./crds.ts";
import { MESH_NAMESPACE } from "./install.ts";
import { type KubeObject, pathOf, pathOfObject } from "./objects.ts";
import { kubeSkipReason } from "./programs.ts";

const GATEWAY = "gateway.networking.k8s.io";
const SETTINGS = [
  "registry.port=0",
  "registry.tlsPort=0",
  "registry.metricsPort=0",
  "telemetry.logFormat=json",
];
const parentRefs = [{ group: "", kind: "Service", name: "web" }];
const metadata = { name: "web", namespace: "default" };
const ROUTES: readonly KubeObject[] = [
  "HTTPRoute",
  "GRPCRoute",
  "TCPRoute",
  "TLSRoute",
  "UDPRoute",
].map((kind) => ({ apiVersion: `${GATEWAY}/v1`, kind, metadata, spec: { parentRefs } }));
/** Istio's say what is wrong with them, too. */
const RULE: KubeObject = {
  ...{ apiVersion: "networking.istio.io/v1", kind: "DestinationRule", metadata },
  spec: { host: "web" },
};
const REFUSED: KubeObject = {
  ...{ apiVersion: "split.smi-spec.io/v1alpha2", kind: "TrafficSplit", metadata },
  spec: { service: "web", backends: [{ service: "web", weight: -1 }] },
};

describe("the registry with the rights that an installation gives it", {
  skip: kubeSkipReason(),
}, () => {
  let cluster: Cluster;
  let kubeconfig = "";
  before(async () => {
    cluster = await Cluster.start();
    const { admin } = cluster;
    const kinds = [...wantedKinds(), ...STATUS_KINDS.filter(({ translated }) => !translated)];
    await installKinds(admin, kinds);
    // All of it, as `hostmesh install | kubectl apply --server-side -f -` sends it.
    await admin.apply(...(objectsOf({}) as unknown as KubeObject[]));
    const account = { namespace: MESH_NAMESPACE, name: "hostmesh-registry", sub: "token" };
    const { status } = await admin.must("POST", pathOf("v1", "ServiceAccount", account), {
      ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} },
    });
    kubeconfig = cluster.kubeconfig("registry", status.token);
    // The server learns of the roles by watches of its own.
    const own = cluster.client(status.token);
    const may = async (path: string) => (await own.call("GET", path)).status !== 403;
    await until(() => may("/api/v1/services"));
    await until(() => may(`/api/v1/namespaces/${MESH_NAMESPACE}/secrets/hostmesh-ca`));
  });
  after(() => cluster?.stop());

  /** Requests that the API server has answered, by what was asked for: `GET events 200`. */
  async function answered(): Promise<Map<string, number>> {
    const text: string = await cluster.admin.must("GET", "/metrics");
    const counts = new Map<string, number>();
    for (const [, labels = "", count] of text.matchAll(
      /^apiserver_request_total\{(.*)\} (\d+)$/gm,
    )) {
      const label = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(labels)?.[1];
      const key = `${label("verb")} ${label("resource")} ${label("code")}`;
      counts.set(key, (counts.get(key) ?? 0) + Number(count));
    }
    return counts;
  }

  async function refused(): Promise<[string, number][]> {
    return [...(await answered())].filter(([key]) => key.endsWith(" 403"));
  }

  /** `hostmesh registry` until the end of what is done with its address. */
  async function run(t: TestContext, work: (url: string) => Promise<void>): Promise<void> {
    const registry = await registryProgram(t, kubeconfig, SETTINGS, 30_000);
    await work(registry.url);
    assert.deepEqual(await registry.stop(), [0, null]);
    assert.doesNotMatch(registry.log(), /forbidden/i);
  }

  const mesh = (apiVersion: string, kind: string, name: string) =>
    cluster.admin.get(pathOf(apiVersion, kind, { namespace: MESH_NAMESPACE, name }));

  test("reads, leads, keeps its authority, and tells what it makes of resources, without one refusal", async (t) => {
    const { admin } = cluster;
    const before = await refused();
    await run(t, async (url) => {
      const status = async () => (await call({ url }, "GET", "/v1/mesh/status")).body;
      await until(async () => dig(await status(), "source.synced") === true, {
        what: "all is read",
      });
      const followed = Object.keys(dig(await status(), "source.kinds") as object);
      for (const { group, kind } of wantedKinds())
        assert.ok(followed.includes(`${group}/${kind}`), kind);
      const lease = () => mesh("coordination.k8s.io/v1", "Lease", "hostmesh-registry");
      await until(async () => (await lease())?.["spec"].holderIdentity !== undefined);
      await until(async () => (await mesh("v1", "Secret", "hostmesh-ca")) !== null);
      await until(async () => (await mesh("v1", "ConfigMap", "hostmesh-trust")) !== null);

      await admin.apply(...ROUTES, RULE, REFUSED);
      for (const object of [...ROUTES, RULE]) {
        const status = async () => (await admin.get(pathOfObject(object)))?.["status"];
        const what = `a status of ${object.kind}`;
        await until(async () => (await status()) !== undefined, { what });
      }
      const told = async () => (await admin.list("events.k8s.io/v1", "Event")).items;
      await until(async () =>
        (await told()).some(({ regarding }) => regarding.kind === "TrafficSplit"),
      );
    });
    // Whoever leads next finds the Lease, the Secret, the ConfigMap and the Event of before.
    await run(t, async () => {
      await until(async () => ((await answered()).get("GET events 200") ?? 0) > 0, {
        what: "a look at an Event",
      });
    });
    const api = await KubeApi.open({ kubeconfig, context: "", log: keepingLog() });
    t.after(() => api.close());
    assert.ok("refusal" in (await new ClusterTokenReview(api).review("not.a.token", "hostmesh")));
    assert.deepEqual(await refused(), before);
  });
});
