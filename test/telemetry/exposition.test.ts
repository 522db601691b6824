import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { Exposition } from "../../src/telemetry/exposition.ts";
import { expositionFormat } from "../../src/telemetry/exposition-format.ts";

const NASTY = ["plain", 'a"b', "back\\slash", "two\nlines", "", "emöji 🙂"];
const VALUES = [0, 1, -2.5, 1e21, 1 / 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

test("counters and gauges are written as prom-client writes them", async () => {
  for (const [Kind, type] of [
    [Counter, "counter"],
    [Gauge, "gauge"],
  ] as const) {
    const registry = new Registry();
    const help = 'What "it" is: a \\ and\na line';
    const metric: Counter | Gauge = new Kind({
      ...{ name: "hostmesh_x_total", help, labelNames: ["a", "b"], registers: [registry] },
    });
    const own = new Exposition("text");
    own.begin({ name: "hostmesh_x_total", help: help.replaceAll('"', ""), type });
    const names = ["a", "b"];
    for (const [index, a] of NASTY.entries()) {
      const value = index === 0 ? 1e21 : index / 3;
      metric.inc({ a, b: "z" }, value);
      own.value("hostmesh_x_total", names, [[a, "z"], value]);
    }
    const theirs = (await registry.metrics()).trimEnd().split("\n");
    const ours = own.take().trimEnd().split("\n");
    assert.deepEqual(ours.slice(1), theirs.slice(1));
  }
});

test("histograms are written as prom-client writes them", async () => {
  const registry = new Registry();
  const bounds = [0.1, 1, 64];
  const metric = new Histogram({
    ...{ name: "hostmesh_h_seconds", help: "H", labelNames: ["a"], buckets: bounds },
    registers: [registry],
  });
  for (const value of [0.05, 0.5, 0.75, 100]) metric.observe({ a: 'x"y' }, value);
  const own = new Exposition("text");
  const declared = {
    ...({
      type: "histogram",
      name: "hostmesh_h_seconds",
      help: "H",
      labels: ["a"],
      bounds,
    } as const),
    read: () => [],
  };
  own.begin(declared);
  own.histogram(declared, { labels: ['x"y'], buckets: [1, 2, 0, 1], sum: 101.3 });
  assert.equal(own.take(), `${(await registry.metrics()).trimEnd()}\n`);
});

test("numbers that are none, and both infinities, have their names", () => {
  const own = new Exposition("text");
  for (const value of [Number.NaN, ...VALUES]) own.plain("x", [["a", 'q"']], value);
  assert.deepEqual(own.take().match(/\S+$/gm), [
    "NaN",
    "0",
    "1",
    "-2.5",
    "1e+21",
    "0.3333333333333333",
    "+Inf",
    "-Inf",
  ]);
});

test("OpenMetrics is given to those who name it, in a version that is known, and prefer it", () => {
  const prometheus =
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
  for (const [accept, format] of [
    [prometheus, "openmetrics"],
    ["application/openmetrics-text", "openmetrics"],
    ["application/openmetrics-text; version=1.0.0", "openmetrics"],
    ["Application/OpenMetrics-Text, text/plain", "openmetrics"],
    ["application/openmetrics-text;version=2.0.0, */*;q=0.1", "text"],
    ["application/openmetrics-text;q=0.1,text/plain;q=0.5", "text"],
    ["application/openmetrics-text;q=0", "text"],
    ["application/openmetrics-text;q=x", "text"],
    ["*/*", "text"],
    ["", "text"],
    ["application/vnd.google.protobuf", "text"],
    [`${"a/b,".repeat(5_000)}application/openmetrics-text`, "text"],
  ] as const) {
    assert.equal(expositionFormat(accept), format, accept.slice(0, 80));
  }
});
