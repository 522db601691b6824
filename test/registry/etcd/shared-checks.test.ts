import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { RunningRegistry } from "../../../src/registry/registry.ts";
import { noEtcd } from "../../helpers/etcd.ts";
import { until } from "../../helpers/until.ts";
import { call, dig, keepingLog, testClient, testRegistry } from "../setup.ts";
import { etcdOptions, newPrefix, sharedEtcd } from "./etcd-lab.ts";

describe("checks over several registries", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();

  const isLeader = async (registry: RunningRegistry) =>
    dig((await call(registry, "GET", "/v1/mesh/status")).body, "store.isLeader") === true;
  const statusAt = async (registry: RunningRegistry) =>
    dig((await call(registry, "GET", "/v1/health/service/web")).body, "0.Checks.0.Status");
  const register = (registry: RunningRegistry, check: object) =>
    call(registry, "PUT", "/v1/agent/service/register", {
      ...{ Name: "web", ID: "web", Port: 80, Address: "10.0.0.1" },
      Check: { CheckID: "c", ...check },
    });
  const beat = (registry: RunningRegistry) =>
    call(registry, "PUT", "/v1/agent/check/pass/c").then(({ status }) => status);

  /** The first leads. */
  async function pair(t: TestContext) {
    const options = { etcd: etcdOptions(etcd().urls, newPrefix()) };
    const one = await testRegistry(t, options);
    await until(() => isLeader(one), { what: "a leader" });
    const other = await testRegistry(t, options);
    return [one, other] as const;
  }

  test("one registry leads; when it goes, the other does", async (t) => {
    const [one, other] = await pair(t);
    assert.equal(await isLeader(other), false);
    const named = async (registry: RunningRegistry) =>
      dig((await call(registry, "GET", "/v1/mesh/status")).body, "store.leader");
    await until(async () => (await named(one)) === (await named(other)));
    await one.close();
    await until(() => isLeader(other), { what: "the other to lead" });
  });

  test("a registry that is started before etcd waits for it", async (t) => {
    const [member] = etcd().members;
    await member?.stop();
    const log = keepingLog();
    const starting = testRegistry(t, { etcd: etcdOptions(etcd().urls, newPrefix()), log });
    await until(() => log.lines.some(({ message }) => message === "etcd does not answer yet"));
    await member?.start();
    assert.equal((await call(await starting, "GET", "/v1/mesh/services")).status, 200);
  });

  test("heartbeats at any registry keep a check passing, and their end is seen by all", async (t) => {
    const [one, other] = await pair(t);
    await register(other, { TTL: "1s", Status: "passing" });
    const begun = performance.now();
    // Twice as long as a check lives that only the leader knows of, the way of heartbeats included.
    await until(async () => {
      assert.equal(await beat(other), 200);
      return performance.now() - begun > 3_000;
    });
    assert.equal(await statusAt(one), "passing");
    await until(async () => (await statusAt(one)) === "critical", {
      what: "the end at the leader",
    });
    await until(async () => (await statusAt(other)) === "critical", { what: "the end elsewhere" });
    assert.equal(await beat(other), 200);
    await until(async () => (await statusAt(one)) === "passing", { what: "the return" });
  });

  test("a new leader lets time pass on", async (t) => {
    const [one, other] = await pair(t);
    await register(one, { TTL: "1s", Status: "passing" });
    await one.close();
    await until(async () => (await statusAt(other)) === "critical", { what: "the end" });
  });

  test("a check that is registered at one registry can be met at the other at once", async (t) => {
    const [one, other] = await pair(t);
    for (let index = 0; index < 10; index++) {
      await register(one, { CheckID: `c${index}`, TTL: "60s" });
      const path = `/v1/agent/check/pass/c${index}`;
      assert.equal((await call(other, "PUT", path)).status, 200);
    }
  });

  test("a host's results count at whichever registry it watches", async (t) => {
    const [one, other] = await pair(t);
    await register(one, { TCP: "127.0.0.1:9", Interval: "10s" });
    const tasks: string[] = [];
    const { client } = await testClient(t, [other.url], {
      onChecks: (checks) => tasks.push(...checks.map(({ id }) => id)),
    });
    await client.start();
    await until(() => tasks.includes("c"), { what: "the check" });
    client.report([{ check: "h1/c", status: "passing", output: "well" }]);
    await until(async () => (await statusAt(one)) === "passing", { what: "the result" });
  });

  test("a daemon moves from one registry to another without losing or repeating a revision", async (t) => {
    const [one, other] = await pair(t);
    const put = async (registry: RunningRegistry, name: string) => {
      const path = `/v1/mesh/services/default/${name}`;
      const { status, index } = await call(registry, "PUT", path, { ports: [{ port: 80 }] });
      assert.equal(status, 200);
      return index;
    };
    await put(one, "a");
    const { client, records, updates } = await testClient(t, [one.url, other.url]);
    await client.start();
    await until(() => records.has("service default/a"));
    const index = await put(one, "b");
    await until(() => client.state().revision === index);
    await one.close();
    const newest = await put(other, "c");
    await until(() => client.state().revision === newest, {
      what: "the other registry's revision",
    });
    assert.equal(client.state().url, other.url);
    assert.deepEqual(
      updates.map(({ full }) => full),
      [true, ...updates.slice(1).map(() => false)],
    );
    assert.equal(client.state().resyncs, 0);
    assert.deepEqual([...records.keys()].filter((key) => key.startsWith("service")).sort(), [
      "service default/a",
      "service default/b",
      "service default/c",
    ]);
  });
});
