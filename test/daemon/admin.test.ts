import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:http";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import test from "node:test";
import type { AdminDeps } from "../../daemon/admin.ts";
import { adminServer } from "../../daemon/admin.ts";
import { closeServer, listen } from "../../daemon/control-server.ts";
import { ExplainQueue } from "../../daemon/explain/explain-queue.ts";
import { LogControl } from "../../daemon/logging/log-control.ts";
import { TapHub } from "../../daemon/tap/tap-hub.ts";
import { configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import { until } from "../helpers/until.ts";
import { memoryLog } from "./fixtures.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(port: number, method: string, path: string, headers: object = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, method, path, headers: { ...headers } });
    sent.on("error", reject);
    sent.on("response", async (response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk);
      const body = Buffer.concat(chunks).toString();
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    });
    sent.end();
  });
}

function observing() {
  const { telemetry, host } = configSchema.parse({});
  const tell = () => undefined;
  return {
    logging: new LogControl({ telemetry, log: { level: "info" }, onSwitches: tell }),
    taps: new TapHub({ host, tell, clock: processClock, every: () => tell }),
  };
}

async function setup(t: TestContext, more: Partial<AdminDeps> = {}) {
  const calls: string[] = [];
  const { log, lines } = memoryLog();
  const server = adminServer({
    configDump: (redacted) => ({ redacted }),
    report: () => ({ host: "a" }),
    stats: () => ({ requests: 7 }),
    ready: async () => ({ ready: true, reasons: [] }),
    drain: () => calls.push("drain"),
    release: async () => void calls.push("release"),
    ...observing(),
    explain: async (request) => ({ request }),
    log,
    ...more,
  });
  const port = await listen(server, "admin", "127.0.0.1", 0);
  t.after(() => closeServer(server));
  return { port, calls, lines };
}

test("answers health, configuration and statistics", async (t) => {
  const { port } = await setup(t);
  assert.deepEqual([(await ask(port, "GET", "/healthz")).body], ["ok\n"]);
  assert.deepEqual(JSON.parse((await ask(port, "GET", "/config_dump")).body), { redacted: false });
  assert.deepEqual(JSON.parse((await ask(port, "GET", "/config_dump?redacted")).body), {
    redacted: true,
  });
  assert.deepEqual(JSON.parse((await ask(port, "GET", "/stats")).body), { requests: 7 });
  const head = await ask(port, "HEAD", "/stats");
  assert.deepEqual([head.status, head.body], [200, ""]);
});

test("drains on POST only", async (t) => {
  const { port, calls } = await setup(t);
  const refused = await ask(port, "GET", "/drain");
  assert.deepEqual([refused.status, refused.headers.allow], [405, "POST"]);
  assert.deepEqual(calls, []);
  assert.equal((await ask(port, "POST", "/drain")).status, 202);
  assert.deepEqual(calls, ["drain"]);
});

test("shows and sets the log level, and refuses one that does not exist", async (t) => {
  const { port } = await setup(t);
  const set = await ask(port, "PUT", "/logging?level=debug");
  assert.equal(JSON.parse(set.body).level, "debug");
  const refused = await ask(port, "PUT", "/logging?level=loud");
  assert.equal(refused.status, 400);
  assert.match(refused.body, /debug, info, warn, error/);
  const usual = { default: { enabled: false, sample: 1 }, errors: false, workloads: {} };
  assert.deepEqual(JSON.parse((await ask(port, "GET", "/logging")).body), {
    level: "debug",
    accessLog: usual,
  });
});

test("a change of logging is JSON of its form and of bounded size, or nothing is done", async (t) => {
  const { port } = await setup(t);
  const put = async (body: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}/logging`, { method: "PUT", body });
    return { status: answer.status, text: await answer.text() };
  };
  for (const body of [
    "",
    "{",
    "[]",
    '{"level":1}',
    '{"levels":"debug"}',
    `"${"x".repeat(300_000)}"`,
  ]) {
    assert.equal((await put(body)).status, 400, body.slice(0, 20));
  }
  const set = await put('{"level":"warn","accessLog":{"workloads":{"shop/web":{"enabled":true}}}}');
  assert.equal(set.status, 200, set.text);
  assert.deepEqual(JSON.parse(set.text).accessLog.workloads, { "shop/web": { enabled: true } });
  assert.equal(JSON.parse((await ask(port, "GET", "/logging")).body).level, "warn");
});

for (const host of [
  "localhost",
  "localhost:15000",
  "127.0.0.1:15000",
  "127.8.8.8",
  "[::1]:15000",
]) {
  test(`answers to the host ${host}`, async (t) => {
    const { port } = await setup(t);
    assert.equal((await ask(port, "GET", "/healthz", { host })).status, 200);
  });
}

for (const headers of [
  { host: "attacker.example" },
  { host: "localhost.attacker.example" },
  { host: "10.0.0.1:15000" },
  { host: "localhost@attacker.example" },
  { host: "localhost", origin: "http://attacker.example" },
  { host: "localhost", origin: "null" },
]) {
  test(`refuses ${JSON.stringify(headers)}`, async (t) => {
    const { port, calls } = await setup(t);
    assert.equal((await ask(port, "POST", "/drain", headers)).status, 403);
    assert.deepEqual(calls, []);
  });
}

test("refuses unknown paths and methods", async (t) => {
  const { port } = await setup(t);
  assert.equal((await ask(port, "GET", "/nothing")).status, 404);
  assert.equal((await ask(port, "GET", "/constructor")).status, 404);
  assert.equal((await ask(port, "DELETE", "/stats")).status, 405);
});

test("capture is given back on request, and the answer comes when that is done", async (t) => {
  const released = Promise.withResolvers<void>();
  let asked = false;
  const release = () => {
    asked = true;
    return released.promise;
  };
  const { port } = await setup(t, { release });
  let answered = false;
  const answer = ask(port, "POST", "/release").finally(() => {
    answered = true;
  });
  await until(() => asked);
  assert.equal(answered, false);
  released.resolve();
  const { status, body } = await answer;
  assert.deepEqual([status, JSON.parse(body)], [200, { capturing: false }]);
  assert.equal((await ask(port, "GET", "/release")).status, 405);
});

test("a handler that throws costs its own request only, and is logged", async (t) => {
  const { port, lines } = await setup(t, {
    report: () => ({ host: "a" }),
    stats: () => {
      throw new Error("told to");
    },
  });
  const answer = await ask(port, "GET", "/stats");
  assert.equal(answer.status, 500);
  assert(!answer.body.includes("told to"));
  assert.deepEqual(
    lines.map((line) => line.message),
    ["control request failed"],
  );
  assert.equal((await ask(port, "GET", "/healthz")).status, 200);
});

test("a request body is not read and ends the connection", async (t) => {
  const { port } = await setup(t);
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.write(
    "PUT /logging?level=warn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
  );
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk;
  });
  await once(socket, "close");
  assert.match(received, /^HTTP\/1\.1 200 /);
  assert.match(received, /connection: close/i);
});

test("whoever asks for an explanation too many is told to come again", async (t) => {
  const { promise, resolve } = Promise.withResolvers<never>();
  const explains = new ExplainQueue(() => promise);
  t.after(() => resolve({} as never));
  const parts = {} as Parameters<ExplainQueue["answer"]>[0];
  const { port } = await setup(t, { explain: (asked) => explains.answer(parts, asked) });
  for (let index = 0; index < 9; index++) void explains.answer(parts, {});
  const url = `http://127.0.0.1:${port}/sight/explain`;
  const response = await fetch(url, { method: "POST", body: "{}" });
  assert.equal(response.status, 429);
  assert.match(await response.text(), /busy: 8 questions wait/);
});

test("says what it could not listen on", async (t) => {
  const { port } = await setup(t);
  const second = adminServer({
    configDump: () => ({}),
    report: () => ({ host: "a" }),
    stats: () => ({}),
    ready: async () => ({ ready: true, reasons: [] }),
    drain: () => undefined,
    release: async () => undefined,
    ...observing(),
    explain: async (request) => ({ request }),
    log: memoryLog().log,
  });
  await assert.rejects(listen(second, "admin", "127.0.0.1", port), (error: Error) => {
    assert.match(error.message, new RegExp(`^admin cannot listen on 127.0.0.1 port ${port}`));
    return true;
  });
});
