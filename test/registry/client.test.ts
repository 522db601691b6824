import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { WebSocketServer } from "ws";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { call, dig, keepingLog, tempFolder, testClient, testRegistry } from "./setup.ts";

const endpoint = { service: "web", address: "10.0.0.1", port: 8080 };

/** A registry played by hand: answers every hello with what it is given. */
async function fakeRegistry(t: TestContext, messages: readonly unknown[], autoPong = true) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", autoPong });
  const received: unknown[] = [];
  let dropped = 0;
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("close", () => dropped++);
    socket.on("message", (data: Buffer) => {
      const message: unknown = JSON.parse(data.toString("utf8"));
      received.push(message);
      if (dig(message, "type") !== "hello") return;
      for (const each of messages) {
        socket.send(typeof each === "string" ? each : JSON.stringify(each));
      }
    });
  });
  await once(server, "listening");
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, received, dropped: () => dropped };
}

const workload = (name: string, version: number) => ({
  kind: "workload",
  key: `default/${name}`,
  version,
  value: { name, namespace: "default", serviceAccount: "sa", host: "h1", addresses: ["10.0.0.1"] },
});
const welcome = { type: "welcome", epoch: "e1", revision: 5, pingMs: 5_000 };
const update = (facts: object) => ({
  type: "update",
  ...{ from: 0, to: 5, full: true, part: 0, last: true, changes: [] },
  ...facts,
});

test("a change reaches a connected client in less than 100 ms", async (t) => {
  const registry = await testRegistry(t);
  const { client, records } = await testClient(t, [registry.url]);
  await client.start();
  await until(() => client.state().connected && client.state().revision === 1);
  const times: number[] = [];
  for (let index = 0; index < 20; index++) {
    const start = performance.now();
    const reply = call(registry, "PUT", `/v1/mesh/endpoints/h1/web-${index}`, endpoint);
    while (!records.has(`endpoint h1/web-${index}`)) {
      if (performance.now() - start > 5_000) throw new Error("the change never came");
      await new Promise((resolve) => setImmediate(resolve));
    }
    times.push(performance.now() - start);
    await reply;
  }
  times.sort((a, b) => a - b);
  const [median = 0, worst = 0] = [times[10], times[19]];
  t.diagnostic(`request to client: median ${median.toFixed(1)} ms, worst ${worst.toFixed(1)} ms`);
  assert.ok(median < 100, `median ${median} ms`);
});

test("a client follows the registry and holds exactly what is there", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/endpoints/h1/web-1", endpoint);
  const { client, records, updates } = await testClient(t, [registry.url]);
  await client.start();
  await until(() => records.has("endpoint h1/web-1"));
  assert.deepEqual(updates, [{ revision: 2, full: true, changes: 2 }]);
  await call(registry, "PUT", "/v1/mesh/workloads/default/w", { addresses: ["10.1.0.1"] });
  await call(registry, "DELETE", "/v1/mesh/endpoints/h1/web-1");
  await until(() => client.state().revision === 4);
  assert.deepEqual([...records.keys()], ["workload default/w"]);
  const status = await call(registry, "GET", "/v1/mesh/status");
  await until(async () => {
    const { body } = await call(registry, "GET", "/v1/mesh/status");
    return dig(body, "daemons.0.revision") === 4;
  });
  assert.equal(client.state().epoch, dig(status.body, "epoch"));
  assert.ok(client.state().ageMs < 1_000);
});

test("the client serves on while the registry is gone, and takes up where it left", async (t) => {
  const dataDir = await tempFolder(t);
  const first = await testRegistry(t, { dataDir });
  await call(first, "PUT", "/v1/mesh/endpoints/h1/web-1", endpoint);
  const { client, records, updates } = await testClient(t, [first.url]);
  await client.start();
  await until(() => client.state().revision === 2);
  await first.close();
  await until(() => !client.state().connected);
  assert.equal(records.size, 2);
  await until(() => client.state().lastError !== null);
  const second = await testRegistry(t, { dataDir, port: first.port });
  await call(second, "PUT", "/v1/mesh/endpoints/h1/web-2", endpoint);
  await until(() => records.has("endpoint h1/web-2"), { what: "the change after the restart" });
  assert.equal(updates.filter(({ full }) => full).length, 1, "a restart costs no snapshot");
  assert.equal(client.state().lastError, null);
});

test("another store behind the same address replaces everything", async (t) => {
  const first = await testRegistry(t);
  await call(first, "PUT", "/v1/mesh/endpoints/h1/old", endpoint);
  const { client, records } = await testClient(t, [first.url]);
  await client.start();
  await until(() => client.state().revision === 2);
  await first.close();
  const second = await testRegistry(t, { port: first.port });
  await call(second, "PUT", "/v1/mesh/endpoints/h1/new", { ...endpoint, service: "api" });
  await until(() => records.has("endpoint h1/new"));
  assert.deepEqual([...records.keys()].sort(), ["endpoint h1/new", "service default/api"]);
});

test("registries are tried in turn until one answers", async (t) => {
  const registry = await testRegistry(t);
  const closed = await testRegistry(t);
  await closed.close();
  const { client } = await testClient(t, [closed.url, registry.url]);
  await client.start();
  await until(() => client.state().connected);
  assert.equal(client.state().url, registry.url);
});

test("the saved snapshot is served before, and without, a registry", async (t) => {
  const snapshotPath = join(await tempFolder(t), "snapshot.json");
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/endpoints/h1/web-1", endpoint);
  const before = await testClient(t, [registry.url], { snapshotPath });
  await before.client.start();
  await until(() => before.client.state().revision === 2);
  await before.client.stop();
  assert.equal((await stat(snapshotPath)).mode & 0o777, 0o600);
  await registry.close();
  const after = await testClient(t, [registry.url], { snapshotPath });
  await after.client.start();
  assert.deepEqual(after.records, before.records);
  assert.equal(after.client.state().revision, 2);
  assert.equal(after.client.state().connected, false);
});

test("a saved snapshot that is broken, cut short, changed or foreign is reported and ignored", async (t) => {
  const snapshotPath = join(await tempFolder(t), "snapshot.json");
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/endpoints/h1/web-1", endpoint);
  const good = await testClient(t, [registry.url], { snapshotPath });
  await good.client.start();
  await until(() => good.client.state().revision === 2);
  await good.client.stop();
  const saved = await readFile(snapshotPath, "utf8");
  for (const text of [
    "",
    "{",
    "null",
    '{"format":"other"}',
    saved.slice(0, -10),
    saved.replace('"version":2', '"version":1'),
    saved.replace("8080", '"8080"'),
  ]) {
    await writeFile(snapshotPath, text);
    const log = keepingLog();
    const { client, records } = await testClient(t, ["http://127.0.0.1:1"], { snapshotPath, log });
    await client.start();
    assert.equal(records.size, 0);
    assert.equal(client.state().revision, 0);
    assert.ok(log.lines.some(({ message }) => message === "the saved snapshot is ignored"));
    await client.stop();
  }
});

test("what the daemon refuses is kept out, told to the registry, and mended by a later revision", async (t) => {
  const registry = await testRegistry(t);
  const seen: string[][] = [];
  const { client } = await testClient(t, [registry.url], {
    onUpdate(changes) {
      if (changes.some(({ value, key }) => value !== null && key.endsWith("/bad"))) {
        throw new Error("bad is not for us");
      }
      seen.push(changes.map(({ key }) => key));
    },
  });
  await client.start();
  await until(() => client.state().revision === 1);
  await call(registry, "PUT", "/v1/mesh/services/default/bad", {});
  await until(() => client.state().rejected !== null);
  assert.deepEqual(client.state().rejected, { revision: 2, reason: "bad is not for us" });
  assert.equal(client.state().revision, 1);
  const { body } = await call(registry, "GET", "/v1/mesh/status");
  assert.equal(dig(body, "daemons.0.refusal.reason"), "bad is not for us");
  await call(registry, "PUT", "/v1/mesh/services/default/good", {});
  await until(() => client.state().rejected?.revision === 3);
  await call(registry, "DELETE", "/v1/mesh/services/default/bad");
  await until(() => client.state().revision === 4);
  assert.equal(client.state().rejected, null);
  assert.deepEqual(seen.at(-1)?.sort(), ["default/bad", "default/good"]);
});

test("nothing of a snapshot is applied before its last part", async (t) => {
  const parts = [
    update({ last: false, changes: [workload("a", 2)] }),
    update({ part: 1, last: false, changes: [workload("b", 3)] }),
  ];
  const half = await fakeRegistry(t, [welcome, ...parts]);
  const { client, updates } = await testClient(t, [half.url]);
  await client.start();
  await until(() => client.state().connected);
  const gone = await fakeRegistry(t, [
    welcome,
    ...parts,
    update({ part: 2, changes: [workload("c", 4)] }),
  ]);
  const whole = await testClient(t, [gone.url]);
  await whole.client.start();
  await until(() => whole.client.state().revision === 5);
  assert.deepEqual(
    [...whole.records.keys()],
    ["workload default/a", "workload default/b", "workload default/c"],
  );
  await until(() => gone.received.some((each) => dig(each, "type") === "ack"));
  assert.deepEqual(updates, []);
  assert.equal(client.state().revision, 0);
});

/** What a registry sends after its welcome -> the reason for which the client leaves it. */
const hostile: [string, readonly unknown[], RegExp][] = [
  ["no JSON", ["{"], /not of the protocol/],
  ["an unknown message", [{ type: "gift" }], /not of the protocol/],
  ["a second welcome", [welcome], /second welcome/],
  ["a part out of place", [update({ last: false }), update({ part: 2 })], /out of place/],
  ["parts of two steps", [update({ last: false }), update({ part: 1, to: 6 })], /out of place/],
  [
    "a record of a bad shape",
    [update({ changes: [{ ...workload("a", 1), value: { name: 1 } }] })],
    /not of the protocol/,
  ],
  [
    "a record of an unknown kind",
    [update({ changes: [{ ...workload("a", 1), kind: "secret" }] })],
    /not of the protocol/,
  ],
];
for (const [what, messages, reason] of hostile) {
  test(`a registry that sends ${what} is left, and nothing is applied`, async (t) => {
    const fake = await fakeRegistry(t, [welcome, ...messages]);
    const { client, updates } = await testClient(t, [fake.url]);
    await client.start();
    await until(() => reason.test(client.state().lastError ?? ""), { what: String(reason) });
    assert.deepEqual(updates, []);
  });
}

test("a delta that does not fit, and a digest that differs, lead to a resync", async (t) => {
  const fake = await fakeRegistry(t, [
    welcome,
    update({ changes: [workload("a", 2)] }),
    { type: "digest", revision: 5, digest: "0000000000000000" },
    update({ from: 5, to: 6, full: false, changes: [workload("late", 6)] }),
    update({ to: 7, changes: [workload("b", 7)] }),
    update({ from: 9, to: 10, full: false }),
  ]);
  const { client, records } = await testClient(t, [fake.url]);
  await client.start();
  await until(() => client.state().resyncs === 2);
  assert.deepEqual(
    [...records.keys()],
    ["workload default/b"],
    "what came before the snapshot is dropped",
  );
  const resyncs = () => fake.received.filter((each) => dig(each, "type") === "resync");
  await until(() => resyncs().length === 2);
  assert.match(String(dig(resyncs()[0], "reason")), /digest of revision 5 differs/);
  assert.match(String(dig(resyncs()[1], "reason")), /a step from 9, held is 7/);
});

test("the digests of registry and client agree, so that nobody resyncs without need", async (t) => {
  const registry = await testRegistry(t, { digestMs: 5 });
  const { client } = await testClient(t, [registry.url]);
  await client.start();
  for (let index = 0; index < 30; index++) {
    await call(registry, "PUT", `/v1/mesh/endpoints/h1/web-${index % 7}`, {
      ...endpoint,
      port: 1 + index,
    });
    if (index % 3 === 0) await call(registry, "DELETE", `/v1/mesh/endpoints/h1/web-${index % 7}`);
  }
  const { index } = await call(registry, "GET", "/v1/mesh/status");
  await until(() => client.state().revision === index);
  await call(registry, "GET", "/v1/mesh/endpoints");
  assert.equal(client.state().resyncs, 0);
});

test("results are sent again on a new connection, and forgotten with their check", async (t) => {
  const dataDir = await tempFolder(t);
  const first = await testRegistry(t, { dataDir });
  await call(first, "PUT", "/v1/mesh/endpoints/h1/web", {
    ...endpoint,
    checks: [{ tcp: "10.0.0.1:80" }],
  });
  const lists: number[] = [];
  const { client } = await testClient(t, [first.url], {
    onChecks: (checks) => lists.push(checks.length),
  });
  await client.start();
  await until(() => lists.at(-1) === 1);
  await first.close();
  await until(() => !client.state().connected);
  client.report([{ check: "h1/service:web", status: "passing", output: "" }]);
  const second = await testRegistry(t, { dataDir, port: first.port });
  await until(async () => {
    const { body } = await call(second, "GET", "/v1/mesh/endpoints");
    return dig(body, "0.health") === "passing";
  });
});

test("urls that are none are refused at once", async (t) => {
  for (const url of ["", "127.0.0.1:15010", "ftp://a/", "http://"]) {
    await assert.rejects(testClient(t, [url]), /is no http or https URL/);
  }
  await assert.rejects(testClient(t, []), /no registry is named/);
});

test("a registry that falls silent is left, and the age of what is held grows", async (t) => {
  const fake = await fakeRegistry(t, [{ ...welcome, pingMs: 20 }, update({})], false);
  const { client } = await testClient(t, [fake.url]);
  await client.start();
  await until(() => client.state().revision === 5);
  await until(() => /the registry is silent/.test(client.state().lastError ?? ""));
  const { ageMs } = client.state();
  assert.ok(ageMs >= 40, `${ageMs} ms`);
});

test("a registry that welcomes and drops is not stormed: the pauses grow", async (t) => {
  const fake = await fakeRegistry(t, [welcome, "{"]);
  const time = new FakeTime();
  const { client } = await testClient(t, [fake.url], {
    ...{ clock: time, timers: time, reconnectMinMs: 100, reconnectMaxMs: 1_000 },
  });
  await client.start();
  // With random 0.5: half of 100, 200, 400, 800, 1000, 1000 ms.
  for (const [index, pauseMs] of [50, 100, 200, 400, 500, 500].entries()) {
    // The registry sees the end of a connection after the client has ended it, so the only timer is the pause.
    await until(() => fake.dropped() === index + 1);
    assert.equal(fake.received.length, index + 1);
    assert.equal(time.pending(), 1);
    time.advance(pauseMs - 1);
    assert.equal(time.pending(), 1);
    time.advance(2);
    await until(() => fake.received.length === index + 2);
  }
});
