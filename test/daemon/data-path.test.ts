import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import test from "node:test";
import { DataPath } from "../../daemon/data-path.ts";
import type { FromGeneration, GenerationPorts } from "../../daemon/generation-messages.ts";
import { openDataPathSockets } from "../../daemon/sockets.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { configSchema } from "../../src/config/schema.ts";
import { duplicateFd } from "../../src/proxy/downstream/libc.ts";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { until } from "../helpers/until.ts";
import type { Line } from "./fixtures.ts";
import { memoryLog } from "./fixtures.ts";

const skip = process.platform !== "linux" && "shared listening sockets need Linux";

async function registry(t: TestContext, dataDir: string, port = 0): Promise<RunningRegistry> {
  const running = await startTestRegistry({
    dataDir,
    port,
    host: "node-a",
    virtualCidr6: "",
    pingMs: 1_000,
    balancer: { policy: "peak-ewma", slowStartMs: 0 },
  });
  let closed = false;
  const close = async () => {
    if (!closed) await running.close();
    closed = true;
  };
  t.after(close);
  return { ...running, close };
}

async function upstream(t: TestContext, delayMs = 0): Promise<number> {
  const server = createServer((_, response) => {
    setTimeout(() => response.end("hello"), delayMs);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return (server.address() as AddressInfo).port;
}

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hostmesh-data-path-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface Running {
  readonly path: DataPath;
  readonly ports: GenerationPorts;
  readonly explicit: number;
  readonly told: FromGeneration[];
  readonly lines: readonly Line[];
}

async function start(t: TestContext, url: string, more: ConfigInput = {}): Promise<Running> {
  const dataDir = more.dataDir ?? (await temporary(t));
  const config = configSchema.parse({
    host: "node-a",
    dataDir,
    ports: { explicit: 0, admin: 0, metrics: 0, ready: 0, metricsBind: "127.0.0.1" },
    registry: { urls: [url], reconnectMaxMs: 200 },
    mesh: { port: 0 },
    ...more,
    timeouts: { warmUpMs: 0, ...more.timeouts },
  });
  const options = { workers: 2, mode: "explicit", ipv6: false, bind: "127.0.0.1" } as const;
  const ports0 = { ...config.ports, inbound: 0, mesh: null };
  const sockets = openDataPathSockets({ ...options, ports: ports0, meshBind: "127.0.0.1" });
  t.after(() => sockets.close());
  const told: FromGeneration[] = [];
  const { log, lines } = memoryLog();
  const path = new DataPath(
    {
      config,
      mode: "explicit",
      workers: 2,
      // The generation closes what it was given; the guardian keeps its own.
      listeners: sockets.workers.map(({ explicit }, worker) => ({
        worker,
        entry: "explicit",
        fd: duplicateFd(explicit),
      })),
      explicitPort: sockets.ports.explicit,
      meshPort: null,
      ownAddresses: ["127.0.0.1"],
      ownPorts: [sockets.ports.explicit],
      lingerMs: 0,
      urgent: false,
    },
    {
      log: Object.assign(log, { level: "info" as const }),
      tell: (message) => told.push(message),
    },
  );
  t.after(() => path.stop());
  const ports = await path.start();
  return { path, ports, explicit: sockets.ports.explicit, told, lines };
}

function get(port: number, host: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, agent, headers: { host }, timeout: 15_000 });
    sent.on("error", reject);
    sent.on("timeout", () => sent.destroy(new Error("no answer in 15 s")));
    sent.on("response", (response) => {
      response.on("error", reject);
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.resume();
    });
    sent.end();
  });
}

async function register(url: string, name: string, port: number): Promise<void> {
  const body = JSON.stringify({ Name: name, Port: port });
  const answer = await fetch(`${url}/v1/agent/service/register`, { method: "PUT", body });
  assert.equal(answer.status, 200, await answer.text());
}

function agent(t: TestContext): Agent {
  const made = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => made.destroy());
  return made;
}

async function serves(port: number, name: string, client: Agent): Promise<void> {
  await until(async () => (await get(port, name, client)) === 200, { what: `service ${name}` });
}

test("is not ready where the capture was given back, whoever was asked for that", {
  skip,
}, async (t) => {
  const central = await registry(t, await temporary(t));
  const { path, ports } = await start(t, central.url);
  const status = async () => {
    const answer = await fetch(`http://127.0.0.1:${ports.ready}/healthz/ready`);
    return { status: answer.status, text: await answer.text() };
  };
  await until(async () => (await status()).status === 200);
  // A capture that lapses comes again.
  path.setCapturing(false, false);
  assert.equal((await status()).status, 200);
  path.setCapturing(false, true);
  await until(async () => (await status()).status === 503);
  assert.match((await status()).text, /draining/);
});

test("serves a service within moments of its registration, and proves that it is ready", {
  skip,
}, async (t) => {
  const central = await registry(t, await temporary(t));
  const { ports, explicit } = await start(t, central.url);
  await until(async () => {
    const answer = await fetch(`http://127.0.0.1:${ports.ready}/healthz/ready`);
    await answer.text();
    return answer.status === 200;
  });
  const client = agent(t);
  assert.equal(await get(explicit, "web", client), 404);
  await register(central.url, "web", await upstream(t));
  const atMs = performance.now();
  await serves(explicit, "web", client);
  assert(performance.now() - atMs < 500, "the change took too long");
  const stats: unknown = await (await fetch(`http://127.0.0.1:${ports.admin}/stats`)).json();
  assert.match(JSON.stringify(stats), /"service":"default\/web"/);
  const dump = await (await fetch(`http://127.0.0.1:${ports.admin}/config_dump`)).text();
  assert.match(dump, /"key": "default\/web"/);
  const metrics = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
  assert.match(metrics, /hostmesh_requests_total\{[^}]*destination="default\/web"[^}]*\} 1/);
  assert.match(metrics, /hostmesh_workers 2/);
});

test("Istio's metrics are there where they are asked for, and traced requests are named", {
  skip,
}, async (t) => {
  const central = await registry(t, await temporary(t));
  const { ports, explicit } = await start(t, central.url, {
    telemetry: { istioMetrics: "on", istioCluster: "east" },
  });
  const client = agent(t);
  await register(central.url, "web", await upstream(t));
  await serves(explicit, "web", client);
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const headers = { host: "web", traceparent: `00-${traceId}-b7ad6b7169203331-01` };
  const traced = request({ host: "127.0.0.1", port: explicit, headers, agent: client }).end();
  const [response] = await once(traced, "response");
  response.resume();
  await once(response, "end");
  const scrape = async (accept: string) => {
    const url = `http://127.0.0.1:${ports.metrics}/metrics`;
    return await (await fetch(url, { headers: { accept } })).text();
  };
  await until(async () => (await scrape("application/openmetrics-text")).includes(traceId));
  const text = await scrape("text/plain");
  assert.doesNotMatch(text, new RegExp(traceId));
  const counted = text.match(/^istio_requests_total\{.*$/m)?.[0] ?? "";
  for (const part of [
    'reporter="source"',
    'destination_cluster="east"',
    'destination_service="web.default.svc.cluster.local"',
    'response_code="200"',
  ]) {
    assert.ok(counted.includes(part), counted);
  }
  assert.match(counted, /\} 2$/);
});

test("a warm-up leaves no trace in what workers count and hold", { skip }, async (t) => {
  const central = await registry(t, await temporary(t));
  const { path, ports, lines } = await start(t, central.url, { timeouts: { warmUpMs: 10_000 } });
  const warm = lines.filter(({ message }) => message === "worker is warm");
  assert.deepEqual(warm.map(({ facts }) => facts["worker"]).sort(), [0, 1]);
  assert(warm.every(({ facts }) => Number(facts["requests"]) > 0));
  const nothing = { connections: 0, idleUpstream: 0, busyUpstream: 0, pending: 0 };
  assert.deepEqual(await path.workers.ping(2_000), [nothing, nothing]);
  const metrics = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
  assert.doesNotMatch(metrics, /warm-up/);
  assert.doesNotMatch(metrics, /^hostmesh_requests_total\{/m);
  const connections = /^hostmesh_(upstream_)?connections?_.*total(\{[^}]*\})? [1-9]/m;
  assert.doesNotMatch(metrics, connections);
  const dump = await (await fetch(`http://127.0.0.1:${ports.admin}/config_dump`)).text();
  assert.doesNotMatch(dump, /warm-up/);
});

test("a worker that is killed under load is replaced at once and harms no other", {
  skip,
}, async (t) => {
  const central = await registry(t, await temporary(t));
  const { path, ports, explicit } = await start(t, central.url);
  await register(central.url, "web", await upstream(t, 5));
  await serves(explicit, "web", agent(t));

  const clients = Array.from({ length: 12 }, () => ({ failed: 0, served: 0, agent: agent(t) }));
  let loading = true;
  const load = clients.map(async (client) => {
    while (loading) {
      try {
        assert.equal(await get(explicit, "web", client.agent), 200);
        client.served++;
      } catch {
        // A connection of the killed worker breaks; its client opens another.
        client.failed++;
      }
    }
  });
  await until(() => clients.every((client) => client.served > 5));
  const before = await path.workers.ping(2_000);
  const victims = before[0]?.connections ?? 0;
  const killed = path.workers.worker(0);
  void killed?.terminate();
  await until(() => path.workers.worker(0) !== killed);
  const goneMs = performance.now();
  await until(() => path.workers.stats().ready === 2, { what: "the replacement" });
  t.diagnostic(`replaced after ${Math.round(performance.now() - goneMs)} ms`);
  const servedThen = clients.map((client) => client.served);
  await until(() => clients.every((client, index) => client.served > (servedThen[index] ?? 0) + 5));
  loading = false;
  await Promise.all(load);

  const harmed = clients.filter((client) => client.failed > 0).length;
  assert(harmed <= victims, `${harmed} clients harmed, ${victims} connections were the worker's`);
  assert(clients.every((client) => client.failed <= 1));
  const metrics = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
  const counted = [...metrics.matchAll(/^hostmesh_requests_total\{.*code="2xx".*\} (\d+)$/gm)];
  const total = counted.reduce((sum, [, count]) => sum + Number(count), 0);
  const served = clients.reduce((sum, client) => sum + client.served, 0);
  assert(total >= served - victims, `${total} counted, ${served} served: the count went back`);
  const stats = await (await fetch(`http://127.0.0.1:${ports.admin}/stats`)).text();
  assert.match(stats, /"inFlight": 0,\s+"connections": \d+,\s+"latencyEwmaMs"/);
  assert.match(stats, /"restarts": 1/);
});

test("starts from the saved snapshot and serves while the registry is gone", {
  skip,
}, async (t) => {
  const dataDir = await temporary(t);
  const central = await registry(t, await temporary(t));
  await register(central.url, "web", await upstream(t));
  const first = await start(t, central.url, { dataDir });
  await serves(first.explicit, "web", agent(t));
  await first.path.stop();
  await central.close();
  const second = await start(t, central.url, { dataDir });
  assert.equal(await get(second.explicit, "web", agent(t)), 200);
});

test("tells which containers are local, and again when that changes", { skip }, async (t) => {
  const central = await registry(t, await temporary(t));
  const { told } = await start(t, central.url);
  const put = (addresses: string[]) =>
    fetch(`${central.url}/v1/mesh/workloads/default/job`, {
      method: "PUT",
      body: JSON.stringify({ host: "node-a", addresses }),
    });
  const last = () => told.findLast((message) => message.type === "workloads");
  assert.equal((await put(["10.1.0.7"])).status, 200);
  await until(() => last()?.addresses.join() === "10.1.0.7");
  assert.equal((await put(["10.1.0.8", "10.1.0.7"])).status, 200);
  await until(() => last()?.addresses.join() === "10.1.0.7,10.1.0.8");
  await until(() => told.some((message) => message.type === "beat" && message.serving));
});

test("a drain lets a request in flight end, and then every worker is gone", { skip }, async (t) => {
  const central = await registry(t, await temporary(t));
  const { path, explicit } = await start(t, central.url);
  await register(central.url, "slow", await upstream(t, 300));
  const client = agent(t);
  await serves(explicit, "slow", client);
  const inFlight = get(explicit, "slow", client);
  await until(async () =>
    (await path.workers.ping(1_000)).some((one) => (one?.busyUpstream ?? 0) > 0),
  );
  const drained = path.drain(0, 5_000);
  assert.equal(await inFlight, 200);
  await drained;
  assert.equal(path.workers.stats().ready, 0);
});
