import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { CheckRunner } from "../../src/registry/check-runner.ts";
import type { CheckTask } from "../../src/registry/protocol.ts";
import type { CheckResult } from "../../src/registry/schema.ts";
import { processTimers } from "../../src/registry/timers.ts";
import { blackhole } from "../helpers/blackhole.ts";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { call, dig, keepingLog, testClient, testRegistry } from "./setup.ts";

const timing = {
  intervalMs: 10_000,
  timeoutMs: 2_000,
  successBeforePassing: 1,
  failuresBeforeWarning: 1,
  failuresBeforeCritical: 1,
};

function httpTask(url: string, facts: object = {}): CheckTask {
  const request = { url, method: "GET", headers: {}, body: "" };
  const tls = { followRedirects: false, tlsSkipVerify: false, tlsServerName: "" };
  const spec = { kind: "http" as const, ...request, ...tls, ...timing, ...facts };
  return { id: "c", host: "h1", endpoint: "h1/web", status: "critical", spec };
}

function tcpTask(port: number, facts: object = {}): CheckTask {
  const spec = { kind: "tcp" as const, address: "127.0.0.1", port, ...timing, ...facts };
  return { id: "c", host: "h1", endpoint: "h1/web", status: "critical", spec };
}

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function httpServer(t: TestContext, handler: RequestListener): Promise<string> {
  const server = createServer(handler);
  const port = await listen(t, server);
  t.after(() => server.closeAllConnections());
  return `http://127.0.0.1:${port}/health`;
}

function runner(t: TestContext) {
  const time = new FakeTime();
  const results: CheckResult[] = [];
  const onResult = (result: CheckResult) => results.push(result);
  const checks = new CheckRunner({ timers: time, random: () => 0.5, log: keepingLog(), onResult });
  t.after(() => checks.stop());
  const statuses = () => results.map(({ status }) => status);
  return { time, results, statuses, checks };
}

const codes: [number, string][] = [
  [200, "passing"],
  [204, "passing"],
  [299, "passing"],
  [429, "warning"],
  [302, "critical"],
  [404, "critical"],
  [500, "critical"],
  [503, "critical"],
];
for (const [code, status] of codes) {
  test(`an http check that answers ${code} is ${status}`, async (t) => {
    const url = await httpServer(t, (_, response) => {
      response.writeHead(code, { location: "/elsewhere" });
      response.end(code === 204 ? undefined : "as it is");
    });
    const { time, results, checks } = runner(t);
    checks.set([httpTask(url)]);
    assert.equal(results.length, 0);
    time.advance(5_000);
    await until(() => results.length === 1);
    assert.equal(results[0]?.check, "h1/c");
    assert.equal(results[0]?.status, status);
    assert.match(
      results[0]?.output ?? "",
      new RegExp(`: ${code} Output: ${code === 204 ? "" : "as it is"}`),
    );
  });
}

test("method, headers and body are sent, and redirects followed where they are allowed", async (t) => {
  const seen: IncomingMessage[] = [];
  const url = await httpServer(t, (request, response) => {
    seen.push(request);
    if (request.url === "/health") response.writeHead(307, { location: "/there" });
    response.end();
  });
  const { time, results, checks } = runner(t);
  const headers = { Authorization: ["Bearer x"], "X-Many": ["a", "b"], Host: ["named.example"] };
  checks.set([httpTask(url, { method: "POST", headers, body: "ping", followRedirects: true })]);
  time.advance(5_000);
  await until(() => results.length === 1);
  assert.equal(results[0]?.status, "passing");
  assert.deepEqual(
    seen.map(({ method, url: path }) => `${method} ${path}`),
    ["POST /health", "POST /there"],
  );
  assert.equal(seen[0]?.headers.authorization, "Bearer x");
  assert.equal(seen[0]?.headers["x-many"], "a, b");
  assert.equal(seen[0]?.headers.host, "named.example");
});

test("a server that does not answer, resets, or refuses is critical, and says why", async (t) => {
  const silent = await httpServer(t, () => {});
  const closing = await httpServer(t, (request) => request.socket.destroy());
  const unused = createTcpServer();
  const port = await listen(t, unused);
  unused.close();
  await once(unused, "close");
  for (const [task, reason] of [
    [httpTask(silent, { timeoutMs: 100 }), /no answer in 100 ms/],
    [httpTask(closing), /UND_ERR_SOCKET|ECONNRESET/],
    [httpTask(`http://127.0.0.1:${port}/`), /ECONNREFUSED/],
    [tcpTask(port), /ECONNREFUSED/],
  ] as const) {
    const { time, results, checks } = runner(t);
    checks.set([task]);
    time.advance(5_000);
    await until(() => results.length === 1);
    assert.equal(results[0]?.status, "critical");
    assert.match(results[0]?.output ?? "", reason);
  }
});

test("a body without end costs its beginning only", async (t) => {
  let stopped = false;
  const url = await httpServer(t, (_, response) => {
    const pour = setInterval(() => response.write("x".repeat(65_536)), 1);
    response.once("close", () => {
      clearInterval(pour);
      stopped = true;
    });
  });
  const { time, results, checks } = runner(t);
  checks.set([httpTask(url)]);
  time.advance(5_000);
  await until(() => results.length === 1);
  assert.equal(results[0]?.status, "passing");
  assert.ok((results[0]?.output.length ?? 0) <= 4_096);
  await until(() => stopped);
});

test("a tcp check passes when the connection is accepted", async (t) => {
  const server = createTcpServer((socket) => socket.on("error", () => {}));
  const port = await listen(t, server);
  const { time, results, checks } = runner(t);
  checks.set([tcpTask(port)]);
  time.advance(5_000);
  await until(() => results.length === 1);
  assert.deepEqual(results[0], {
    check: "h1/c",
    status: "passing",
    output: `TCP connect 127.0.0.1:${port}: Success`,
  });
});

test("thresholds hold a status back, and only changes after the first result are told", async (t) => {
  let code = 200;
  let answered = 0;
  const url = await httpServer(t, (_, response) => {
    response.writeHead(code).end();
    answered++;
  });
  const { time, statuses, checks } = runner(t);
  const facts = { successBeforePassing: 2, failuresBeforeWarning: 2, failuresBeforeCritical: 3 };
  checks.set([httpTask(url, facts)]);
  const run = async (with_: number) => {
    code = with_;
    const before = answered;
    // The next run is armed when the one before has been judged.
    await until(() => time.pending() === 1);
    time.advance(10_000);
    await until(() => answered > before && time.pending() === 1);
  };
  await run(200);
  assert.deepEqual(
    statuses(),
    ["critical"],
    "the first result is told even where it changes nothing",
  );
  await run(200);
  await run(200);
  assert.deepEqual(statuses(), ["critical", "passing"]);
  await run(500);
  assert.deepEqual(statuses(), ["critical", "passing"]);
  await run(500);
  await run(500);
  await run(500);
  assert.deepEqual(statuses(), ["critical", "passing", "warning", "critical"]);
  await run(200);
  await run(500);
  await run(200);
  assert.equal(statuses().length, 4, "successes must be in a row");
});

test("intervals differ by up to a tenth, at random, and are what was asked for on average", async (t) => {
  let answered = 0;
  const url = await httpServer(t, (_, response) => {
    response.end();
    answered++;
  });
  const time = new FakeTime();
  const draws = [0.5, 0, 0.999_999, 0.25];
  const random = () => draws.shift() ?? 0.5;
  const checks = new CheckRunner({ timers: time, random, log: keepingLog(), onResult: () => {} });
  t.after(() => checks.stop());
  checks.set([httpTask(url)]);
  time.advance(5_000);
  for (const [run, spanMs] of [9_000, 11_000, 9_500, 10_000].entries()) {
    await until(() => answered === run + 1 && time.pending() === 1);
    time.advance(spanMs - 1);
    assert.equal(time.pending(), 1, `the interval after run ${run + 1} is not over`);
    time.advance(1);
    assert.equal(time.pending(), 0);
  }
});

test("thresholds and timeouts hold for tcp checks too", async (t) => {
  const server = createTcpServer((socket) => socket.on("error", () => {}));
  const port = await listen(t, server);
  const silent = await blackhole();
  t.after(() => silent.close());
  const { time, results, statuses, checks } = runner(t);
  const facts = { successBeforePassing: 2, failuresBeforeWarning: 2, failuresBeforeCritical: 3 };
  checks.set([tcpTask(port, facts)]);
  time.advance(5_000);
  const settled = async () => {
    await until(() => time.pending() === 1);
    time.advance(10_000);
    await until(() => time.pending() === 1);
  };
  await settled();
  assert.deepEqual(statuses(), ["critical", "passing"]);
  server.close();
  await once(server, "close");
  await settled();
  assert.deepEqual(statuses(), ["critical", "passing"], "one failure says nothing");
  await settled();
  await settled();
  assert.deepEqual(statuses(), ["critical", "passing", "warning", "critical"]);
  const late = runner(t);
  late.checks.set([tcpTask(silent.port, { timeoutMs: 100 })]);
  late.time.advance(5_000);
  await until(() => late.results.length === 1);
  assert.match(late.results[0]?.output ?? "", /no connection in 100 ms/);
  assert.equal(results.length, 4);
});

test("probes grow with the endpoints and not with the hosts that watch them", async (t) => {
  const asked = new Map<string, number>();
  const url = await httpServer(t, (request, response) => {
    const from = `${request.headers["x-endpoint"]}`;
    asked.set(from, (asked.get(from) ?? 0) + 1);
    response.end();
  });
  const registry = await testRegistry(t);
  const hosts = ["h1", "h2", "h3", "h4", "h5"];
  const daemons = await Promise.all(hosts.map((host) => daemonOf(t, registry.url, host)));
  for (const host of hosts) {
    for (const instance of ["web-a", "web-b"]) {
      const headers = { "x-endpoint": [`${host}/${instance}`] };
      const body = { service: "web", address: "10.0.0.1", port: 80 };
      const path = `/v1/mesh/endpoints/${host}/${instance}`;
      const { status } = await call(registry, "PUT", path, {
        ...body,
        checks: [{ http: url, headers }],
      });
      assert.equal(status, 200);
    }
  }
  const endpoints = hosts.length * 2;
  await until(() => daemons.every(({ time }) => time.pending() === 2), { what: "all checks" });
  for (let round = 1; round <= 3; round++) {
    for (const { time } of daemons) time.advance(10_000);
    await until(() => daemons.every(({ time }) => time.pending() === 2), { what: "all results" });
    assert.equal(
      [...asked.values()].reduce((sum, one) => sum + one, 0),
      endpoints * round,
    );
    assert.ok([...asked.values()].every((times) => times === round));
  }
  // What one host has found out, all know.
  const healthy = (records: ReadonlyMap<string, unknown>) =>
    [...records].filter(
      ([key, value]) => key.startsWith("endpoint ") && dig(value, "health") === "passing",
    ).length;
  await until(() => daemons.every(({ records }) => healthy(records) === endpoints));
});

/** The part of a daemon that runs checks. */
async function daemonOf(t: TestContext, url: string, host: string) {
  const time = new FakeTime();
  const { client, records } = await testClient(t, [url], {
    host,
    onChecks: (tasks) => checks.set(tasks),
  });
  const checks = new CheckRunner({
    timers: time,
    random: () => 0.5,
    log: keepingLog(),
    onResult: (result) => client.report([result]),
  });
  t.after(() => checks.stop());
  await client.start();
  return { time, records };
}

test("a list that names a check unchanged leaves it alone; others start and stop", async (t) => {
  let requests = 0;
  const url = await httpServer(t, (_, response) => {
    requests++;
    response.end();
  });
  const { time, results, checks } = runner(t);
  const [one, two] = [httpTask(url), { ...httpTask(url), id: "d" }];
  checks.set([one]);
  time.advance(4_000);
  checks.set([one, two]);
  time.advance(1_000);
  await until(() => results.length === 1);
  assert.equal(results[0]?.check, "h1/c", "its start was not put off");
  checks.set([two]);
  time.advance(4_000);
  await until(() => results.length === 2);
  assert.equal(results[1]?.check, "h1/d");
  await until(() => time.pending() === 1);
  checks.set([]);
  assert.equal(time.pending(), 0);
  time.advance(60_000);
  assert.equal(requests, 2);
});

test("a check that is dropped while it runs tells nothing any more", async (t) => {
  let asked = false;
  const url = await httpServer(t, () => {
    asked = true;
  });
  const { time, results, checks } = runner(t);
  checks.set([httpTask(url)]);
  time.advance(5_000);
  await until(() => asked);
  checks.set([]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(time.pending(), 0);
  assert.deepEqual(results, []);
});

test("no more checks run at a time than allowed, and those that wait get their turn", async (t) => {
  let open = 0;
  let most = 0;
  const url = await httpServer(t, (_, response) => {
    most = Math.max(most, ++open);
    setImmediate(() => {
      open--;
      response.end();
    });
  });
  const time = new FakeTime();
  const results: CheckResult[] = [];
  const checks = new CheckRunner({
    timers: time,
    random: () => 0.5,
    log: keepingLog(),
    onResult: (result) => results.push(result),
    maxRunning: 3,
  });
  t.after(() => checks.stop());
  checks.set(Array.from({ length: 20 }, (_, index) => ({ ...httpTask(url), id: `c${index}` })));
  time.advance(5_000);
  await until(() => results.length === 20);
  assert.ok(most <= 3, `${most} at a time`);
});

test("a registered http check is run by its host's daemon and moves the endpoint's health", async (t) => {
  let code = 200;
  const url = await httpServer(t, (_, response) => response.writeHead(code).end());
  const registry = await testRegistry(t);
  const { client, records } = await testClient(t, [registry.url], {
    onChecks: (tasks) => checks.set(tasks),
  });
  const checks = new CheckRunner({
    timers: processTimers,
    random: () => 0.1,
    log: keepingLog(),
    onResult: (result) => client.report([result]),
  });
  t.after(() => checks.stop());
  await client.start();
  await call(registry, "PUT", "/v1/agent/service/register", {
    ...{ Name: "web", Port: 80 },
    Check: { HTTP: url, Interval: "100ms" },
  });
  const health = () => dig(records.get("endpoint h1/web"), "health");
  await until(() => health() === "critical", { what: "the initial status" });
  await until(() => health() === "passing", { what: "the check to pass" });
  code = 429;
  await until(() => health() === "warning", { what: "the check to warn" });
  code = 500;
  await until(() => health() === "critical", { what: "the check to fail" });
});
