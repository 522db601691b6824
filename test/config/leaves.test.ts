import assert from "node:assert/strict";
import { test } from "node:test";
import { configLeaves, envName } from "../../src/config/leaves.ts";
import { loadConfig } from "../../src/config/load.ts";

const leaves = configLeaves().flatMap((group) => group.leaves);

test("names of variables follow from the path", () => {
  assert.equal(envName(["dataDir"]), "HOSTMESH_DATA_DIR");
  assert.equal(envName(["ports", "metricsBind"]), "HOSTMESH_PORTS_METRICS_BIND");
  assert.equal(envName(["registry", "virtualCidr4"]), "HOSTMESH_REGISTRY_VIRTUAL_CIDR4");
});

test("no two settings share a variable, and each has a description", () => {
  assert.equal(new Set(leaves.map(({ env }) => env)).size, leaves.length);
  for (const { name, text } of leaves) assert.ok(text.length > 10, name);
});

test("every setting can be set by its variable to its default", () => {
  for (const leaf of leaves) {
    if (leaf.fallback === null) continue;
    const value: unknown = JSON.parse(leaf.fallback);
    const text = Array.isArray(value) ? value.join(",") : String(value);
    const machine = { cpus: 2, isRoot: true, home: "/" };
    const config = loadConfig({ env: { [leaf.env]: text }, flags: {}, machine });
    const plain = loadConfig({ env: {}, flags: {}, machine });
    assert.deepEqual(config, plain, leaf.name);
  }
});

test("the leaves are all that a loaded configuration holds", () => {
  const namesOf = (value: object, prefix: string): string[] =>
    Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
      typeof inner === "object" && inner !== null && !Array.isArray(inner)
        ? namesOf(inner, `${prefix}${key}.`)
        : [`${prefix}${key}`],
    );
  const names = namesOf(loadConfig({ env: {}, flags: {} }), "");
  assert.deepEqual(leaves.map(({ name }) => name).sort(), names.sort());
});
