import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { PrivateStore } from "../../src/registry/identity/private-store.ts";
import type { RegistryOptions } from "../../src/registry/registry.ts";
import { MemoryPlace } from "../helpers/memory-private-store.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { until } from "../helpers/until.ts";
import { makeDataPath } from "./start-data-path.ts";

const skip = process.platform !== "linux" && "shared listening sockets need Linux";

interface Dump {
  readonly registry: { readonly connected: boolean; readonly epoch: string };
  readonly identity: {
    readonly host: { readonly state: string; readonly failure: string | null };
    readonly renewals: { readonly issued: number };
    readonly workloads: readonly { readonly state: string }[];
  };
  readonly snapshot: unknown;
}

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hostmesh-another-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface RegistryChoice {
  readonly store?: PrivateStore;
  readonly tlsPort?: number;
  readonly more?: Partial<RegistryOptions>;
}

async function registry(t: TestContext, { store, tlsPort = 0, more = {} }: RegistryChoice) {
  const reviewer = {
    review: async () => ({ namespace: "hostmesh-system", serviceAccount: "d", node: "node-a" }),
  };
  const account = { audience: "hostmesh", namespace: "hostmesh-system", serviceAccount: "d" };
  const running = await startTestRegistry({
    ...{ dataDir: await temporary(t), host: "node-a", virtualCidr6: "", pingMs: 1_000, ...more },
    identity: {
      ...{ trustDomain: "cluster.local", tlsBind: "127.0.0.1", tlsPort, isRequired: true },
      ...{ caFile: "", caKeyFile: "", hostAddress: "127.0.0.1" },
      ...{ leafLifetimeMs: 86_400_000, hostLifetimeMs: 604_800_000 },
      ...(store === undefined ? {} : { store }),
      tokenReview: { reviewer, ...account },
    },
  });
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= running.close();
    return closing;
  };
  t.after(close);
  return { ...running, close, tlsUrl: running.tlsUrl ?? "" };
}

async function daemon(t: TestContext, more: ConfigInput, joinToken?: string) {
  const choice = { dataDir: await temporary(t), ...more };
  const { path, sockets, lines } = makeDataPath(choice, joinToken);
  t.after(() => sockets.close());
  t.after(() => path.stop());
  const { admin, metrics } = await path.start();
  const text = async (url: string) => (await fetch(url)).text();
  return {
    explicit: sockets.ports.explicit,
    lines,
    dump: async () => JSON.parse(await text(`http://127.0.0.1:${admin}/config_dump`)) as Dump,
    stats: () => text(`http://127.0.0.1:${admin}/stats`),
    metrics: () => text(`http://127.0.0.1:${metrics}/metrics`),
  };
}

async function upstream(t: TestContext) {
  const server = createServer((_, response) => response.end("hello"));
  let connections = 0;
  server.on("connection", () => connections++);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

function get(port: number, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, agent, headers: { host: "web" } });
    sent.setTimeout(15_000, () => sent.destroy(new Error("no answer")));
    sent.on("error", reject);
    sent.on("response", (response) => {
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.resume();
    });
    sent.end();
  });
}

async function register(url: string, port: number): Promise<void> {
  const answer = await fetch(`${url}/v1/agent/service/register`, {
    method: "PUT",
    body: JSON.stringify({ Name: "web", ID: "web-1", Address: "127.0.0.1", Port: port }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

const figure = (metrics: string, name: string) =>
  [...metrics.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, "gm"))].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );

test("another registry with the same state, under load: no pool, certificate, counter or statistic is touched", {
  skip,
}, async (t) => {
  const place = new MemoryPlace();
  const one = await registry(t, { store: place.open() });
  const two = await registry(t, { store: place.open() });
  const { port, connections } = await upstream(t);
  for (const { url } of [one, two]) await register(url, port);
  const urls = [one.url, two.url];
  const token = await one.issueJoinToken("node-a");
  const { dump, stats, metrics, explicit, lines } = await daemon(
    t,
    { registry: { urls, tlsUrl: one.tlsUrl, reconnectMinMs: 600_000, reconnectMaxMs: 600_000 } },
    token,
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  await until(async () => (await get(explicit, agent)) === 200, { what: "the service" });
  await until(async () => (await dump()).identity.workloads.some(({ state }) => state === "valid"));

  let loading = true;
  const codes = new Map<number, number>();
  const load = (async () => {
    while (loading) {
      const code = await get(explicit, agent);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  })();
  await until(() => (codes.get(200) ?? 0) > 50, { what: "requests before" });
  const before = { dump: await dump(), metrics: await metrics(), connections: connections() };
  const served = codes.get(200) ?? 0;
  await one.close();
  await until(
    async () => {
      const { connected, epoch } = (await dump()).registry;
      return connected && epoch !== before.dump.registry.epoch;
    },
    { what: "the other registry" },
  );
  await until(() => (codes.get(200) ?? 0) > served + 50, { what: "requests after" });
  loading = false;
  await load;
  const after = { dump: await dump(), metrics: await metrics(), connections: connections() };
  assert.deepEqual([...codes.keys()], [200]);
  assert.deepEqual(after.dump.snapshot, before.dump.snapshot, "slots stay");
  assert.deepEqual(after.dump.identity.renewals, before.dump.identity.renewals);
  assert.equal(after.connections, before.connections);
  const closed = "hostmesh_pool_connections_closed_total";
  assert.equal(figure(after.metrics, closed), figure(before.metrics, closed));
  const requests = "hostmesh_requests_total";
  const [counted, countedBefore] = [after, before].map((each) => figure(each.metrics, requests));
  assert.ok((counted ?? 0) >= (countedBefore ?? 0) + 50, "counters go on");
  assert.match(await stats(), /"latencyEwmaMs": 0?\.?[0-9.]*[1-9]/, "the latency is still known");
  assert.ok(lines.some(({ message }) => /asks to watch another one/.test(message)));
});

test("a host with a projected token waits for the anchors, and enrols again where the authority was made anew", {
  skip,
}, async (t) => {
  const folder = await temporary(t);
  const [joinTokenFile, anchorsFile] = [join(folder, "token"), join(folder, "anchors.pem")];
  await writeFile(joinTokenFile, "aaa.bbb.ccc");
  const first = await registry(t, {});
  const publish = async (url: string) => {
    const answer = await fetch(`${url}/v1/identity/authorities`);
    const { current } = (await answer.json()) as { current: { anchor: string } };
    await writeFile(anchorsFile, current.anchor);
  };
  const tlsPort = Number(new URL(first.tlsUrl).port);
  const { dump } = await daemon(t, {
    identity: { joinTokenFile, anchorsFile },
    registry: { urls: [first.tlsUrl], reconnectMinMs: 10, reconnectMaxMs: 100 },
  });
  await until(async () => /anchorsFile/.test((await dump()).identity.host.failure ?? ""), {
    what: "the wait for the anchors",
  });
  await publish(first.url);
  await until(async () => (await dump()).identity.host.state === "valid", { what: "the identity" });
  await until(async () => (await dump()).registry.connected, { what: "the watch" });
  const { epoch } = (await dump()).registry;
  assert.equal(await readFile(joinTokenFile, "utf8"), "aaa.bbb.ccc");

  await first.close();
  const second = await registry(t, { tlsPort });
  await publish(second.url);
  await until(
    async () => {
      const { connected, epoch: now } = (await dump()).registry;
      return connected && now !== epoch;
    },
    { what: "the watch of the new registry" },
  );
  assert.equal((await dump()).identity.host.state, "valid");
});
