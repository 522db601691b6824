import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { OVERLAYS } from "../../src/install/kustomize.ts";
import type { InstallObject } from "../../src/install/resolve.ts";
import { staleManifests } from "../../src/install/write.ts";
import { needsHelm, needsKubectl, renderHelm, renderKustomize } from "./render.ts";
import { objectsOf, VARIANTS, VERSION } from "./variants.ts";

test("the files below manifests/ are what their source makes: run `npm run manifests` after a change", () => {
  assert.deepEqual(staleManifests(VERSION), []);
});

const keyOf = ({ apiVersion, kind, metadata }: InstallObject) =>
  `${apiVersion} ${kind} ${metadata.namespace ?? ""}/${metadata.name}`;

/** By their key, in its order: it says nothing in which order a tool prints them. */
function byKey(objects: readonly InstallObject[]): Map<string, unknown> {
  const keys = objects.map(keyOf);
  assert.equal(new Set(keys).size, keys.length, "an object is there twice");
  return new Map(
    objects.map((object) => [keyOf(object), object] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

describe("kustomize", needsKubectl, () => {
  test("the base is what hostmesh install prints", () => {
    assert.deepEqual(byKey(renderKustomize("manifests/base")), byKey(objectsOf({})));
  });

  for (const { name, values } of OVERLAYS) {
    test(`the overlay ${name} is what it prints for the same values`, () => {
      const rendered = renderKustomize(`manifests/overlays/${name}`);
      assert.deepEqual(byKey(rendered), byKey(objectsOf(values)));
    });
  }
});

/** What only a chart says: who manages an object, and of which chart it is. */
const OF_CHARTS = ["app.kubernetes.io/managed-by", "helm.sh/chart"];

/** Without that, and with texts of YAML read: Helm sorts and quotes as it likes. */
function comparable(objects: readonly InstallObject[]): Map<string, unknown> {
  return byKey(
    objects.map((object): InstallObject => {
      const read: unknown = JSON.parse(JSON.stringify(object), (key, part: unknown) => {
        if (OF_CHARTS.includes(key)) return undefined;
        if (key === "hostmesh.yaml" && typeof part === "string") return parse(part);
        // A digest of such a text.
        return key === "checksum/config" ? String(part).length : part;
      });
      return read as InstallObject;
    }),
  );
}

describe("helm template", needsHelm, () => {
  for (const [variant, values] of Object.entries(VARIANTS)) {
    test(`${variant}: makes the objects that hostmesh install prints`, () => {
      const rendered = renderHelm(values);
      const isHook = ({ metadata }: InstallObject) =>
        JSON.stringify(metadata).includes('"helm.sh/hook"');
      const chart = rendered.filter((object) => !isHook(object));
      // Helm's record of a release is in the namespace, so that it must be there before.
      const own = objectsOf(values).filter(({ kind }) => kind !== "Namespace");
      assert.deepEqual(comparable(chart), comparable(own));
      assert.deepEqual(
        rendered.filter(isHook).map(({ kind }) => kind),
        ["Pod"],
      );
      for (const { metadata } of chart) {
        const { labels } = metadata as { labels?: Record<string, string> };
        assert.equal(labels?.["app.kubernetes.io/managed-by"], "Helm");
        assert.equal(labels["helm.sh/chart"], `hostmesh-${VERSION}`);
      }
    });
  }

  test("another namespace is everywhere where it is meant", () => {
    const rendered = renderHelm({}, "mesh-two").filter(({ kind }) => kind !== "Pod");
    const own = objectsOf({}, "mesh-two").filter(({ kind }) => kind !== "Namespace");
    assert.deepEqual(comparable(rendered), comparable(own));
    assert.ok(!JSON.stringify(rendered).includes("hostmesh-system"));
  });

  test("a changed setting rolls the pods", () => {
    const checksum = (values: object) =>
      /"checksum\/config":"([0-9a-f]{64})"/.exec(
        JSON.stringify(renderHelm(values).find(({ kind }) => kind === "DaemonSet")),
      )?.[1];
    const changed = { daemon: { settings: { timeouts: { drainMs: 1 } } } };
    assert.ok(checksum({}) !== undefined);
    assert.equal(checksum({}), checksum({}));
    assert.notEqual(checksum({}), checksum(changed));
  });

  test("values that do not exist, or are of another form, are refused", () => {
    assert.throws(() => renderHelm({ captureMod: "tproxy" }), /captureMod/);
    assert.throws(() => renderHelm({ captureMode: "sidecar" }), /captureMode/);
    assert.throws(() => renderHelm({ registry: { replicas: 0 } }), /replicas/);
    assert.throws(() => renderHelm({ registry: { resources: null } }), /resources/);
  });
});
