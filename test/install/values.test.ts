import assert from "node:assert/strict";
import test from "node:test";
import { jsonPatch } from "../../src/install/kustomize.ts";
import { everyObject, readValues, uninstallOrder } from "../../src/install/manifests.ts";
import { mergeValues } from "../../src/install/values.ts";
import { objectsOf, VARIANTS, VERSION } from "./variants.ts";

test("values are put together as Helm does: maps by entry, lists as a whole, null removes", () => {
  const base = { a: { b: 1, c: [1, 2] }, d: "x" };
  assert.deepEqual(mergeValues(base, { a: { c: [3] }, d: null }), { a: { b: 1, c: [3] } });
  assert.deepEqual(base, { a: { b: 1, c: [1, 2] }, d: "x" });
  const { settings } = readValues(VERSION, { daemon: { settings: { workers: 2 } } }).daemon;
  const kept = { capture: { onDeath: "open" }, telemetry: { logFormat: "json" } };
  assert.deepEqual(settings, { workers: 2, ...kept });
});

test("a value that does not exist is refused by its name, and so is a wrong one", () => {
  assert.throws(() => readValues(VERSION, { registry: { replica: 2 } }), /replica/);
  assert.throws(() => readValues(VERSION, { daemon: { user: 0 } }), /user/);
  assert.throws(() => readValues(VERSION, { image: { digest: "sha256:12" } }), /digest/);
  assert.throws(() => readValues(VERSION, ["captureMode"]), /expected object/);
  assert.throws(() => readValues(VERSION, { registry: { resources: null } }), /registry.resources/);
  const polluting: unknown = JSON.parse('{"__proto__":{"captureMode":"explicit"}}');
  assert.throws(() => readValues(VERSION, polluting), /no such value/);
});

test("labels of hostmesh's own cannot be given another value", () => {
  const commonLabels = { "app.kubernetes.io/name": "other" };
  assert.throws(() => objectsOf({ commonLabels }), /app.kubernetes.io\/name is hostmesh's own/);
});

test("a name that is no namespace is refused", () => {
  for (const name of ["", "Mesh", "a.b", "-a", "a\nb"]) {
    assert.throws(() => objectsOf({}, name), /namespace/, name);
  }
});

test("what is removed names whatever some values lead to, the daemons first and the namespace last", () => {
  const nameOf = ({ kind, metadata: { name } }: { kind: string; metadata: { name: string } }) =>
    `${kind} ${name}`;
  const removed = uninstallOrder(everyObject(VERSION, "hostmesh-system")).map(nameOf);
  assert.equal(removed[0], "DaemonSet hostmesh-daemon");
  assert.equal(removed.at(-1), "Namespace hostmesh-system");
  for (const values of Object.values(VARIANTS)) {
    for (const object of objectsOf(values)) {
      // The namespace takes it with it.
      if (object.kind !== "PodMonitor") assert.ok(removed.includes(nameOf(object)), nameOf(object));
    }
  }
});

test("a patch says what differs and no more", () => {
  const before = { a: { "b/c": 1, gone: true }, list: [{ x: 1 }, { x: 2 }], grown: [1] };
  const after = { a: { "b/c": 2, "d~": [] }, list: [{ x: 1 }, { x: 3 }], grown: [1, 2] };
  assert.deepEqual(jsonPatch(before, after), [
    { op: "remove", path: "/a/gone" },
    { op: "replace", path: "/a/b~1c", value: 2 },
    { op: "add", path: "/a/d~0", value: [] },
    { op: "replace", path: "/list/1/x", value: 3 },
    { op: "replace", path: "/grown", value: [1, 2] },
  ]);
  assert.deepEqual(jsonPatch(before, structuredClone(before)), []);
});
