import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { beginRegistryMetrics } from "../../daemon/registry-metrics.ts";
import { configSchema } from "../../src/config/schema.ts";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { until } from "../helpers/until.ts";
import { FakeTime } from "../registry/fake-time.ts";
import { RawWatch } from "../registry/raw-watch.ts";
import { call, dig, testRegistry } from "../registry/setup.ts";
import { memoryLog } from "./fixtures.ts";

const configOf = (metricsPort: number) =>
  configSchema.parse({ registry: { metricsPort, metricsBind: "127.0.0.1" } });

const put = (registry: RunningRegistry, name: string) =>
  call(registry, "PUT", `/v1/mesh/services/shop/${name}`, { ports: [{ name: "", port: 80 }] });

const DASHBOARD = {
  figures: () => ({ sessions: 2, pages: 1, refusals: new Map([["wrong token" as const, 3]]) }),
};

test("a registry's metrics tell what it holds, who follows it and what it was asked", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { clock: time });
  await put(registry, "cart");
  await call(registry, "GET", "/v1/mesh/services/shop/nobody");
  const metrics = await beginRegistryMetrics(configOf(0), registry, DASHBOARD, memoryLog().log);
  assert.ok(metrics !== null);
  t.after(() => metrics.close());
  const scrape = async () =>
    (
      await fetch(`http://127.0.0.1:${metrics.port}/metrics`, { headers: { accept: "text/plain" } })
    ).text();
  const text = await scrape();
  for (const line of [
    `hostmesh_registry_revision ${registry.inside.catalog.revision()}`,
    'hostmesh_registry_records{kind="service"} 1',
    'hostmesh_registry_daemons{state="current"} 0',
    "hostmesh_registry_leader 1",
    'hostmesh_registry_source_synced{source="sqlite"} 1',
    'hostmesh_registry_requests_total{port="plain",code="2xx"} 1',
    'hostmesh_registry_requests_total{port="plain",code="4xx"} 1',
    "hostmesh_registry_commit_duration_seconds_count 1",
    "hostmesh_registry_commits_failed_total 0",
    'hostmesh_registry_questions_total{kind="report",result="failed"} 0',
    "hostmesh_registry_dashboard_sessions 2",
    'hostmesh_registry_dashboard_refusals_total{reason="wrong token"} 3',
  ]) {
    assert.ok(text.split("\n").includes(line), `${line} is not in\n${text}`);
  }
  assert.match(text, /^hostmesh_process_cpu_seconds_total /m);
  // It is no authority.
  assert.doesNotMatch(text, /^hostmesh_registry_(certificates_issued|authority)/m);
});

test("daemons that refuse, and those that come no closer to the newest revision, are seen", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { clock: time });
  const daemons = () => registry.figures().daemons;
  const watch = await RawWatch.open(t, registry.url);
  watch.hello();
  await put(registry, "cart");
  await watch.next("update");
  const { revision } = registry.figures();
  assert.deepEqual(daemons(), { current: 1, behind: 0, refusing: 0 });
  time.advance(10_000);
  assert.deepEqual(daemons(), { current: 0, behind: 1, refusing: 0 });
  const last = () => watch.ofType("update").at(-1) as { to: number };
  watch.send({ type: "ack", revision: last().to });
  await until(() => daemons().behind === 0);
  const held = async () =>
    dig((await call(registry, "GET", "/v1/mesh/status")).body, "daemons.0.revision");
  await until(async () => {
    watch.send({ type: "ack", revision: last().to });
    return (await held()) === revision;
  });
  // It was in step for long: that does not count against it when something new comes.
  time.advance(12_000);
  await put(registry, "desk");
  assert.deepEqual(daemons(), { current: 1, behind: 0, refusing: 0 });
  await until(() => last().to === registry.figures().revision);
  watch.send({ type: "nack", revision: last().to, reason: "no" });
  await until(() => daemons().refusing === 1);
  assert.deepEqual(daemons(), { current: 0, behind: 0, refusing: 1 });
});

test("questions to daemons are counted by what came of them", async (t) => {
  const registry = await testRegistry(t);
  const watch = await RawWatch.open(t, registry.url);
  watch.hello({ host: "h7", takes: ["ask"] });
  await watch.next("update");
  const asked = registry.sight.ask("h7", { kind: "logging" }, 5_000);
  const { id } = (await watch.next("ask")) as { id: number };
  watch.send({ type: "answer", id, part: 0, last: true, body: "{}" });
  await asked;
  const second = registry.sight.ask("h7", { kind: "logging" }, 5_000);
  const next = (await watch.next("ask", 1)) as { id: number };
  watch.send({ type: "answer", id: next.id, part: 0, last: true, error: "no" });
  await assert.rejects(second);
  assert.deepEqual(registry.figures().questions.get("logging"), { answered: 1, failed: 1 });
});

test("a port that is taken costs the metrics and nothing else", async (t) => {
  const registry = await testRegistry(t);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const { log, lines } = memoryLog();
  assert.equal(await beginRegistryMetrics(configOf(port), registry, null, log), null);
  assert.deepEqual(
    lines.map(({ message, facts }) => [message, facts["address"]]),
    [["no metrics of the registry: their port cannot be had", `127.0.0.1:${port}`]],
  );
});
