import assert from "node:assert/strict";
import { test } from "node:test";
import { ISTIO_METRICS } from "../../src/telemetry/istio/metrics.ts";
import { METRICS } from "../../src/telemetry/metrics.ts";
import { REGISTRY_METRICS } from "../../src/telemetry/registry-metrics.ts";
import { readDoc, readTable } from "./table.ts";

test("docs/metrics.md lists every declared metric and no other, with type, labels and meaning", () => {
  for (const [column, metrics] of [
    ["metric", METRICS],
    ["registry metric", REGISTRY_METRICS],
  ] as const) {
    const documented = readTable("metrics.md", column).map((row) => ({
      name: row[column],
      type: row["type"],
      labels: row["labels"] === "-" ? [] : (row["labels"] ?? "").split(" "),
      help: row["meaning"],
    }));
    const declared = metrics.map(({ name, type, labels, help }) => ({
      name,
      type,
      labels: [...labels],
      help,
    }));
    assert.deepEqual(documented, declared);
  }
});

test("docs/metrics.md explains every label of the registry's metrics, and no other", () => {
  const explained = readTable("metrics.md", "registry label").map((row) => row["registry label"]);
  const own = new Set(["version", "node"]);
  const used = new Set(REGISTRY_METRICS.flatMap(({ labels }) => labels));
  assert.deepEqual(explained.sort(), [...used].filter((label) => !own.has(label)).sort());
});

test("docs/metrics.md explains every label that a metric has, and no other", () => {
  const explained = readTable("metrics.md", "label").map((row) => row["label"]);
  const own = new Set(["mode", "version", "node"]);
  const used = new Set(METRICS.flatMap(({ labels }) => labels).filter((label) => !own.has(label)));
  assert.deepEqual(explained.sort(), [...used].sort());
});

test("metrics that docs/metrics.md names in its text exist", () => {
  const names = [...METRICS, ...REGISTRY_METRICS].map(({ name }) => String(name));
  for (const [name] of readDoc("metrics.md").matchAll(/hostmesh_[a-z0-9_]+/g)) {
    const plain = name.replace(/_(bucket|sum|count)$/, "");
    const isDefault = /^hostmesh_(process|nodejs)_/.test(name);
    assert.ok(isDefault || names.includes(plain), name);
  }
});

test("names follow Prometheus' conventions", () => {
  for (const { name, type, labels } of [...METRICS, ...REGISTRY_METRICS]) {
    assert.match(name, /^hostmesh_[a-z]+[0-9]?(_[a-z]+[0-9]?)*$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    if (type === "histogram") assert.match(name, /_(seconds|bytes)$/);
    for (const label of labels) assert.match(label, /^[a-z]+$/, name);
  }
});

test("docs/metrics.md lists Istio's metrics with all of their labels, and no others", () => {
  const rows = readTable("metrics.md", "istio metric");
  assert.deepEqual(
    rows.map((row) => [row["istio metric"], row["type"], row["meaning"]]),
    ISTIO_METRICS.map(({ name, type, help }) => [name, type, help]),
  );
  const explained = readTable("metrics.md", "istio label").flatMap((row) =>
    (row["istio label"] ?? "").split(", "),
  );
  const used = new Set(ISTIO_METRICS.flatMap(({ labels }) => labels));
  assert.deepEqual(explained.sort(), [...used].sort());
});
