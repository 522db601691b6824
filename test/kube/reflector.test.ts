import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { processClock } from "../../src/core/clock.ts";
import { seeded } from "../../src/core/random.ts";
import { InstalledKinds } from "../../src/kubernetes/api/installed-kinds.ts";
import { KubeApi } from "../../src/kubernetes/api/kube-api.ts";
import { Reflector, type ReflectorListener } from "../../src/kubernetes/api/reflector.ts";
import { processTimers } from "../../src/registry/timers.ts";
import { until } from "../helpers/until.ts";
import { keepingLog } from "../registry/setup.ts";
import { Cluster } from "./cluster.ts";
import { definitionsOf, installDefinitions } from "./crds.ts";
import { pathOfObject } from "./objects.ts";
import { kubeSkipReason } from "./programs.ts";

/** What a listener holds, by name. */
class Held implements ReflectorListener {
  readonly names = new Map<string, unknown>();
  lists = 0;

  replaced(items: Parameters<ReflectorListener["replaced"]>[0]): void {
    this.lists += 1;
    this.names.clear();
    for (const { metadata, ...more } of items) this.names.set(metadata.name, more["data"]);
  }

  changed({ metadata, ...more }: Parameters<ReflectorListener["changed"]>[0]): void {
    this.names.set(metadata.name, more["data"]);
  }

  removed({ metadata }: Parameters<ReflectorListener["removed"]>[0]): void {
    this.names.delete(metadata.name);
  }

  progressed(): void {}
}

describe("the client of the API server, against a real one", { skip: kubeSkipReason() }, () => {
  let cluster: Cluster;
  let api: KubeApi;
  const parts = {
    clock: processClock,
    timers: processTimers,
    random: seeded(7),
    log: keepingLog(),
  };
  before(async () => {
    cluster = await Cluster.start();
    const kubeconfig = cluster.kubeconfig("reader", cluster.tokens.admin);
    api = await KubeApi.open({ kubeconfig, context: "", log: parts.log });
  });
  after(async () => {
    await api?.close();
    await cluster?.stop();
  });

  const configMap = (name: string, data: Record<string, string> = {}) => ({
    ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" }, data },
  });

  test("a list in pages, changes, and a history that the server has forgotten", async () => {
    const { admin } = cluster;
    const names = Array.from({ length: 620 }, (_, at) => `map-${at}`);
    for (let at = 0; at < names.length; at += 62) {
      await Promise.all(names.slice(at, at + 62).map((name) => admin.create(configMap(name))));
    }
    const held = new Held();
    const resource = {
      ...{ group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", namespaced: true },
    };
    const selection = { namespace: "default", fieldSelector: "metadata.name!=kube-root-ca.crt" };
    const reflector = new Reflector({ api, resource, listener: held, ...selection, ...parts });
    reflector.start();
    try {
      await until(() => reflector.state().synced, { what: "the first list" });
      assert.equal(held.names.size, 620);
      await admin.apply(configMap("map-7", { a: "1" }), configMap("late"));
      await admin.remove(configMap("map-8"));
      const isNow = () => held.names.has("late") && !held.names.has("map-8");
      await until(isNow, { what: "the changes" });
      assert.deepEqual(held.names.get("map-7"), { a: "1" });
      assert.equal(held.lists, 1, "changes come by the watch");
      // What others write moves the server on, and when it starts again it knows nothing of before.
      const metadata = { name: "other" };
      await admin.create({ apiVersion: "v1", kind: "Namespace", metadata });
      await cluster.compact();
      await cluster.api.end("SIGKILL");
      await cluster.startApi();
      await admin.create(configMap("after"));
      await until(() => held.names.has("after"), { what: "a change after the restart" });
      assert.deepEqual([held.names.size, reflector.state().relists], [621, 1]);
    } finally {
      await reflector.stop();
    }
  });

  test("kinds that are installed, taken away and installed again", async () => {
    const { admin } = cluster;
    const held = new Held();
    const wanted = [
      { group: "networking.istio.io", kind: "VirtualService", versions: ["v1", "v1beta1"] },
      { group: "gateway.networking.k8s.io", kind: "HTTPRoute", versions: ["v1"] },
    ];
    const listenerOf = ({ kind }: { kind: string }) =>
      kind === "VirtualService" ? held : new Held();
    const kinds = new InstalledKinds({ api, wanted, listenerOf, ...parts });
    const resource = (name: string) => ({
      ...{ apiVersion: "networking.istio.io/v1", kind: "VirtualService" },
      ...{ metadata: { name, namespace: "default" }, spec: { hosts: ["web"] } },
    });
    kinds.start();
    try {
      await until(() => kinds.isSynced(), { what: "the definitions" });
      assert.deepEqual(kinds.state().kinds, []);
      await installDefinitions(admin, "istio");
      await admin.create(resource("one"));
      await until(() => held.names.has("one"), { what: "a resource of a kind that came later" });
      const [definition] = definitionsOf("istio");
      assert.ok(definition !== undefined);
      await admin.remove(definition);
      await until(() => kinds.state().kinds.length === 0, { what: "the end of the kind" });
      assert.equal(held.names.size, 0);
      await until(async () => (await admin.get(pathOfObject(definition))) === null);
      await installDefinitions(admin, "istio");
      await admin.create(resource("two"));
      await until(() => held.names.has("two"), { what: "the kind once more" });
      assert.deepEqual([...held.names.keys()], ["two"]);
    } finally {
      await kinds.stop();
    }
  });
});
