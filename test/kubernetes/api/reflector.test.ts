import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../src/core/random.ts";
import { until } from "../../helpers/until.ts";
import { hugePod, podOf, reflectorLab } from "./reflector-lab.ts";

test("everything is listed once in pages, then followed by a watch", async (t) => {
  const { server, mirror, reflector, watching } = await reflectorLab(t);
  for (let index = 0; index < 1_203; index++) server.apply(podOf(`p${index}`));
  assert.equal(reflector.state().synced, false);
  reflector.start();
  await watching(1);
  assert.equal(mirror.held.size, 1_203);
  assert.deepEqual(mirror.told, ["replaced 1203"]);
  assert.equal(server.count(/pods\?limit=500/), 3);
  server.apply(podOf("p7", { v: "2" }));
  server.remove(podOf("p8"));
  server.apply(podOf("new"));
  server.store.advance();
  server.bookmark();
  await until(() => mirror.told.length === 5);
  assert.deepEqual(mirror.told.slice(1), ["changed p7", "removed p8", "changed new", "progressed"]);
  assert.equal(mirror.held.get("p7")?.metadata.labels?.["v"], "2");
  const { resourceVersion, ...rest } = reflector.state();
  assert.equal(resourceVersion, String(server.store.version));
  assert.equal(mirror.newest, resourceVersion);
  assert.deepEqual(rest, { synced: true, lists: 1, relists: 0, lastError: null, sinceMs: 0 });
});

test("a watch that ends at its time goes on at once from the newest version, of bookmarks too", async (t) => {
  const { server, mirror, reflector, time, watching } = await reflectorLab(t);
  server.apply(podOf("a"));
  reflector.start();
  await watching(1);
  server.apply(podOf("b"));
  for (let count = 1; count <= 5; count++) server.store.advance();
  server.bookmark();
  await until(() => mirror.told.includes("progressed"));
  // What was before the bookmark is not needed any more.
  server.store.compact();
  time.advance(300_000);
  server.endWatches();
  await watching(2);
  server.apply(podOf("c"));
  await until(() => mirror.names === "a b c");
  assert.equal(reflector.state().lists, 1);
  const [, second] = server.calls.filter(({ query }) => query.has("watch"));
  assert.equal(second?.query.get("resourceVersion"), String(server.store.version - 1));
});

test("watches last 5 to 10 minutes, by chance", async (t) => {
  const { server, reflector, time, watching } = await reflectorLab(t, { random: seeded(3) });
  reflector.start();
  for (let count = 1; count <= 8; count++) {
    await watching(count);
    time.advance(10_000);
    server.endWatches();
  }
  await watching(9);
  const watches = server.calls.filter(({ query }) => query.has("watch"));
  const seconds = watches.map(({ query }) => Number(query.get("timeoutSeconds")));
  assert.ok(seconds.every((one) => one >= 300 && one < 600));
  assert.equal(new Set(seconds).size, seconds.length);
});

for (const goneAsEvent of [false, true]) {
  const how = goneAsEvent ? "an event" : "the status";
  test(`a gap in the history, told by ${how}, is closed by listing everything`, async (t) => {
    const { server, mirror, reflector, time, watching, paused } = await reflectorLab(t);
    server.goneAsEvent = goneAsEvent;
    server.apply(podOf("a"));
    server.apply(podOf("b"));
    reflector.start();
    await watching(1);
    time.advance(60_000);
    // While nobody watches, one goes, one comes, and the history is thrown away.
    server.fail(/watch=1/, { kind: "hang" });
    server.endWatches();
    await until(() => server.count(/watch=1/) === 2);
    server.remove(podOf("a"));
    server.apply(podOf("c"));
    server.store.compact();
    // That watch has hung.
    time.advance(330_000);
    time.advance(await paused());
    await watching(4);
    assert.equal(mirror.names, "b c");
    const { lists, relists, lastError } = reflector.state();
    assert.deepEqual([lists, relists, lastError], [2, 1, null]);
  });
}

test("a history that is gone again and again does not make the server be asked for everything all the time", async (t) => {
  const { server, reflector, time, paused } = await reflectorLab(t);
  server.fail(/watch=1/, { kind: "answer", status: 410 }, 3);
  reflector.start();
  for (const [index, expected] of [800, 1_600, 3_200].entries()) {
    assert.equal(await paused(), expected);
    assert.equal(reflector.state().lists, index + 1);
    time.advance(expected);
  }
  await until(() => server.watches() === 1);
});

test("a list whose pages grow too old is begun anew, and in the end asked for in one piece", async (t) => {
  const { server, mirror, reflector, watching } = await reflectorLab(t);
  for (let index = 0; index < 600; index++) server.apply(podOf(`p${index}`));
  server.fail(/continue=/, { kind: "answer", status: 410 }, 3);
  reflector.start();
  await watching(1);
  assert.equal(mirror.held.size, 600);
  assert.deepEqual(mirror.told, ["replaced 600"]);
  assert.equal(server.count(/pods\?limit=500$/), 3);
  assert.equal(server.count(/pods\?$/), 1);
});

test("pauses double from 0.8 s to 30 s, spread up to their double, and start again after a good watch", async (t) => {
  const lab = await reflectorLab(t);
  const { server, reflector, time, paused, watching } = lab;
  server.fail(/pods/, { kind: "answer", status: 500 }, 8);
  reflector.start();
  const pauses: number[] = [];
  for (let count = 1; count <= 8; count++) {
    pauses.push(await paused());
    time.advance(pauses.at(-1)!);
  }
  assert.deepEqual(pauses, [800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
  await watching(1);
  time.advance(5_000);
  server.resetWatches();
  assert.equal(await paused(), 800);
  assert.match(String(reflector.state().lastError), /other side closed|terminated|ECONNRESET/);
  time.advance(800);
  await watching(2);
  assert.equal(reflector.state().lists, 1);
  const { reflector: spread, ...other } = await reflectorLab(t, { server, random: () => 0.5 });
  server.fail(/pods/, { kind: "reset" });
  spread.start();
  assert.equal(await other.paused(), 1_200);
});

test("who gets no answer asks again within 5 s, or up to their double: what changed meanwhile is waited for", async (t) => {
  const { server, reflector, time, paused, watching } = await reflectorLab(t);
  server.fail(/pods/, { kind: "reset" }, 6);
  reflector.start();
  for (const expected of [800, 1_600, 3_200, 5_000, 5_000, 5_000]) {
    assert.equal(await paused(), expected);
    time.advance(expected);
  }
  await watching(1);
});

test("a server that ends watches as soon as they begin is asked ever less often", async (t) => {
  const { server, reflector, time, paused } = await reflectorLab(t);
  server.fail(/watch=1/, { kind: "bytes", text: "" }, 3);
  reflector.start();
  for (const expected of [800, 1_600, 3_200]) {
    assert.equal(await paused(), expected);
    assert.match(String(reflector.state().lastError), /ended as soon as/);
    time.advance(expected);
  }
  await until(() => server.watches() === 1);
});

test("a server that is gone and comes back misses nothing, and is not asked for everything", async (t) => {
  const lab = await reflectorLab(t);
  const { server, mirror, reflector, time, paused, watching, log } = lab;
  server.apply(podOf("a"));
  reflector.start();
  await watching(1);
  time.advance(20_000);
  const { port } = server;
  await server.stop();
  time.advance(await paused());
  time.advance(await paused());
  await paused();
  assert.equal(mirror.names, "a", "what is known stays in use");
  assert.equal(reflector.state().sinceMs, 800 + 1_600);
  assert.match(String(reflector.state().lastError), /no answer of the API server.*ECONNREFUSED/);
  server.apply(podOf("b"));
  server.remove(podOf("a"));
  await server.listen(port);
  time.advance(await paused());
  await until(() => mirror.names === "b");
  const { lists, lastError, sinceMs } = reflector.state();
  assert.deepEqual([lists, lastError, sinceMs], [1, null, 0]);
  const said = log.lines.filter(({ level }) => level !== "debug");
  assert.deepEqual(
    said.map(({ message }) => message),
    [
      "not watching: what is known stays in use",
      "not watching: what is known stays in use",
      "watching again",
    ],
  );
});

test("a watch without a byte for longer than its time is given up", async (t) => {
  const { server, mirror, reflector, time, watching, paused } = await reflectorLab(t);
  reflector.start();
  await watching(1);
  time.advance(329_999);
  assert.equal(server.watches(), 1);
  time.advance(1);
  time.advance(await paused());
  await watching(2);
  server.apply(podOf("a"));
  await until(() => mirror.names === "a");
  assert.equal(reflector.state().lists, 1);
});

test("garbled events end the watch, with an error that says so, and nothing is lost", async (t) => {
  const { server, mirror, reflector, time, watching, paused } = await reflectorLab(t);
  reflector.start();
  await watching(1);
  const hostile: [string | Buffer, RegExp][] = [
    ['{"type":"ADDED","object":\n', /JSON/],
    ['{"type":"ADDED","object":{"kind":"Pod"}}\n', /without a resourceVersion/],
    ['{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd is ill"}}\n', /is ill/],
  ];
  for (const [index, [bytes, expected]] of hostile.entries()) {
    time.advance(10_000);
    server.tellWatches(bytes);
    const pauseMs = await paused();
    assert.match(String(reflector.state().lastError), expected);
    server.apply(podOf(`p${index}`));
    time.advance(pauseMs);
    await watching(index + 2);
  }
  await until(() => mirror.names === "p0 p1 p2");
  assert.equal(reflector.state().lists, 1);
});

test("the largest object that etcd takes is told of, as the JSON of Go writes it", async (t) => {
  const { server, mirror, reflector, watching } = await reflectorLab(t);
  reflector.start();
  await watching(1);
  server.apply(hugePod("huge", 1_572_864, "<"));
  await until(() => mirror.names === "huge");
  assert.deepEqual(mirror.told, ["replaced 0", "changed huge"]);
});

test("an event that is too large is passed over by listing everything, ever less often", async (t) => {
  const { server, mirror, reflector, time, watching, paused, log } = await reflectorLab(t);
  reflector.start();
  await watching(1);
  for (const [index, expected] of [800, 1_600].entries()) {
    server.apply(hugePod("huge", 16_777_216 + index));
    server.apply(podOf(`after-${index}`));
    assert.equal(await paused(), expected);
    assert.match(String(reflector.state().lastError), /longer than 16777216 bytes/);
    time.advance(expected);
    await watching(index + 2);
    assert.equal(mirror.told.at(-1), `replaced ${index + 2}`);
  }
  assert.equal(mirror.names, "after-0 after-1 huge");
  assert.deepEqual([reflector.state().lists, reflector.state().lastError], [3, null]);
  const told = log.lines.filter(({ message }) => message.startsWith("an event is too large"));
  assert.deepEqual(
    told.map(({ level, facts }) => [level, facts?.["kind"]]),
    [
      ["warn", "Pod"],
      ["warn", "Pod"],
    ],
  );
});

test("pages that are too large are asked for again with fewer objects, and grow again after them", async (t) => {
  const { server, mirror, reflector, watching } = await reflectorLab(t);
  for (let index = 0; index < 5; index++) server.apply(hugePod(`a${index}`, 14_000_000));
  for (let index = 0; index < 40; index++) server.apply(podOf(`b${index}`));
  reflector.start();
  await watching(1);
  assert.deepEqual(mirror.told, ["replaced 45"]);
  const lists = server.calls.filter(({ query }) => query.has("limit"));
  const limits = lists.map(({ query }) => Number(query.get("limit")));
  assert.deepEqual(limits, [500, 125, 31, 7, 1, 2, 4, 8, 16, 32]);
});

test("an object that is too large for a page of its own is an error, and is not asked for all the time", async (t) => {
  const { server, reflector, paused } = await reflectorLab(t);
  server.apply(hugePod("huge", 67_108_864));
  reflector.start();
  assert.equal(await paused(), 800);
  assert.match(String(reflector.state().lastError), /longer than 67108864 bytes/);
  assert.equal(server.calls.at(-1)?.query.get("limit"), "1");
  assert.equal(reflector.state().lists, 0);
});

test("an event in many parts is one event", async (t) => {
  const { server, mirror, reflector, watching } = await reflectorLab(t);
  reflector.start();
  await watching(1);
  const metadata = { name: "ö", resourceVersion: "900" };
  const text = JSON.stringify({ type: "ADDED", object: { ...podOf("ö"), metadata } });
  for (const byte of Buffer.from(`${text}\n`)) server.tellWatches(Buffer.from([byte]));
  await until(() => mirror.names === "ö");
  assert.equal(reflector.state().resourceVersion, "900");
});

test("who is forbidden to read is told once, and asks again ever less often", async (t) => {
  const { server, reflector, time, paused, watching, log } = await reflectorLab(t);
  const message = 'pods is forbidden: User "x" cannot list resource "pods"';
  const body = { kind: "Status", reason: "Forbidden", message };
  server.fail(/pods/, { kind: "answer", status: 403, body }, 3);
  reflector.start();
  for (const expected of [800, 1_600, 3_200]) {
    assert.equal(await paused(), expected);
    assert.equal(reflector.state().lastError, message);
    time.advance(expected);
  }
  await watching(1);
  const errors = log.lines.filter(({ level }) => level === "error");
  assert.equal(errors.length, 1);
  assert.match(errors[0]!.message, /forbids reading this kind/);
});

test("a server that was away and knows no roles yet is asked again soon, and no role is blamed", async (t) => {
  const { server, reflector, time, paused, watching, log } = await reflectorLab(t);
  reflector.start();
  await watching(1);
  time.advance(5_000);
  server.fail(/pods/, { kind: "reset" }, 6);
  const body = { kind: "Status", reason: "Forbidden", message: "pods is forbidden" };
  server.fail(/pods/, { kind: "answer", status: 403, body }, 5);
  server.resetWatches();
  // The watch that breaks, six calls without an answer, and then answers.
  for (const expected of [800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000, 800, 1_600, 3_200]) {
    assert.equal(await paused(), expected);
    time.advance(expected);
  }
  const errors = () => log.lines.filter(({ level }) => level === "error").length;
  assert.equal(await paused(), 6_400);
  assert.equal(errors(), 1, "after the fourth in a row it is no passing thing");
  time.advance(6_400);
  assert.equal(await paused(), 12_800);
  assert.equal(errors(), 1);
  time.advance(12_800);
  await watching(1 + 6 + 5 + 1);
});

test("a server that asks for patience gets it", async (t) => {
  const { server, reflector, time, paused, watching } = await reflectorLab(t);
  const headers = { "retry-after": "17" };
  server.fail(/pods/, { kind: "answer", status: 429, headers });
  server.fail(/pods/, { kind: "answer", status: 503, headers: { "retry-after": "999999" } });
  reflector.start();
  assert.equal(await paused(), 17_000);
  time.advance(17_000);
  assert.equal(await paused(), 120_000);
  time.advance(120_000);
  await watching(1);
});

test("a listener that fails is given everything anew", async (t) => {
  const { server, mirror, reflector, time, paused, watching } = await reflectorLab(t);
  server.apply(podOf("a"));
  reflector.start();
  await watching(1);
  mirror.failure = new Error("cannot take it");
  server.apply(podOf("b"));
  time.advance(await paused());
  await watching(2);
  assert.equal(mirror.told.at(-1), "replaced 2");
  assert.equal(reflector.state().lists, 2);
});

test("only what is selected is told of, and what stops being selected is removed", async (t) => {
  const { server, mirror, reflector, watching } = await reflectorLab(t, {
    ...{ namespace: "default", labelSelector: "app=web", fieldSelector: "spec.nodeName=n1" },
  });
  const pod = (name: string, app: string, nodeName: string) => ({
    ...podOf(name, { app }),
    spec: { nodeName },
  });
  server.apply(pod("a", "web", "n1"));
  server.apply(pod("b", "web", "n2"));
  reflector.start();
  await watching(1);
  server.apply(pod("c", "db", "n1"));
  server.apply(pod("d", "web", "n1"));
  server.apply(pod("a", "db", "n1"));
  await until(() => mirror.told.length === 3);
  assert.deepEqual(mirror.told, ["replaced 1", "changed d", "removed a"]);
});

test("a listener is not called once its reflector is stopped, whatever it was doing", async (t) => {
  const { server, mirror, reflector, watching } = await reflectorLab(t);
  reflector.start();
  await watching(1);
  const stopped = reflector.stop();
  server.apply(podOf("a"));
  await stopped;
  await until(() => server.watches() === 0);
  assert.deepEqual(mirror.told, ["replaced 0"]);
  const other = await reflectorLab(t, { server });
  server.fail(/pods/, { kind: "hang" });
  const before = server.calls.length;
  other.reflector.start();
  await until(() => server.calls.length > before);
  await other.reflector.stop();
  const third = await reflectorLab(t, { server });
  server.fail(/pods/, { kind: "reset" });
  third.reflector.start();
  await third.paused();
  await third.reflector.stop();
  assert.equal(third.time.size, 0);
  assert.deepEqual([...other.mirror.told, ...third.mirror.told], []);
});
