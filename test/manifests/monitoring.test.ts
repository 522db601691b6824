import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import * as z from "zod";
import { METRICS } from "../../src/telemetry/metrics.ts";
import { REGISTRY_METRICS } from "../../src/telemetry/registry-metrics.ts";

const FOLDER = join(import.meta.dirname, "../../manifests/monitoring");
const RULES = join(FOLDER, "prometheus-rules.yaml");
const SCENARIO = join(import.meta.dirname, "alerts.test.yaml");
const skip =
  spawnSync("promtool", ["--version"]).error !== undefined &&
  "no promtool is there (Debian package prometheus)";

const grid = z.object({ h: z.number(), w: z.number(), x: z.number(), y: z.number() });
const target = z.object({
  refId: z.string(),
  expr: z.string().min(1),
  datasource: z.object({ type: z.literal("prometheus"), uid: z.literal("$datasource") }),
});
const panel = z.object({
  id: z.number(),
  type: z.enum(["row", "timeseries", "stat", "table"]),
  title: z.string().min(1),
  gridPos: grid,
  targets: z.array(target).optional(),
});
/** What is known of Grafana's model of a dashboard. */
const dashboard = z.object({
  uid: z.string().regex(/^[a-zA-Z0-9_-]{1,40}$/),
  title: z.string(),
  schemaVersion: z.number(),
  templating: z.object({ list: z.array(z.object({ name: z.string(), type: z.string() })) }),
  panels: z.array(panel),
});

function promtool(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("promtool", args, { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

test("promtool takes the rules", { skip }, () => {
  assert.match(promtool("check", "rules", "--lint-fatal", RULES), /SUCCESS/);
});

test("alerts fire for what is wrong, when it is wrong, and for nothing else", { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-alerts-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const scenario = join(folder, "alerts.test.yaml");
  writeFileSync(scenario, readFileSync(SCENARIO, "utf8").replace("RULES", RULES));
  promtool("test", "rules", scenario);
});

const names = ["mesh", "service", "host", "proxy"];
const read = (name: string) =>
  dashboard.parse(JSON.parse(readFileSync(join(FOLDER, `grafana/hostmesh-${name}.json`), "utf8")));

for (const name of names) {
  test(`the dashboard ${name} is one that Grafana can show`, () => {
    const { panels, templating, uid } = read(name);
    assert.equal(uid, `hostmesh-${name}`);
    const ids = panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, "an id is there twice");
    for (const { gridPos } of panels) assert.ok(gridPos.x + gridPos.w <= 24);
    for (const [index, one] of panels.entries()) {
      for (const other of panels.slice(index + 1)) {
        assert.ok(!overlap(one.gridPos, other.gridPos), `${one.title} and ${other.title} overlap`);
      }
    }
    const variables = new Set(templating.list.map((variable) => variable.name));
    assert.ok(variables.has("datasource"));
    for (const { expr } of panels.flatMap(({ targets = [] }) => targets)) {
      for (const [, used = ""] of expr.matchAll(/\$([a-z]+)/g))
        assert.ok(variables.has(used), expr);
    }
  });
}

test("every label that a query selects or groups by is one of its metric", () => {
  const labels = new Set([...METRICS, ...REGISTRY_METRICS].flatMap(({ labels }) => [...labels]));
  // Prometheus adds these.
  for (const added of ["instance", "job", "namespace", "le"]) labels.add(added);
  const exprs = names.flatMap((name) => read(name).panels).flatMap(({ targets = [] }) => targets);
  for (const { expr } of exprs) {
    for (const [, list = ""] of expr.matchAll(/by \(([^)]*)\)/g)) {
      for (const label of list.split(",").map((part) => part.trim())) {
        assert.ok(label === "" || labels.has(label), `${label} in ${expr}`);
      }
    }
  }
});

type Grid = z.infer<typeof grid>;

function overlap(one: Grid, other: Grid): boolean {
  const apart = one.x + one.w <= other.x || other.x + other.w <= one.x;
  return !apart && one.y < other.y + other.h && other.y < one.y + one.h;
}
