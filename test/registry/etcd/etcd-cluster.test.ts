import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { StoredRecord, Tombstone } from "../../../src/registry/records.ts";
import { type EtcdCluster, etcdCluster, noEtcd } from "../../helpers/etcd.ts";
import { until } from "../../helpers/until.ts";
import { call, dig, tempFolder, testClient } from "../setup.ts";
import { clientOf, newPrefix, openStore } from "./etcd-lab.ts";

const CHILD = fileURLToPath(new URL("registry-child.ts", import.meta.url));

interface RegistryProcess {
  url: string;
  start(): Promise<void>;
  kill(): Promise<void>;
}

async function registryProcess(
  t: TestContext,
  prefix: string,
  urls: readonly string[],
): Promise<RegistryProcess> {
  const folder = await tempFolder(t);
  let child: ChildProcess | null = null;
  const registry: RegistryProcess = {
    url: "",
    async start() {
      const stdio = ["ignore", "pipe", "inherit"] as const;
      const started = spawn(process.execPath, [CHILD, folder, prefix, ...urls], {
        stdio: [...stdio],
      });
      child = started;
      let output = "";
      started.stdout?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
      await until(() => output.includes("\n") || started.exitCode !== null, { what: "a registry" });
      registry.url = output.trim();
      assert.match(registry.url, /^http:/);
    },
    async kill() {
      if (child === null || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
  t.after(() => registry.kill());
  await registry.start();
  return registry;
}

/** Clients that write to whichever registry takes it, and keep what was acknowledged. */
class Writers {
  readonly acknowledged = new Map<string, string>();
  /** Acknowledged writes, the repeated included. */
  count = 0;
  #stopped = false;
  readonly #running: Promise<void>[];

  constructor(registries: readonly RegistryProcess[], size: number) {
    this.#running = Array.from({ length: size }, (_, client) => this.#write(client, registries));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  async progress(writes: number, what: string): Promise<void> {
    const goal = this.count + writes;
    await until(() => this.count >= goal, { what });
  }

  async #write(client: number, registries: readonly RegistryProcess[]): Promise<void> {
    let at = client;
    for (let index = 0; !this.#stopped; index++) {
      const name = `c${client}-${index}`;
      // Not given up before it is acknowledged: as a client that does not know what became of its request.
      while (!this.#stopped) {
        const registry = registries[at % registries.length];
        if (await put(registry, name, `account-${name}`)) break;
        at++;
      }
      if (this.#stopped) return;
      this.acknowledged.set(`default/${name}`, `account-${name}`);
      this.count++;
      if (index % 10 === 9) at++;
    }
  }
}

async function put(
  registry: RegistryProcess | undefined,
  name: string,
  serviceAccount: string,
): Promise<boolean> {
  if (registry === undefined) return false;
  const [, client = "9", index = "0"] = /^c(\d+)-(\d+)$/.exec(name) ?? [];
  const addresses = [`10.${client}.${Number(index) >> 8}.${Number(index) & 255}`];
  const body = { host: "h1", addresses, serviceAccount };
  try {
    return (await call(registry, "PUT", `/v1/mesh/workloads/default/${name}`, body)).status === 200;
  } catch {
    return false;
  }
}

async function leaderOf(registries: readonly RegistryProcess[]): Promise<RegistryProcess> {
  let leader: RegistryProcess | undefined;
  await until(
    async () => {
      for (const each of registries) {
        const { body } = await call(each, "GET", "/v1/mesh/status");
        if (dig(body, "store.isLeader") === true) leader = each;
      }
      return leader !== undefined;
    },
    { what: "a leading registry" },
  );
  assert.ok(leader);
  return leader;
}

const statusAnswer = z.object({ leader: z.string(), header: z.object({ member_id: z.string() }) });

/** Index of the member that leads etcd. */
async function etcdLeader(t: TestContext, { urls }: EtcdCluster): Promise<number> {
  for (const [index, url] of urls.entries()) {
    const client = clientOf(t, [url], 500);
    const status = await client.call("/v3/maintenance/status", {}, statusAnswer).catch(() => null);
    if (status !== null && status.leader === status.header.member_id) return index;
  }
  throw new Error("etcd has no leader");
}

describe("three registries over three members of etcd", { skip: noEtcd }, () => {
  test("no acknowledged write is lost or made twice, whoever is killed", async (t) => {
    const cluster = await etcdCluster(t, 3, { flags: ["--unsafe-no-fsync"] });
    const { urls, members } = cluster;
    const prefix = newPrefix();
    const registries = await Promise.all(
      urls.map((_, index) =>
        registryProcess(t, prefix, [...urls.slice(index), ...urls.slice(0, index)]),
      ),
    );
    const store = await openStore(t, urls, prefix);
    const revisions: number[] = [];
    const changes: (StoredRecord | Tombstone)[] = [];
    store.subscribe((commit) => {
      revisions.push(commit.revision);
      changes.push(...commit.changes);
    });
    const first = store.revision();
    const watching = await Promise.all(
      registries.map(({ url }) => testClient(t, [url], { reconnectMaxMs: 100 })),
    );
    const [mover] = [
      await testClient(
        t,
        registries.map(({ url }) => url),
      ),
    ];
    for (const { client } of [...watching, mover]) await client.start();

    const writers = new Writers(registries, 4);
    t.after(() => writers.stop());
    await writers.progress(100, "writes");
    const killed = await leaderOf(registries);
    await killed.kill();
    await writers.progress(100, "writes without the leading registry");
    const rest = registries.filter((each) => each !== killed);
    assert.notEqual(await leaderOf(rest), killed);
    await killed.start();

    const leader = await etcdLeader(t, cluster);
    const follower = members[(leader + 1) % 3];
    await follower?.stop();
    await writers.progress(100, "writes without a member of etcd");
    await follower?.start();
    await writers.progress(50, "writes with the member again");
    const leading = members[await etcdLeader(t, cluster)];
    await leading?.stop();
    await writers.progress(100, "writes without etcd's leader");
    await leading?.start();
    await writers.progress(50, "writes with all again");
    await writers.stop();

    await store.refresh();
    const newest = store.revision();
    assert.deepEqual(
      revisions,
      Array.from({ length: newest - first }, (_, index) => first + 1 + index),
    );
    const written = changes.filter(({ kind }) => kind === "workload");
    assert.equal(
      new Set(written.map(({ key }) => key)).size,
      written.length,
      "none was made twice",
    );
    for (const registry of registries) {
      await until(async () => (await call(registry, "GET", "/v1/mesh/status")).index >= newest);
      const { body } = await call(registry, "GET", "/v1/mesh/workloads");
      const found = z
        .array(z.object({ name: z.string(), namespace: z.string(), serviceAccount: z.string() }))
        .parse(body);
      const there = new Map(
        found.map((each) => [`${each.namespace}/${each.name}`, each.serviceAccount]),
      );
      for (const [key, account] of writers.acknowledged) assert.equal(there.get(key), account, key);
    }
    // The registry that was killed listens elsewhere now: only those who know others can follow.
    const following = [...watching.filter((_, index) => registries[index] !== killed), mover];
    for (const { client, updates } of following) {
      await until(() => client.state().revision === newest, { what: "a watch to come up" });
      const seen = updates.map(({ revision }) => revision);
      assert.deepEqual(
        seen,
        [...new Set(seen)].sort((a, b) => a - b),
      );
      assert.deepEqual([updates.filter(({ full }) => full).length, client.state().resyncs], [1, 0]);
    }
    t.diagnostic(`${writers.acknowledged.size} acknowledged writes in ${newest - first} revisions`);

    await withoutEtcd(cluster, rest, mover);
  });
});

/** All members die: reading and watching go on, writing is refused, and all is well when they are back. */
async function withoutEtcd(
  { members }: EtcdCluster,
  registries: readonly RegistryProcess[],
  { client, records }: Awaited<ReturnType<typeof testClient>>,
): Promise<void> {
  const [registry] = registries;
  assert.ok(registry);
  await Promise.all(members.map((member) => member.stop()));
  const body = { host: "h1", addresses: ["10.9.0.0"], serviceAccount: "a" };
  const refused = await call(registry, "PUT", "/v1/mesh/workloads/default/later", body);
  assert.equal(refused.status, 503);
  const status = await call(registry, "GET", "/v1/mesh/status");
  assert.equal(dig(status.body, "store.reachable"), false);
  assert.equal((await call(registry, "GET", "/v1/mesh/workloads")).status, 200);
  assert.equal(client.state().connected, true);
  await Promise.all(members.map((member) => member.start()));
  await until(() => put(registry, "later", "a"), { what: "a write with etcd back" });
  await until(() => records.has("workload default/later"), { what: "the watch to tell of it" });
  assert.equal(client.state().resyncs, 0);
}
