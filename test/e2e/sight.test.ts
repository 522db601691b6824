import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { hostReportSchema } from "../../src/sight/host-report-schema.ts";
import type { MeshReport } from "../../src/sight/mesh-report.ts";
import { makeDataPath } from "../daemon/start-data-path.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { until } from "../helpers/until.ts";

const skip = process.platform !== "linux" && "shared listening sockets need Linux";

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hostmesh-sight-"));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Answers `/bad` with 500 and all else with 200. */
async function upstream(t: TestContext): Promise<number> {
  const server = createServer(({ url = "" }, response) => {
    response.statusCode = url.startsWith("/bad") ? 500 : 200;
    response.end("hello");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return (server.address() as AddressInfo).port;
}

function get(port: number, host: string, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, headers: { host }, timeout: 15_000 });
    sent.on("error", reject);
    sent.on("response", (response) => {
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.resume();
    });
    sent.end();
  });
}

async function setUp(t: TestContext) {
  const registry = await startTestRegistry({ dataDir: await temporary(t), host: "node-a" });
  t.after(() => registry.close());
  const put = async (path: string, body: object) => {
    const target = `${registry.url}/v1/mesh/${path}`;
    const answer = await fetch(target, { method: "PUT", body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.text());
  };
  await put("endpoints/node-a/api-1", {
    ...{ service: "api", address: "127.0.0.1", port: await upstream(t) },
  });
  const { path, sockets, lines } = makeDataPath({
    dataDir: await temporary(t),
    registry: { urls: [registry.url], reconnectMaxMs: 200 },
  });
  t.after(() => sockets.close());
  t.after(() => path.stop());
  const ports = await path.start();
  const { explicit } = sockets.ports;
  await until(async () => (await get(explicit, "api", "/warm")) === 200);
  const meshReport = async () =>
    (await (await fetch(`${registry.url}/v1/mesh/sight/report`)).json()) as MeshReport;
  return { registry, ports, explicit, meshReport, path, lines };
}

test("what passes through a real daemon is in its report, and in the registry's", {
  skip,
}, async (t) => {
  const { ports, explicit, meshReport, registry } = await setUp(t);
  assert.equal(await get(explicit, "api", "/good"), 200);
  assert.equal(await get(explicit, "api", "/bad?token=secret"), 500);
  assert.equal(await get(explicit, "nobody", "/lost"), 404);
  await until(async () => {
    const { services, recentErrors } = await meshReport();
    const api = services.find(({ service }) => service === "default/api");
    return (api?.requests ?? 0) >= 3 && recentErrors.length > 0;
  });
  const report = await meshReport();
  const api = report.services.find(({ service }) => service === "default/api");
  assert.equal(api?.failures, 1);
  assert.deepEqual(api?.protocols, ["http"]);
  assert.ok((api?.p50Ms ?? 0) > 0 && (api?.p99Ms ?? 0) >= (api?.p50Ms ?? 0));
  const [endpoint] = api?.endpoints ?? [];
  assert.deepEqual(
    [endpoint?.id, endpoint?.requests, endpoint?.failures, endpoint?.share],
    ["node-a/api-1", api?.requests, 1, 1],
  );
  assert.ok((endpoint?.latencyEwmaMs ?? 0) > 0);
  const edge = report.edges.find(({ destination }) => destination === "default/api");
  assert.deepEqual(edge?.securities, { same_host: api?.requests });
  assert.equal(edge?.secured, true);
  assert.equal(
    report.routes.find(({ destination }) => destination === "default/api")?.route,
    "default",
  );
  const [host] = report.hosts;
  assert.deepEqual([host?.host, host?.state, host?.workers.length], ["node-a", "reporting", 1]);
  assert.equal(host?.revision, report.revision);
  const failures = new Map(report.recentErrors.map((one) => [one.path, one]));
  assert.equal(failures.get("/lost")?.error, "NO_ROUTE");
  const failure = failures.get("/bad");
  assert.deepEqual(
    [failure?.host, failure?.method, failure?.path, failure?.status, failure?.error],
    ["node-a", "GET", "/bad", 500, null],
  );
  assert.match(failure?.traceId ?? "", /^[0-9a-f]{32}$/);
  assert.doesNotMatch(JSON.stringify(report), /secret/);
  const own = await (await fetch(`http://127.0.0.1:${ports.admin}/sight/report`)).json();
  const parsed = hostReportSchema.parse(own);
  assert.equal(parsed.flows.find(({ destination }) => destination === "default/api")?.failures, 1);
  const config = await fetch(`${registry.url}/v1/mesh/sight/hosts/node-a/config`);
  assert.match(await config.text(), /"default\/api"/);
});

test("a daemon that has stopped is gone from the report, and what is unknown is said", {
  skip,
}, async (t) => {
  const { meshReport, path, registry } = await setUp(t);
  const nonsense = registry.sight.ask("node-a", { kind: "nonsense" } as never, 5_000);
  await assert.rejects(nonsense, { status: 502, message: "unknown question" });
  await path.stop();
  await until(async () => (await meshReport()).hosts.every(({ state }) => state === "gone"));
  const gone = await fetch(`${registry.url}/v1/mesh/sight/hosts/node-a/config`);
  assert.ok([404, 503].includes(gone.status));
});
