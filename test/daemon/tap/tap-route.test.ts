import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { TapItem } from "../../../src/sight/tap-event.ts";
import { runCliHere } from "../../cli/run.ts";
import { startTestRegistry } from "../../helpers/registry.ts";
import { until } from "../../helpers/until.ts";
import { makeDataPath } from "../start-data-path.ts";

const skip = process.platform !== "linux" && "shared listening sockets need Linux";

/** A registry and a daemon that carries calls of the service `web`, which fails at `/fail`. */
async function mesh(t: TestContext) {
  const dataDir = await mkdtemp(join(tmpdir(), "hostmesh-tap-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const central = await startTestRegistry({
    ...{ dataDir, port: 0, host: "node-a", virtualCidr6: "", pingMs: 1_000 },
    balancer: { policy: "peak-ewma", slowStartMs: 0 },
  });
  t.after(() => central.close());
  const server = createServer((asked, answer) => {
    answer.setHeader("set-cookie", "id=secret");
    answer.writeHead(asked.url?.startsWith("/fail") ? 503 : 200).end("hello");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { path, sockets } = makeDataPath({ dataDir, registry: { urls: [central.url] } });
  t.after(async () => {
    await path.stop();
    sockets.close();
  });
  const { admin, metrics } = await path.start();
  const body = JSON.stringify({ Name: "web", Port: (server.address() as AddressInfo).port });
  await fetch(`${central.url}/v1/agent/service/register`, { method: "PUT", body });
  const call = (target: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const port = sockets.ports.explicit;
      const headers = { host: "web", authorization: "Bearer abc", "x-plain": "seen" };
      const sent = request({ host: "127.0.0.1", port, path: target, headers, agent: false });
      sent.on("error", reject);
      sent.on("response", (answer) => {
        answer.resume().on("end", () => resolve(answer.statusCode ?? 0));
      });
      sent.end();
    });
  await until(async () => (await call("/first")) === 200);
  return { path, central, call, admin: `http://127.0.0.1:${admin}`, adminPort: admin, metrics };
}

/** The items of a tap of the daemon's admin API. */
async function tapOf(t: TestContext, admin: string, body: object) {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const answer = await fetch(`${admin}/sight/tap`, {
    method: "POST",
    body: JSON.stringify(body),
    signal: stop.signal,
  });
  const items: TapItem[] = [];
  let isOver = false;
  const read = async () => {
    let rest = "";
    for await (const chunk of answer.body ?? []) {
      const lines = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = lines.pop() ?? "";
      items.push(...lines.map((line) => JSON.parse(line) as TapItem));
    }
  };
  void read()
    .catch(() => undefined)
    .finally(() => {
      isOver = true;
    });
  const events = () => items.flatMap((item) => (item.type === "event" ? [item.event] : []));
  return { status: answer.status, events, items, isOver: () => isOver, stop };
}

const count = async (metrics: number, name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1] ?? Number.NaN);
};

test("a tap shows what matches while it is open, also in a worker that replaces another, and nothing else costs", {
  skip,
}, async (t) => {
  const { path, call, admin } = await mesh(t);
  const tap = await tapOf(t, admin, { filter: { pathPrefix: "/fail", headers: true } });
  assert.equal(tap.status, 200);
  await call("/ok?token=abc");
  await call("/fail?token=abc");
  await until(() => tap.events().length === 1);
  const [event] = tap.events();
  assert.deepEqual(
    [event?.path, event?.status, event?.destination, event?.host, event?.security],
    ["/fail?token=[redacted]", 503, "default/web", "node-a", "same_host"],
  );
  const shown = new Map(event?.requestHeaders?.map(([name, value]) => [name.toLowerCase(), value]));
  assert.deepEqual([shown.get("authorization"), shown.get("x-plain")], ["[redacted]", "seen"]);
  const answered = event?.responseHeaders?.find(([name]) => name.toLowerCase() === "set-cookie");
  assert.equal(answered?.[1], "[redacted]");

  const killed = path.workers.worker(0);
  void killed?.terminate();
  await until(() => path.workers.worker(0) !== killed && path.workers.stats().ready === 1);
  await until(async () => {
    await call("/fail").catch(() => undefined);
    return tap.events().length > 1;
  });
  const before = tap.events().length;
  tap.stop.abort();
  await until(() => tap.isOver());
  await call("/fail");
  assert.equal(tap.events().length, before);
});

test("a tap ends by itself, and what is no tap is refused", { skip }, async (t) => {
  const { admin, adminPort, call } = await mesh(t);
  const short = await tapOf(t, admin, { limits: { durationMs: 100 } });
  await until(() => short.isOver());
  for (const body of [
    { filter: { metod: "GET" } },
    { limits: { perSecond: 0 } },
    { filters: {} },
    [],
  ]) {
    assert.equal((await tapOf(t, admin, body)).status, 400, JSON.stringify(body));
  }
  const raw = connect(adminPort, "127.0.0.1");
  t.after(() => raw.destroy());
  let said = "";
  raw.on("data", (chunk) => {
    said += chunk;
  });
  raw.write("POST /sight/tap HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}");
  await until(() => said.startsWith("HTTP/1.1 403 "));
  const many = await Promise.all(Array.from({ length: 8 }, () => tapOf(t, admin, {})));
  assert.deepEqual(new Set(many.map(({ status }) => status)), new Set([200]));
  assert.equal((await tapOf(t, admin, {})).status, 429);
  many[0]?.stop.abort();
  await until(async () => (await tapOf(t, admin, {})).status === 200);
  assert.equal(await call("/ok"), 200);
});

test("a client that reads nothing holds nothing up, and is told what it missed when it reads", {
  skip,
}, async (t) => {
  const { adminPort, call } = await mesh(t);
  const raw = connect(adminPort, "127.0.0.1");
  t.after(() => raw.destroy());
  raw.write("POST /sight/tap HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
  await once(raw, "readable");
  raw.pause();
  const from = performance.now();
  for (let at = 0; at < 30; at += 1) assert.equal(await call("/ok"), 200);
  assert.ok(performance.now() - from < 10_000);
});

test("an access log of which nothing falls into the sample writes nothing, and what is no switch is refused", {
  skip,
}, async (t) => {
  const { admin, metrics, call } = await mesh(t);
  const lines = () => count(metrics, "hostmesh_access_log_lines_total");
  const put = async (body: object) => {
    const answer = await fetch(`${admin}/logging`, { method: "PUT", body: JSON.stringify(body) });
    return { status: answer.status, body: await answer.json() };
  };
  assert.equal(await lines(), 0);
  const none = { accessLog: { default: { enabled: true, sample: 0 } } };
  assert.equal((await put(none)).status, 200);
  await call("/ok");
  assert.equal(await lines(), 0);
  assert.equal((await put({ accessLog: { workloads: { web: {} } } })).status, 400);
  assert.equal((await put({ level: "loud" })).status, 400);
});

test("hostmesh tap and log-level reach the daemon through the registry, and without it", {
  skip,
}, async (t) => {
  const { admin, central, call } = await mesh(t);
  const registry = ["--registry", central.url];
  const tapped = runCliHere(["tap", "web", "--duration", "2s", "-o", "json", ...registry]);
  const shown = runCliHere(["tap", "--failed", "--duration", "2s", "--admin", admin, "--headers"]);
  let isDone = false;
  void Promise.all([tapped, shown]).finally(() => {
    isDone = true;
  });
  await until(async () => {
    await call("/fail");
    return isDone;
  });
  const { stdout, stderr, code } = await tapped;
  assert.equal(code, 0, stderr);
  const items = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as TapItem);
  assert.ok(items.some((item) => item.type === "event" && item.event.path === "/fail"));
  const text = (await shown).stdout;
  assert.match(text, /^TIME +SOURCE +SERVICE +STATUS +LATENCY +METHOD +PATH$/m);
  assert.match(text, /^\d\d:\d\d:\d\d\.\d{3} {2}unknown +web +503 .* GET +\/fail$/m);
  assert.match(text, /^ {4}> authorization: \[redacted\]$/im);

  const remote = ["--host", "node-a", ...registry];
  const set = await runCliHere(["log-level", "debug", "--errors", "on", ...remote, "-o", "json"]);
  assert.equal(set.code, 0, set.stderr);
  const local = await runCliHere(["log-level", "--admin", admin]);
  assert.match(local.stdout, /^log of the daemon +debug/m);
  assert.match(local.stdout, /^access log of failures +all/m);
  const workload = ["--workload", "shop/web", "--admin", admin];
  const one = await runCliHere(["log-level", "--access-log", "on", "--sample", "0.1", ...workload]);
  assert.match(one.stdout, /^access log of shop\/web +on +0\.1/m);
  const back = await runCliHere(["log-level", "--access-log", "reset", ...workload]);
  assert.doesNotMatch(back.stdout, /shop\/web/);
  for (const wrong of [
    ["--workload", "shop/web"],
    ["--access-log", "reset"],
    ["--sample", "2"],
  ]) {
    assert.equal((await runCliHere(["log-level", "--admin", admin, ...wrong])).code, 2);
  }
  for (const wrong of [
    ["--status", "abc"],
    ["--duration", "2h"],
    ["web", "--to", "web"],
  ]) {
    assert.equal((await runCliHere(["tap", "--admin", admin, ...wrong])).code, 2);
  }
});
