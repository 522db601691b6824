import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { RawWatch } from "./raw-watch.ts";
import { call, dig, testRegistry } from "./setup.ts";

type Registry = { readonly url: string };
const put = (registry: Registry, name: string, meta: Record<string, string> = {}) =>
  call(registry, "PUT", `/v1/mesh/services/default/${name}`, { meta });
const daemons = async (registry: Registry) =>
  dig((await call(registry, "GET", "/v1/mesh/status")).body, "daemons");
const keys = (update: unknown) => {
  const changes = dig(update, "changes");
  assert.ok(Array.isArray(changes));
  return changes.map((change) => `${dig(change, "kind")} ${dig(change, "key")}`).sort();
};

/** A registry with one service, and a daemon that has acknowledged it at revision 2. */
async function currentWatch(t: TestContext) {
  const registry = await testRegistry(t);
  await put(registry, "a");
  const watch = await RawWatch.open(t, registry.url);
  watch.hello();
  await watch.next("update");
  watch.send({ type: "ack", revision: 2 });
  return { registry, watch };
}

test("a new daemon gets a welcome, its checks and a snapshot; then deltas, one at a time", async (t) => {
  const registry = await testRegistry(t);
  await put(registry, "a");
  const watch = await RawWatch.open(t, registry.url);
  watch.hello();
  const welcome = await watch.next("welcome");
  assert.equal(dig(welcome, "revision"), 2);
  assert.equal(dig(welcome, "pingMs"), 5_000);
  assert.deepEqual(dig(await watch.next("checks"), "checks"), []);
  const snapshot = await watch.next("update");
  assert.deepEqual(
    ["from", "to", "full", "part", "last"].map((name) => dig(snapshot, name)),
    [0, 2, true, 0, true],
  );
  assert.deepEqual(keys(snapshot), ["service default/a"]);
  await put(registry, "b");
  await put(registry, "c");
  assert.equal(watch.ofType("update").length, 1, "nothing more before the answer");
  watch.send({ type: "ack", revision: 2 });
  const delta = await watch.next("update", 1);
  assert.deepEqual([dig(delta, "from"), dig(delta, "to"), dig(delta, "full")], [2, 4, false]);
  assert.deepEqual(keys(delta), ["service default/b", "service default/c"]);
  watch.send({ type: "ack", revision: 4 });
  await call(registry, "DELETE", "/v1/mesh/services/default/b");
  const removal = await watch.next("update", 2);
  assert.equal(dig(removal, "changes.0.value"), null);
  await until(async () => dig(await daemons(registry), "0.revision") === 4);
});

test("a daemon that comes back gets what it missed, also from a registry that was restarted", async (t) => {
  const registry = await testRegistry(t);
  await put(registry, "a");
  const first = await RawWatch.open(t, registry.url);
  first.hello();
  const epoch = String(dig(await first.next("welcome"), "epoch"));
  await put(registry, "b");
  await put(registry, "c");
  const current = await RawWatch.open(t, registry.url);
  current.hello({ epoch, revision: 4 });
  assert.equal(dig(await current.next("welcome"), "revision"), 4);
  const behind = await RawWatch.open(t, registry.url);
  behind.hello({ epoch, revision: 3 });
  const delta = await behind.next("update");
  assert.deepEqual(
    [dig(delta, "from"), dig(delta, "full"), keys(delta)],
    [3, false, ["service default/c"]],
  );
  assert.equal(current.ofType("update").length, 0, "who is current gets nothing");
});

test("a revision of another store, of the future, or too old gets a snapshot", async (t) => {
  const registry = await testRegistry(t, { maxLogEntries: 10, behindMs: 50 });
  const probe = await RawWatch.open(t, registry.url);
  probe.hello();
  const epoch = String(dig(await probe.next("welcome"), "epoch"));
  for (let index = 0; index < 30; index++) await put(registry, "a", { index: String(index) });
  for (const facts of [
    { epoch: "another", revision: 20 },
    { epoch, revision: 1_000 },
  ]) {
    const watch = await RawWatch.open(t, registry.url);
    watch.hello(facts);
    assert.equal(dig(await watch.next("update"), "full"), true);
  }
});

test("a revision that neither memory nor the log reaches gets a snapshot", async (t) => {
  const registry = await testRegistry(t, { maxLogEntries: 10 });
  const probe = await RawWatch.open(t, registry.url);
  probe.hello();
  const epoch = String(dig(await probe.next("welcome"), "epoch"));
  for (let index = 0; index < 30; index++) await put(registry, "a", { index: String(index) });
  // 30,000 changes in few revisions push the older ones out of memory.
  for (let part = 0; part < 3; part++) {
    const workloads = Array.from({ length: 10_000 }, (_, index) => ({
      name: `w${part}-${index}`,
      addresses: [`10.${part}.${index >> 8}.${index & 255}`],
    }));
    await call(registry, "POST", "/v1/mesh/apply", { workloads });
  }
  const watch = await RawWatch.open(t, registry.url);
  watch.hello({ epoch, revision: 20 });
  const first = await watch.next("update");
  assert.equal(dig(first, "full"), true);
  assert.equal(dig(first, "last"), false);
  await until(() => dig(watch.ofType("update").at(-1), "last") === true, { what: "the last part" });
  const parts = watch.ofType("update");
  assert.deepEqual(
    parts.map((part) => dig(part, "part")),
    parts.map((_, index) => index),
  );
  assert.equal(parts.flatMap((part) => keys(part)).length, 30_001);
  assert.ok(
    Math.max(...watch.sizes) < 400_000,
    `largest message ${Math.max(...watch.sizes)} bytes`,
  );
});

test("a refused revision is recorded and tried again only with a newer one", async (t) => {
  const { registry, watch } = await currentWatch(t);
  await put(registry, "bad");
  await watch.next("update", 1);
  watch.send({ type: "nack", revision: 3, reason: "no such thing" });
  await until(async () => dig(await daemons(registry), "0.refusal") !== null);
  const [status] = [dig(await daemons(registry), "0")];
  assert.equal(dig(status, "revision"), 2);
  assert.deepEqual(dig(status, "refusal"), { revision: 3, reason: "no such thing" });
  assert.equal(watch.ofType("update").length, 2);
  await put(registry, "good");
  const again = await watch.next("update", 2);
  assert.deepEqual([dig(again, "from"), dig(again, "to")], [2, 4]);
  assert.deepEqual(keys(again), ["service default/bad", "service default/good"]);
  watch.send({ type: "ack", revision: 4 });
  await until(async () => dig(await daemons(registry), "0.refusal") === null);
});

test("a daemon that lost track gets everything, and one that does so without end is cut off", async (t) => {
  const { registry, watch } = await currentWatch(t);
  watch.send({ type: "resync", reason: "the digest differs" });
  assert.equal(dig(await watch.next("update", 1), "full"), true);
  await until(async () => dig(await daemons(registry), "0.resyncs") === 1);
  for (let index = 0; index < 10; index++) watch.send({ type: "resync", reason: "again" });
  await watch.closed();
});

/** Message -> why it is no good. The watch is closed, and nothing else is affected. */
const garbled: [string, unknown][] = [
  ["no JSON", "{"],
  ["no object", "[]"],
  ["an unknown type", { type: "shout" }],
  ["an ack without a revision", { type: "ack" }],
  [
    "a second hello",
    { type: "hello", protocol: 1, host: "h1", zone: "", version: "", epoch: "", revision: 0 },
  ],
  ["results of a bad status", { type: "results", results: [{ check: "h1/x", status: "fine" }] }],
  [
    "results without end",
    { type: "results", results: Array(1_001).fill({ check: "x", status: "passing" }) },
  ],
];
for (const [what, message] of garbled) {
  test(`a daemon that sends ${what} is cut off with 1008`, async (t) => {
    const registry = await testRegistry(t);
    const good = await RawWatch.open(t, registry.url);
    good.hello({ host: "good" });
    await good.next("update");
    const bad = await RawWatch.open(t, registry.url);
    bad.hello({ host: "bad" });
    await bad.next("welcome");
    bad.send(message);
    assert.equal(await bad.closed(), 1008);
    await until(async () => dig(await daemons(registry), "1") === undefined);
    assert.equal(dig(await daemons(registry), "0.host"), "good");
    assert.equal(good.closeCode, 0);
  });
}

test("messages before the hello, of another protocol, binary or too large close the watch", async (t) => {
  const registry = await testRegistry(t);
  const early = await RawWatch.open(t, registry.url);
  early.send({ type: "ack", revision: 1 });
  assert.equal(await early.closed(), 1008);
  const other = await RawWatch.open(t, registry.url);
  other.send({
    type: "hello",
    protocol: 2,
    host: "h1",
    zone: "",
    version: "",
    epoch: "",
    revision: 0,
  });
  assert.equal(await other.closed(), 1008);
  const binary = await RawWatch.open(t, registry.url);
  binary.socket.send(new Uint8Array([1, 2, 3]));
  assert.equal(await binary.closed(), 1008);
  const large = await RawWatch.open(t, registry.url);
  large.hello();
  large.send({ type: "resync", reason: "x".repeat(2_000_000) });
  assert.equal(await large.closed(), 1009);
});

test("a daemon that says nothing, answers nothing, or is silent is cut off in time", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, {
    clock: time,
    timers: time,
    answerMs: 7_000,
    pingMs: 5_000,
  });
  const mute = await RawWatch.open(t, registry.url);
  const idle = await RawWatch.open(t, registry.url);
  idle.hello();
  await idle.next("update");
  time.advance(6_900);
  assert.equal(mute.closeCode, 0);
  assert.equal(idle.closeCode, 0);
  time.advance(200);
  await mute.closed();
  await idle.closed();
  const silent = await RawWatch.open(t, registry.url);
  silent.hello();
  await silent.next("update");
  silent.send({ type: "ack", revision: 1 });
  await until(async () => dig(await daemons(registry), "0.revision") === 1);
  silent.socket.pause();
  time.advance(14_000);
  assert.equal(silent.closeCode, 0);
  time.advance(7_000);
  silent.socket.resume();
  await silent.closed();
});

test("a slow reader costs one part of one update, is cut off, and gets a snapshot when it is back", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { clock: time, timers: time, answerMs: 7_000 });
  const bulk = (round: number) =>
    call(registry, "POST", "/v1/mesh/apply", {
      services: Array.from({ length: 1_000 }, (_, index) => ({
        name: `s${index}`,
        meta: {
          filler: "x".repeat(512),
          more: "y".repeat(512),
          still: "z".repeat(512),
          round: `${round}`,
        },
      })),
    });
  const slow = await RawWatch.open(t, registry.url);
  slow.hello({ host: "slow" });
  await slow.next("update");
  slow.send({ type: "ack", revision: 1 });
  await until(async () => dig(await daemons(registry), "0.revision") === 1);
  slow.socket.pause();
  let most = 0;
  for (let round = 0; round < 12; round++) {
    await bulk(round);
    most = Math.max(most, Number(dig(await daemons(registry), "0.bufferedBytes")));
  }
  assert.ok(most < 1_048_576, `${most} bytes were waiting for it, of 20 MB of changes`);
  time.advance(8_000);
  await until(async () => dig(await daemons(registry), "0") === undefined, { what: "the cut" });
  const back = await RawWatch.open(t, registry.url);
  back.hello({ host: "slow" });
  const first = await back.next("update");
  assert.equal(dig(first, "full"), true);
});

test("a daemon that is current is sent the digest now and then", async (t) => {
  const registry = await testRegistry(t, { digestMs: 5 });
  await put(registry, "a");
  const watch = await RawWatch.open(t, registry.url);
  watch.hello();
  await watch.next("update");
  assert.equal(watch.ofType("digest").length, 0, "not before it has answered");
  watch.send({ type: "ack", revision: 2 });
  const digest = await watch.next("digest");
  const status = await call(registry, "GET", "/v1/mesh/status");
  assert.equal(dig(digest, "digest"), dig(status.body, "digest"));
  assert.match(String(dig(digest, "digest")), /^[0-9a-f]{16}$/);
});

test("watches beyond the limit get 503", async (t) => {
  const registry = await testRegistry(t, { maxWatchers: 1 });
  await RawWatch.open(t, registry.url);
  await assert.rejects(RawWatch.open(t, registry.url), /503/);
});

test("http and tcp checks go to the daemon of their host, and its results come back", async (t) => {
  const registry = await testRegistry(t);
  const here = await RawWatch.open(t, registry.url);
  here.hello({ host: "h1" });
  const there = await RawWatch.open(t, registry.url);
  there.hello({ host: "h2" });
  await there.next("checks");
  await here.next("checks");
  await call(registry, "PUT", "/v1/agent/service/register?node=h2", {
    ...{ Name: "web", Address: "10.0.0.2", Port: 80 },
    Checks: [
      { HTTP: "http://10.0.0.2/health", Interval: "10s" },
      { TTL: "1m", Status: "passing" },
    ],
  });
  const checks = await there.next("checks", 1);
  assert.equal(dig(checks, "checks.0.id"), "service:web:1");
  assert.equal(dig(checks, "checks.0.spec.url"), "http://10.0.0.2/health");
  assert.equal(dig(checks, "checks.0.status"), "critical");
  assert.equal(dig(checks, "checks.1"), undefined, "a TTL is nothing to run");
  assert.equal(here.ofType("checks").length, 1);
  const health = async () =>
    dig((await call(registry, "GET", "/v1/mesh/endpoints")).body, "0.health");
  const results = [{ check: "h2/service:web:1", status: "passing", output: "200" }];
  here.send({ type: "results", results });
  here.send({ type: "resync", reason: "so that the results before it were read" });
  await until(async () => dig(await daemons(registry), "0.resyncs") === 1);
  assert.equal(await health(), "critical", "a daemon speaks for its own host only");
  there.send({ type: "results", results });
  await until(async () => (await health()) === "passing", { what: "the result to count" });
  await call(registry, "PUT", "/v1/agent/service/deregister/web?node=h2");
  await until(() => {
    const last = dig(there.ofType("checks").at(-1), "checks");
    return Array.isArray(last) && last.length === 0;
  });
});
