import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../helpers/until.ts";
import { seenBy } from "../netns/helpers/identity-stage.ts";
import type { MeshHost } from "../netns/helpers/mesh.ts";
import type { Script } from "../netns/helpers/program.ts";
import type { LoadReport } from "../netns/helpers/reports.ts";
import { definitionsOf, installDefinitions } from "./crds.ts";
import { allowObject, deploymentObject, serviceObject } from "./install.ts";
import { KubeLab } from "./kube-lab.ts";
import { type KubeObject, pathOf, pathOfObject } from "./objects.ts";
import { kubeSkipReason } from "./programs.ts";
import { rolledOut } from "./rollout.ts";

const FRONT = "cluster.local/ns/shop/sa/front";

/** Requests after which every pod has been asked. */
const WINDOW = 120;

describe("a cluster that changes, under load", { skip: kubeSkipReason() }, () => {
  let lab: KubeLab;
  let url: string;
  let loads: Script[];
  before(async () => {
    lab = await KubeLab.create({ replicas: 2 });
    await lab.namespace("shop", "web", "front");
    const [service] = await lab.cluster.admin.apply(serviceObject("web", "shop"));
    url = `http://${service?.["spec"].clusterIP}/`;
    await rolledOut(lab, await web(3));
    const client = { name: "front", namespace: "shop", account: "front", image: "client" } as const;
    await lab.untilCaptured(await lab.pod({ ...client, node: "n1" }), ...(await pods()));
    const isMeshed = async () => {
      const answer = await lab.http("shop/front", url);
      const shown = answer.status === 200 && seenBy(answer).headers["x-forwarded-client-cert"];
      return shown !== false && shown?.includes(`URI=spiffe://${FRONT}`) === true;
    };
    await until(isMeshed, { timeoutMs: 30_000, what: "an answer that says who has called" });
    loads = await Promise.all([
      lab.start("shop/front", "load", [url, 4, 10]),
      lab.start("shop/front", "load", [url, 2, 40, "fresh"]),
    ]);
  });
  after(() => lab?.destroy());

  let version = "one";
  const web = async (replicas: number): Promise<KubeObject> => {
    const wish = { name: "web", namespace: "shop", account: "web", image: "server" } as const;
    const wanted = deploymentObject({ ...wish, replicas, version });
    const [applied] = await lab.cluster.admin.apply(wanted);
    assert.ok(applied !== undefined);
    return applied;
  };

  async function pods(): Promise<KubeObject[]> {
    const list = await lab.cluster.admin.list("v1", "Pod", "?labelSelector=app%3Dweb");
    return list.items;
  }

  async function names(): Promise<string[]> {
    return (await pods()).map(({ metadata }) => metadata.name).sort();
  }

  /** Who answers a window of requests, of which none may fail. */
  async function look(): Promise<string[]> {
    const served = new Set<string>();
    let answered = 0;
    const isEnough = async () => {
      for (const load of loads) {
        const { ok, failures, byServer } = await load.ask<LoadReport>({});
        assert.deepEqual(failures, {});
        answered += ok;
        for (const name of Object.keys(byServer)) served.add(name);
      }
      return answered >= WINDOW;
    };
    await until(isEnough, { what: `${WINDOW} answers` });
    return [...served].sort();
  }

  /** Waits until just these pods answer; no request may fail meanwhile. */
  async function untilServedBy(wanted: readonly string[], timeoutMs = 20_000): Promise<void> {
    let seen: string[] = [];
    const isSo = async () => {
      seen = await look();
      return wanted.join() === seen.join();
    };
    await until(isSo, { timeoutMs, what: `${wanted} and no others serving` }).catch(
      (cause: unknown) => {
        throw new Error(`served by ${seen}`, { cause });
      },
    );
  }

  test("a rolling update of a Deployment fails no request", async () => {
    const before = await names();
    await untilServedBy(before);
    version = "two";
    await rolledOut(lab, await web(3));
    const now = await names();
    assert.equal(now.filter((name) => before.includes(name)).length, 0);
    await untilServedBy(now);
  });

  test("nor does the replacement of another node's daemon, whose endpoints are left alone meanwhile", async () => {
    const { admin } = lab.cluster;
    const all = await pods();
    const near = all.filter(({ spec }) => spec.nodeName === "n1");
    const namesOf = (some: readonly KubeObject[]) =>
      some.map(({ metadata }) => metadata.name).sort();
    assert.ok(near.length > 0 && near.length < all.length, "endpoints on both nodes");
    const isAway = async () => {
      const hosts = await lab.ask<{ name: string; away?: boolean }[]>("/v1/mesh/hosts");
      return hosts.find(({ name }) => name === "n2")?.away === true;
    };
    assert.equal(await isAway(), false);
    const { pod } = lab.daemonOf(lab.nodes[1] as MeshHost);
    await admin.remove(pod);
    await until(isAway, { what: "n2 is away" });
    await untilServedBy(namesOf(near));
    await until(async () => !(await isAway()), { timeoutMs: 60_000, what: "n2 is back" });
    await untilServedBy(namesOf(all));
    assert.notEqual(lab.daemonOf(lab.nodes[1] as MeshHost).pod.metadata.uid, pod.metadata.uid);
  });

  test("traffic goes on while the API server is down, and what changed arrives when it is back", async () => {
    const before = await names();
    await lab.cluster.api.end("SIGKILL");
    for (let round = 0; round < 4; round += 1) await untilServedBy(before);
    await lab.cluster.startApi();
    await rolledOut(lab, await web(4));
    await untilServedBy(await names(), 45_000);
  });

  test("a history that is gone when the registry comes back (410) costs nothing but a list", async () => {
    const { admin } = lab.cluster;
    const deny = {
      ...{ apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy" },
      metadata: { name: "closed", namespace: "shop" },
      spec: { action: "DENY", rules: [{ to: [{ operation: { paths: ["/closed"] } }] }] },
    };
    const [closed] = await admin.apply(deny);
    assert.ok(closed !== undefined);
    const outcome = async () => (await lab.http("shop/front", `${url}closed`)).status;
    await until(async () => (await outcome()) === 403, { what: "a refusal" });
    await lab.cutOff(true);
    try {
      // The watches end with the server, and are not opened again.
      await lab.cluster.api.end("SIGKILL");
      await lab.cluster.startApi();
      await admin.remove(closed);
      await rolledOut(lab, await web(5));
      await lab.cluster.compact();
      await lab.cluster.api.end("SIGKILL");
      await lab.cluster.startApi();
      assert.equal(await outcome(), 403, "the registry cannot know");
    } finally {
      await lab.cutOff(false);
    }
    await untilServedBy(await names(), 60_000);
    // Each kind is asked for again at its own time.
    const opened = async () => (await outcome()) === 200;
    await until(opened, { timeoutMs: 60_000, what: "the end of the refusals" });
  });

  test("policies go with their definition, and come back with it", async () => {
    const { admin } = lab.cluster;
    const definition = definitionsOf("istio").find(({ metadata }) =>
      metadata.name.startsWith("authorizationpolicies."),
    );
    assert.ok(definition !== undefined);
    const outcome = async () => (await lab.http("shop/front", url)).status;
    // The load would count what is refused as failed.
    for (const load of loads) await load.ask({ stop: true });
    await admin.apply(allowObject("web", "shop", []));
    await until(async () => (await outcome()) === 403, { what: "a refusal" });
    await admin.remove(definition);
    const isGone = async () => (await admin.get(pathOfObject(definition))) === null;
    await until(isGone, { what: "the end of the definition" });
    await until(async () => (await outcome()) === 200, { what: "an end of the refusals" });
    await installDefinitions(admin, "istio");
    assert.equal(await outcome(), 200);
    await admin.apply(allowObject("web", "shop", []));
    await until(async () => (await outcome()) === 403, { what: "a refusal once more" });
    await admin.apply(allowObject("web", "shop", [FRONT]));
    await until(async () => (await outcome()) === 200, { what: "the caller that is allowed" });
    loads = [await lab.start("shop/front", "load", [url, 4, 10])];
  });

  test("a replica of the registry that is killed is not missed, and each can do alone", async () => {
    for (const [at, replica] of lab.replicas.entries()) {
      await replica.program.end("SIGKILL");
      version = `killed-${at}`;
      await rolledOut(lab, await web(3));
      await untilServedBy(await names());
      await lab.restart(replica);
    }
    await untilServedBy(await names());
    const held = await Promise.all(
      lab.nodes.map((node) => node.metric("hostmesh_certificates", { state: "missing" })),
    );
    assert.deepEqual(held, [0, 0], "certificates that are missing");
  });

  test("what the daemons hold is what the cluster has", async () => {
    const path = pathOf("v1", "Pod", { namespace: "shop" });
    const { items }: { items: KubeObject[] } = await lab.cluster.admin.must("GET", path);
    const wanted = items
      .map(({ metadata, spec }) => `${spec.nodeName} shop/${metadata.name}`)
      .sort();
    const isSo = async () => {
      const known =
        await lab.ask<{ host: string; namespace: string; name: string }[]>("/v1/mesh/workloads");
      const now = known.map(({ host, namespace, name }) => `${host} ${namespace}/${name}`);
      return now.sort().join() === wanted.join();
    };
    await until(isSo, { what: `${wanted}` });
  });
});
