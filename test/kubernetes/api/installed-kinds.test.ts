import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { processClock } from "../../../src/core/clock.ts";
import { InstalledKinds } from "../../../src/kubernetes/api/installed-kinds.ts";
import { byPriority, wantedKinds } from "../../../src/kubernetes/api/wanted-kinds.ts";
import { processTimers } from "../../../src/registry/timers.ts";
import { HandTimers } from "../../helpers/hand-timers.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { definitionOf, type Loose } from "../../helpers/kube-store.ts";
import { until } from "../../helpers/until.ts";
import { keepingLog } from "../../registry/setup.ts";
import { Mirror } from "./reflector-lab.ts";

const GROUP = "networking.istio.io";

function ruleOf(name: string, version = "v1") {
  const metadata = { name, namespace: "shop" };
  return { apiVersion: `${GROUP}/${version}`, kind: "VirtualService", metadata, spec: {} };
}

/** With time that passes by itself; `hand`: that of the reflectors is moved by hand. */
async function kindsLab(t: TestContext, hand?: HandTimers) {
  const server = await KubeApiServer.start(t);
  const log = keepingLog();
  const mirrors = new Map<string, Mirror>();
  const kinds = new InstalledKinds({
    ...{ api: await server.open(), wanted: wantedKinds(), log, random: () => 0 },
    clock: hand?.clock ?? processClock,
    timers: hand === undefined ? processTimers : { after: hand.start },
    listenerOf: ({ kind }) => {
      const mirror = mirrors.get(kind) ?? new Mirror();
      mirrors.set(kind, mirror);
      return mirror;
    },
  });
  t.after(() => kinds.stop());
  const versions = () => kinds.state().kinds.map(({ kind, version }) => `${kind} ${version}`);
  const mirrorOf = async (kind: string): Promise<Mirror> => {
    await until(() => (mirrors.get(kind)?.told.length ?? 0) > 0, { what: `a list of ${kind}` });
    return mirrors.get(kind)!;
  };
  return { server, log, kinds, mirrors, mirrorOf, versions };
}

test("versions are preferred as Kubernetes does", () => {
  const versions = ["v1alpha1", "v1beta1", "v2", "v1", "v1beta2", "v10", "v1alpha4"];
  const expected = ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha4", "v1alpha1"];
  assert.deepEqual(versions.sort(byPriority), expected);
});

test("what can be translated is wanted, in all versions that are understood", () => {
  const wanted = wantedKinds();
  const versionsOf = (kind: string) => wanted.find((one) => one.kind === kind)?.versions;
  assert.deepEqual(versionsOf("VirtualService"), ["v1", "v1beta1", "v1alpha3"]);
  assert.deepEqual(versionsOf("TrafficSplit"), ["v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"]);
  assert.deepEqual(versionsOf("HTTPRoute"), ["v1", "v1beta1", "v1alpha2"]);
  assert.deepEqual(versionsOf("ServiceProfile"), ["v1alpha2", "v1alpha1"]);
  assert.equal(versionsOf("Service"), undefined);
  assert.ok(wanted.every(({ group }) => group.includes(".") && !group.includes("consul")));
});

test("kinds that are installed are followed in the best version that is served and understood", async (t) => {
  const { server, kinds, mirrorOf, versions } = await kindsLab(t);
  server.apply(definitionOf(GROUP, "VirtualService", ["v1alpha3", "v1beta1", "v9"]));
  server.apply(definitionOf("split.smi-spec.io", "TrafficSplit", ["v1alpha2"]));
  server.apply(definitionOf("example.org", "VirtualService", ["v1"], "others"));
  server.apply(ruleOf("a", "v1beta1"));
  assert.equal(kinds.isSynced(), false);
  kinds.start();
  await until(() => kinds.isSynced() && server.watches() === 3);
  assert.deepEqual(versions().sort(), ["TrafficSplit v1alpha2", "VirtualService v1beta1"]);
  const mirror = await mirrorOf("VirtualService");
  assert.equal(mirror.names, "a");
  assert.equal(mirror.held.get("a")?.apiVersion, `${GROUP}/v1beta1`);
  server.apply(ruleOf("b", "v1beta1"));
  await until(() => mirror.names === "a b");
});

test("a definition that appears later is picked up within a second of its kind being served", async (t) => {
  const { server, kinds, mirrorOf, versions } = await kindsLab(t);
  kinds.start();
  await until(() => kinds.isSynced() && server.watches() === 1);
  const definition = definitionOf(GROUP, "VirtualService", ["v1"]);
  server.apply({
    ...definition,
    status: { conditions: [{ type: "Established", status: "False" }] },
  });
  server.apply(definitionOf(GROUP, "Sidecar", ["v1"]));
  await mirrorOf("Sidecar");
  assert.deepEqual(versions(), ["Sidecar v1"], "one that is not established is not asked for");
  const beganMs = performance.now();
  server.apply({
    ...definition,
    status: { conditions: [{ type: "Established", status: "True" }] },
  });
  server.apply(ruleOf("a"));
  const mirror = await mirrorOf("VirtualService");
  await until(() => mirror.names === "a");
  assert.ok(performance.now() - beganMs < 1_000);
});

test("a kind that is uninstalled has no objects any more, and may come back", async (t) => {
  const { server, kinds, mirrorOf, versions } = await kindsLab(t);
  const definition = definitionOf(GROUP, "VirtualService", ["v1"]);
  server.apply(definition);
  server.apply(ruleOf("a"));
  kinds.start();
  const mirror = await mirrorOf("VirtualService");
  server.remove(definition);
  await until(() => mirror.told.at(-1) === "replaced 0");
  assert.deepEqual(versions(), []);
  assert.equal(kinds.isSynced(), true);
  const asked = server.count(/virtualservices/);
  server.apply(definitionOf(GROUP, "Sidecar", ["v1"]));
  await mirrorOf("Sidecar");
  assert.equal(server.count(/virtualservices/), asked, "nobody asks for a kind that is gone");
  server.apply(definition);
  server.apply(ruleOf("b"));
  await until(() => mirror.names === "b");
});

test("a definition that went unseen, in a gap of the history, is missed all the same", async (t) => {
  const time = new HandTimers();
  const { server, kinds, mirrorOf } = await kindsLab(t, time);
  const definition = definitionOf(GROUP, "VirtualService", ["v1"]);
  server.apply(definition);
  server.apply(ruleOf("a"));
  kinds.start();
  const mirror = await mirrorOf("VirtualService");
  await until(() => server.watches() === 2);
  server.store.advance();
  server.bookmark();
  await until(() => mirror.told.at(-1) === "progressed");
  const newest = String(server.store.version);
  await until(() => kinds.state().definitions.resourceVersion === newest);
  time.advance(10_000);
  server.fail(/customresourcedefinitions\?.*watch=1/, { kind: "answer", status: 410 });
  server.store.onEvent = () => {};
  server.remove(definition);
  server.endWatches("customresourcedefinitions");
  await until(() => mirror.told.at(-1) === "replaced 0");
  assert.equal(kinds.state().definitions.relists, 1);
});

test("a version that is served no more is left without a gap", async (t) => {
  const { server, kinds, mirrorOf, versions, log } = await kindsLab(t);
  const definition = definitionOf(GROUP, "VirtualService", ["v1alpha3"]);
  server.apply(definition);
  server.apply(ruleOf("a", "v1alpha3"));
  kinds.start();
  const mirror = await mirrorOf("VirtualService");
  await until(() => server.watches() === 2);
  // The new version hangs at first: what is known stays.
  server.fail(/v1\/virtualservices/, { kind: "hang" });
  const next: Loose = definitionOf(GROUP, "VirtualService", ["v1", "v1beta1", "v1alpha3"]);
  server.apply(next);
  await until(() => server.count(/v1\/virtualservices/) === 1);
  server.apply(ruleOf("b", "v1alpha3"));
  await until(() => mirror.names === "a b");
  assert.deepEqual(versions(), ["VirtualService v1alpha3"]);
  // Now a version that answers is the best one, and the old one goes with it.
  const last: Loose = structuredClone(next);
  for (const version of last.spec.versions) version.served = version.name === "v1beta1";
  server.apply(last);
  await until(() => versions()[0] === "VirtualService v1beta1");
  await until(() => mirror.held.get("a")?.apiVersion === `${GROUP}/v1beta1`);
  server.apply(ruleOf("c", "v1beta1"));
  await until(() => mirror.names === "a b c");
  assert.deepEqual(
    [...new Set(mirror.told)].filter((one) => one.startsWith("replaced")),
    ["replaced 1", "replaced 2"],
  );
  assert.equal(server.watches("virtualservices"), 1);
  assert.ok(log.lines.some(({ message }) => message === "following a kind in another version"));
});

test("a kind in versions that nobody here understands is told of", async (t) => {
  const { server, kinds, versions, log } = await kindsLab(t);
  server.apply(definitionOf(GROUP, "VirtualService", ["v7"]));
  kinds.start();
  await until(() => kinds.isSynced());
  assert.deepEqual(versions(), []);
  const [line] = log.lines.filter(({ level }) => level === "warn");
  assert.match(line!.message, /in no version that is understood/);
  assert.equal(line!.facts?.["served"], "v7");
});

test("nothing is synced while a kind that is installed may not be read", async (t) => {
  const { server, kinds, mirrors } = await kindsLab(t);
  server.apply(definitionOf("security.istio.io", "AuthorizationPolicy", ["v1"], "policies"));
  server.fail(/policies/, { kind: "answer", status: 403 }, 1_000);
  kinds.start();
  await until(() => kinds.state().kinds[0]?.lastError != null);
  assert.equal(kinds.isSynced(), false);
  assert.deepEqual(mirrors.get("AuthorizationPolicy")?.told, []);
});
