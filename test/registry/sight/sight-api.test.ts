import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { type TestContext, test } from "node:test";
import { until } from "../../helpers/until.ts";
import { endpointReport, flowReport } from "../../sight/reports.ts";
import { FakeTime } from "../fake-time.ts";
import { callTls, enrol, secureRegistry } from "../identity/setup.ts";
import { RawWatch } from "../raw-watch.ts";
import { call, dig, testRegistry } from "../setup.ts";
import { answeringDaemon, reporting, tapItem } from "./answering-daemon.ts";

type Registry = { readonly url: string };
const reportOf = async (registry: Registry) =>
  (await call(registry, "GET", "/v1/mesh/sight/report")).body;
const watching = (registry: Registry, daemons: number) =>
  until(async () => {
    const { body } = await call(registry, "GET", "/v1/mesh/status");
    return (dig(body, "daemons") as unknown[]).length === daemons;
  });

/** Lines of a tap as they come. */
async function tap(t: TestContext, registry: Registry, body: object) {
  const gone = new AbortController();
  t.after(() => gone.abort());
  const answer = await fetch(`${registry.url}/v1/mesh/sight/tap`, {
    ...{ method: "POST", body: JSON.stringify(body), signal: gone.signal },
  });
  const lines: unknown[] = [];
  let ended = false;
  const input = Readable.fromWeb(answer.body as never);
  const reader = createInterface({ input });
  for (const each of [input, reader]) each.on("error", () => undefined);
  reader.on("line", (line) => lines.push(JSON.parse(line)));
  reader.on("close", () => {
    ended = true;
  });
  return { answer, lines, ended: () => ended, leave: () => gone.abort() };
}

test("the reports of all daemons make one of the mesh, with what only the registry knows", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/services/shop/idle", {});
  await call(registry, "PUT", "/v1/mesh/endpoints/b/api-1", {
    ...{ service: "api", namespace: "shop", address: "10.0.0.1", port: 80 },
  });
  await call(registry, "PUT", "/v1/mesh/workloads/shop/lost", {
    ...{ host: "c", addresses: ["10.0.0.7"], serviceAccount: "lost" },
  });
  const flow = flowReport({ requests: 30, recent: 20 });
  const endpoint = endpointReport({ id: "b/api-1", requests: 30, recent: 20 });
  const served = flowReport({ ...flow, entry: "mesh", reporter: "destination" });
  await answeringDaemon(
    t,
    registry.url,
    "a",
    reporting("a", { flows: [flow], endpoints: [endpoint] }),
  );
  await answeringDaemon(t, registry.url, "b", reporting("not-b", { flows: [served] }));
  const report = await reportOf(registry);
  const row = (list: string, ...fields: string[]) =>
    (dig(report, list) as unknown[]).map((one) => fields.map((field) => dig(one, field)));
  assert.deepEqual(row("services", "service", "requests", "rps", "endpoints.0.id"), [
    ["shop/api", 30, 2, "b/api-1"],
    ["shop/idle", 0, 0, undefined],
  ]);
  assert.deepEqual(row("edges", "source", "destination", "secured"), [
    ["shop/web", "shop/api", true],
  ]);
  assert.deepEqual(row("hosts", "host", "state", "figures.requests"), [
    ["a", "reporting", 30],
    ["b", "reporting", 30],
    ["c", "gone", 0],
  ]);
  assert.equal(dig(report, "services.0.endpoints.0.requests"), 30);
  const own = await call(registry, "GET", "/v1/mesh/sight/hosts/b/report");
  assert.equal(dig(own.body, "host"), "b", "a daemon speaks for its own host");
  assert.equal((await call(registry, "GET", "/v1/mesh/sight/hosts/c/report")).status, 503);
  assert.equal((await call(registry, "GET", "/v1/mesh/sight/hosts/d/report")).status, 404);
});

test("nothing is asked while nobody looks, and not more than once a second by how many ever", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { clock: time });
  const daemon = await answeringDaemon(t, registry.url, "a", reporting("a"));
  await watching(registry, 1);
  assert.equal(daemon.asked("report").length, 0);
  await Promise.all(Array.from({ length: 20 }, () => reportOf(registry)));
  time.advance(999);
  await reportOf(registry);
  assert.equal(daemon.asked("report").length, 1);
  time.advance(1);
  await reportOf(registry);
  assert.equal(daemon.asked("report").length, 2);
});

test("whoever watches is told again and again, by one timer for all, until the end", async (t) => {
  const registry = await testRegistry(t);
  await answeringDaemon(t, registry.url, "a", reporting("a"));
  const seen: number[] = [];
  const end = registry.sight.watch(1, (report) => seen.push(report.atMs));
  const others: number[] = [];
  const endOther = registry.sight.watch(1, (report) => others.push(report.atMs));
  await until(() => others.length > 20);
  end();
  endOther();
  const before = seen.length;
  assert.ok(before > 19);
  assert.ok(new Set(seen).size < 5, "what is not a second old is not made anew");
  await reportOf(registry);
  assert.equal(seen.length, before);
});

test("a slow daemon holds nobody up: it is silent, and its last report stays for ten seconds", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { clock: time, timers: time });
  const quick = await answeringDaemon(t, registry.url, "a", reporting("a"));
  const slow = await answeringDaemon(t, registry.url, "b");
  await watching(registry, 2);
  const states = (report: unknown) =>
    (dig(report, "hosts") as unknown[]).map((host) => [dig(host, "state"), dig(host, "uptimeMs")]);
  /** Lets so much time pass while the report is made. */
  const reportIn = async (ms: number, [ofQuick, ofSlow] = [1, 1]) => {
    const asked = reportOf(registry);
    await until(() => quick.asked("report").length === ofQuick);
    await until(() => slow.asked("report").length === ofSlow);
    await quick.heard();
    time.advance(ms);
    return asked;
  };
  assert.deepEqual(states(await reportIn(2_000)), [
    ["reporting", 5_000],
    ["silent", null],
  ]);
  // Late, but not lost: and it was not asked a second time meanwhile.
  slow.answer(1, reporting("b").report());
  await slow.heard();
  time.advance(1_000);
  assert.deepEqual(states(await reportIn(2_000, [2, 2])), [
    ["reporting", 5_000],
    ["silent", 5_000],
  ]);
  time.advance(5_001);
  assert.deepEqual(states(await reportIn(2_000, [3, 2])), [
    ["reporting", 5_000],
    ["silent", null],
  ]);
});

test("an old daemon is not asked, and is told of nothing that it does not know", async (t) => {
  const registry = await testRegistry(t);
  const old = await RawWatch.open(t, registry.url);
  old.hello({ host: "a" });
  await old.next("welcome");
  assert.equal(dig(await reportOf(registry), "hosts.0.state"), "old");
  const config = await call(registry, "GET", "/v1/mesh/sight/hosts/a/config");
  assert.equal(config.status, 503);
  assert.match(String(dig(config.body, "error")), /older version/);
  assert.equal(old.ofType("ask").length, 0);
});

test("a report that is none leaves its host silent and the others as they are", async (t) => {
  const registry = await testRegistry(t);
  await answeringDaemon(t, registry.url, "a", reporting("a"));
  await answeringDaemon(t, registry.url, "b", { report: () => ({ host: "b", flows: "many" }) });
  const report = await reportOf(registry);
  assert.deepEqual(
    [dig(report, "hosts.0.state"), dig(report, "hosts.1.state")],
    ["reporting", "silent"],
  );
});

test("a daemon that answers what it was not asked, or garbage, is cut off", async (t) => {
  const registry = await testRegistry(t);
  for (const wrong of [
    { type: "answer", id: 1, part: 0, last: true, body: "{}" },
    { type: "answer", id: 0, part: 0, last: true, body: "{}" },
    { type: "answer", id: 1, part: 0, last: true, body: "x".repeat(200_000) },
    { type: "answer", id: 1, part: 0, last: true, body: {} },
  ]) {
    const daemon = await answeringDaemon(t, registry.url, "a");
    daemon.watch.send(wrong);
    assert.equal(await daemon.watch.closed(), 1008, JSON.stringify(wrong).slice(0, 80));
  }
  for (const body of ["{", "", "[1,"]) {
    const daemon = await answeringDaemon(t, registry.url, "a");
    const asked = call(registry, "GET", "/v1/mesh/sight/hosts/a/config");
    await until(() => daemon.asked("config").length === 1);
    daemon.watch.send({ type: "answer", id: 1, part: 0, last: true, body });
    assert.equal(await daemon.watch.closed(), 1008);
    assert.equal((await asked).status, 503);
  }
});

test("a question reaches the daemon of its host, and the answer or its refusal comes back", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/workloads/shop/web", {
    ...{ host: "b", addresses: ["10.0.0.7"], serviceAccount: "web" },
  });
  await answeringDaemon(t, registry.url, "a", {
    ...reporting("a"),
    config: () => ({ revision: 3 }),
    logging: (question) => question,
    explain: () => "a",
  });
  const other = await answeringDaemon(t, registry.url, "b", { explain: () => "b" });
  const config = await call(registry, "GET", "/v1/mesh/sight/hosts/a/config");
  assert.deepEqual(config.body, { revision: 3 });
  const level = { level: "debug" };
  const logging = await call(registry, "PUT", "/v1/mesh/sight/hosts/a/logging", level);
  assert.deepEqual(logging.body, { kind: "logging", ...level });
  const explain = (body: object) => call(registry, "POST", "/v1/mesh/sight/explain", body);
  assert.equal((await explain({ host: "a", request: {} })).body, "a");
  for (const source of ["shop/web", "10.0.0.7"]) {
    assert.equal((await explain({ request: { source } })).body, "b", source);
  }
  assert.equal((await explain({ request: { source: "no/body" } })).body, "a", "one that reports");
  const refused = call(registry, "GET", "/v1/mesh/sight/hosts/b/config");
  await until(() => other.asked("config").length === 1);
  const [id = 0] = other.asked("config");
  other.watch.send({ type: "answer", id, part: 0, last: true, error: "unknown question" });
  assert.deepEqual(
    [(await refused).status, (await refused).body],
    [502, { error: "unknown question" }],
  );
  assert.equal((await call(registry, "GET", "/v1/mesh/sight/hosts/c/config")).status, 404);
  assert.equal((await explain({ request: 1 })).status, 400);
});

test("a tap shows what the daemons send, and ends with whoever looks", async (t) => {
  const registry = await testRegistry(t);
  const [a, b] = [
    await answeringDaemon(t, registry.url, "a"),
    await answeringDaemon(t, registry.url, "b"),
  ];
  const { answer, lines, leave } = await tap(t, registry, { filter: { status: "5xx" } });
  assert.equal(answer.headers.get("content-type"), "application/x-ndjson");
  await until(() => a.asked("tap").length + b.asked("tap").length === 2);
  assert.deepEqual(dig(a.watch.ofType("ask")[0], "question"), {
    ...{ kind: "tap", filter: { status: "5xx" } },
    limits: { perSecond: 100, durationMs: 600_000 },
  });
  a.answer(1, [tapItem("a", "/1"), { type: "skipped", host: "a", events: 3 }], { more: true });
  await until(() => lines.length === 2);
  b.answer(1, [tapItem("a", "/2")], { more: true });
  await until(() => lines.length === 3);
  assert.deepEqual(
    lines.map((line) => dig(line, "event.path") ?? dig(line, "events")),
    ["/1", 3, "/2"],
  );
  assert.equal(dig(lines[2], "event.host"), "b", "a daemon speaks for its own host");
  leave();
  await a.watch.next("ask-end");
  await b.watch.next("ask-end");
});

test("a daemon that vanishes during a tap ends only its own part", async (t) => {
  const registry = await testRegistry(t);
  const [a, b] = [
    await answeringDaemon(t, registry.url, "a"),
    await answeringDaemon(t, registry.url, "b"),
  ];
  const { lines, ended } = await tap(t, registry, { filter: {}, hosts: ["a", "b"] });
  await until(() => a.asked("tap").length + b.asked("tap").length === 2);
  a.watch.socket.terminate();
  await watching(registry, 1);
  b.answer(1, [tapItem("b", "/1")], { more: true });
  await until(() => lines.length === 1);
  assert.equal(ended(), false);
  b.watch.socket.terminate();
  await until(ended);
  assert.deepEqual(lines[1], { type: "error", error: "the daemon is gone" });
});

test("a tap ends by itself, and a daemon whose events are none is cut off", async (t) => {
  const registry = await testRegistry(t);
  const daemon = await answeringDaemon(t, registry.url, "a");
  const short = await tap(t, registry, { filter: {}, limits: { durationMs: 20 } });
  await until(short.ended);
  assert.deepEqual(short.lines, []);
  await daemon.watch.next("ask-end");
  const wrong = await tap(t, registry, { filter: {} });
  await until(() => daemon.asked("tap").length === 2);
  daemon.answer(2, [{ type: "event", event: { path: "/" } }], { more: true });
  await until(wrong.ended);
  await daemon.watch.closed();
});

test("what is wrong with a tap's request is said before anybody is asked", async (t) => {
  const registry = await testRegistry(t);
  const statusOf = async (body: unknown) =>
    (await call(registry, "POST", "/v1/mesh/sight/tap", body)).status;
  for (const body of [
    {},
    { filter: { sourc: "shop/web" } },
    { filter: { status: "6xx" } },
    { filter: { source: "" } },
    { filter: {}, limits: { perSecond: 0 } },
    { filter: {}, limits: { perSecond: 1_001 } },
    { filter: {}, limits: { durationMs: 3_600_001 } },
    { filter: {}, hosts: [] },
  ]) {
    assert.equal(await statusOf(body), 400, JSON.stringify(body));
  }
  assert.equal(await statusOf({ filter: {} }), 503, "no daemon watches");
  assert.equal(await statusOf({ filter: {}, hosts: ["nobody"] }), 404);
});

test("so many taps may be open and no more", async (t) => {
  const registry = await testRegistry(t);
  await answeringDaemon(t, registry.url, "a");
  await answeringDaemon(t, registry.url, "b");
  const taps = await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      tap(t, registry, { filter: {}, hosts: [index % 2 === 0 ? "a" : "b"] }),
    ),
  );
  const { status } = await call(registry, "POST", "/v1/mesh/sight/tap", { filter: {} });
  assert.equal(status, 503);
  for (const one of taps) one.leave();
});

test("on TLS neither a host nor a stranger may look", async (t) => {
  const registry = await secureRegistry(t);
  const { credential } = await enrol(registry, "a");
  const calls: [string, string, unknown?][] = [
    ["GET", "/v1/mesh/sight/report"],
    ["GET", "/v1/mesh/sight/hosts/a/report"],
    ["GET", "/v1/mesh/sight/hosts/a/config"],
    ["PUT", "/v1/mesh/sight/hosts/a/logging", {}],
    ["POST", "/v1/mesh/sight/explain", { request: {} }],
    ["POST", "/v1/mesh/sight/tap", { filter: {} }],
  ];
  for (const [method, path, body] of calls) {
    assert.equal((await callTls(registry.tlsUrl, method, path, body)).status, 401, path);
    const asHost = await callTls(registry.tlsUrl, method, path, body, credential);
    assert.equal(asHost.status, 403, path);
  }
});
