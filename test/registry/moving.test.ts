import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import { balanceWatches } from "../../src/registry/balance-watches.ts";
import { isBehind } from "../../src/registry/position.ts";
import { RegistryTargets } from "../../src/registry/registry-targets.ts";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { RawWatch } from "./raw-watch.ts";
import { call, dig, keepingLog, tempFolder, testClient, testRegistry } from "./setup.ts";

function put(registry: { readonly url: string }, name: string) {
  return call(registry, "PUT", `/v1/mesh/services/default/${name}`, {});
}

test("a state is behind another where any of its kinds is", () => {
  const cases: [Record<string, string>, Record<string, string>, boolean][] = [
    [{}, {}, false],
    [{ Pod: "5" }, {}, false],
    [{ Pod: "5" }, { Pod: "5" }, false],
    [{ Pod: "9" }, { Pod: "10" }, true],
    [{ Pod: "18446744073709551615" }, { Pod: "18446744073709551616" }, true],
    [{ Pod: "10", Service: "1" }, { Pod: "2", Service: "2" }, true],
    [{ Pod: "10" }, { Service: "2" }, true],
    [{ Pod: "abc" }, { Pod: "abd" }, false],
    [{}, JSON.parse('{"__proto__":"3"}'), true],
  ];
  for (const [own, other, expected] of cases) {
    assert.equal(isBehind(own, other), expected, JSON.stringify([own, other]));
  }
});

test("a daemon that holds something newer waits for the registry to come up to it", async (t) => {
  let position: Record<string, string> = { Pod: "7", Service: "40" };
  const registry = await testRegistry(t, { position: () => position });
  await put(registry, "old");
  const watch = await RawWatch.open(t, registry.url);
  watch.hello({ epoch: "another", revision: 9, position: { Pod: "12", Service: "3" } });
  assert.equal(dig(await watch.next("welcome"), "takes.0"), "certificates");
  await watch.next("checks");
  await put(registry, "newer");
  assert.equal(watch.ofType("update").length, 0, "a commit alone is not enough");
  position = { Pod: "12", Service: "41" };
  const update = await watch.next("update");
  assert.equal(dig(update, "full"), true);
  assert.deepEqual(dig(update, "position"), position);
  watch.send({ type: "ack", revision: dig(update, "to") });
  position = { Pod: "13", Service: "41" };
  await put(registry, "newest");
  const delta = await watch.next("update", 1);
  assert.equal(dig(delta, "full"), false);
  assert.deepEqual(dig(delta, "position"), position);
});

test("it waits no longer than it may, and says so; who holds nothing newer does not wait", async (t) => {
  const time = new FakeTime();
  const log = keepingLog();
  const position = () => ({ Pod: "7" });
  const registry = await testRegistry(t, { position, log, clock: time, timers: time });
  const behind = await RawWatch.open(t, registry.url);
  behind.hello({ host: "h2", epoch: "another", revision: 9, position: { Pod: "8" } });
  await behind.next("checks");
  for (const facts of [{}, { epoch: "other", revision: 9, position: { Pod: "7" } }]) {
    const watch = await RawWatch.open(t, registry.url);
    watch.hello(facts);
    assert.equal(dig(await watch.next("update"), "full"), true);
  }
  time.advance(9_900);
  assert.equal(behind.ofType("update").length, 0);
  time.advance(200);
  assert.equal(dig(await behind.next("update"), "full"), true);
  assert.ok(
    log.lines.some(({ level, message }) => level === "warn" && /something newer/.test(message)),
  );
});

test("a registry of the same store that is behind waits for the commit, and sends the step alone", async (t) => {
  const registry = await testRegistry(t);
  const probe = await RawWatch.open(t, registry.url);
  probe.hello();
  const welcome = await probe.next("welcome");
  await put(registry, "one");
  const watch = await RawWatch.open(t, registry.url);
  watch.hello({ epoch: String(dig(welcome, "epoch")), revision: 3 });
  await watch.next("checks");
  await put(registry, "two");
  await put(registry, "three");
  const update = await watch.next("update");
  assert.deepEqual([dig(update, "full"), dig(update, "from"), dig(update, "to")], [false, 3, 4]);
});

test("a position that is none is refused", async (t) => {
  const registry = await testRegistry(t);
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, "1"]));
  for (const position of [{ Pod: 1 }, { Pod: "x".repeat(65) }, ["1"], many]) {
    const watch = await RawWatch.open(t, registry.url);
    watch.hello({ position });
    assert.equal(await watch.closed(), 1008);
  }
});

test("a client tells at the next registry what it holds, after a restart too", async (t) => {
  const position = { Pod: "12", "apps/Deployment": "40" };
  const snapshotPath = join(await tempFolder(t), "snapshot.json");
  const registry = await testRegistry(t, { position: () => position });
  await put(registry, "one");
  const before = await testClient(t, [registry.url], { snapshotPath });
  await before.client.start();
  await until(() => before.records.has("service default/one"));
  await before.client.stop();
  await registry.close();
  let behind: Record<string, string> = { Pod: "11", "apps/Deployment": "40" };
  const other = await testRegistry(t, { position: () => behind });
  await put(other, "older");
  const after = await testClient(t, [other.url], { snapshotPath });
  await after.client.start();
  await until(() => after.client.state().connected);
  await call(other, "GET", "/v1/mesh/status");
  assert.deepEqual([...after.records.keys()], ["service default/one"], "nothing older is taken");
  behind = { Pod: "12", "apps/Deployment": "41" };
  await until(() => after.records.has("service default/older"));
});

test("the addresses of a name are tried one after the other, and who was left comes last", async () => {
  let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
  const targets = new RegistryTargets({
    urls: ["https://registry.localhost:15012", "http://192.0.2.1:1/"],
    random: () => 0.5,
    lookUp: (name) => {
      assert.equal(name, "registry.localhost");
      return Promise.resolve(addresses);
    },
  });
  const round = async () => {
    const found = [await targets.next()];
    while (targets.hasOther()) found.push(await targets.next());
    return found.map(({ url, address }) => address ?? url);
  };
  assert.deepEqual(await round(), [...addresses, "http://192.0.2.1:1/"]);
  targets.restart({ url: "https://registry.localhost:15012", address: "10.0.0.1" });
  assert.equal(targets.hasOther(), true);
  assert.deepEqual(await round(), ["10.0.0.2", "10.0.0.3", "http://192.0.2.1:1/", "10.0.0.1"]);
  addresses = ["10.0.0.9"];
  assert.deepEqual(await round(), ["10.0.0.9", "http://192.0.2.1:1/"]);
  addresses = [];
  assert.deepEqual(await round(), ["https://registry.localhost:15012", "http://192.0.2.1:1/"]);
});

test("a name that cannot be resolved is an error like another, and is tried again", async (t) => {
  const registry = await testRegistry(t);
  let failures = 0;
  const { client } = await testClient(t, [`http://registry.localhost:${registry.port}`], {
    lookUp: () => {
      failures++;
      if (failures < 3) return Promise.reject(new Error("ENOTFOUND"));
      return Promise.resolve(["127.0.0.1"]);
    },
  });
  await client.start();
  await until(() => client.state().connected, { what: "the connection by name" });
  assert.equal(client.state().url, `http://registry.localhost:${registry.port}`);
});

test("a registry that closes says goodbye, and its daemons watch another one at once", async (t) => {
  const one = await testRegistry(t);
  const two = await testRegistry(t, { bind: "127.0.0.2", port: one.port });
  for (const registry of [one, two]) await put(registry, "web");
  const log = keepingLog();
  const { client, records } = await testClient(t, [`http://registry.localhost:${one.port}`], {
    log,
    // Were it to pause, the test would take too long.
    ...{ reconnectMinMs: 600_000, reconnectMaxMs: 600_000 },
    lookUp: () => Promise.resolve(["127.0.0.1", "127.0.0.2"]),
  });
  await client.start();
  await until(() => records.has("service default/web"));
  const { epoch } = client.state();
  await one.close();
  await until(() => client.state().connected && client.state().epoch !== epoch, {
    what: "the other registry",
  });
  assert.ok(log.lines.some(({ message }) => /asks to watch another one/.test(message)));
  await put(two, "api");
  await until(() => records.has("service default/api"));
});

test("a registry that dies is left for another one at once", async (t) => {
  const [dying, living] = [await testRegistry(t), await testRegistry(t)];
  const { client } = await testClient(t, [dying.url, living.url], {
    ...{ reconnectMinMs: 600_000, reconnectMaxMs: 600_000 },
  });
  await dying.close();
  await client.start();
  await until(() => client.state().connected && client.state().url === living.url);
});

test("a registry that closes waits no longer than a second for a daemon that does not go", async (t) => {
  const time = new FakeTime();
  const registry = await testRegistry(t, { clock: time, timers: time });
  const watch = await RawWatch.open(t, registry.url);
  watch.hello();
  await watch.next("update");
  watch.socket.pause();
  const closing = registry.close();
  await until(() => {
    time.advance(1_100);
    return time.pending() === 0;
  });
  await closing;
});

test("which certificates a host uses is told on every connection, and never to an older registry", async (t) => {
  const welcome = { type: "welcome", epoch: "e1", revision: 0, pingMs: 5_000 };
  for (const takes of [undefined, ["certificates", "other"]]) {
    const received: unknown[] = [];
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    t.after(() => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    });
    server.on("connection", (socket) => {
      socket.send(JSON.stringify({ ...welcome, takes }));
      socket.on("message", (data: Buffer) => received.push(JSON.parse(data.toString("utf8"))));
    });
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { client } = await testClient(t, [`http://127.0.0.1:${port}`]);
    client.uses(["aa"]);
    await client.start();
    await until(() => client.state().connected);
    client.uses(["aa", "bb"]);
    client.report([{ check: "h1/a", status: "passing", output: "" }]);
    await until(() => received.some((message) => dig(message, "type") === "results"));
    const told = received.filter((message) => dig(message, "type") === "certificates");
    const expected = [["aa"], ["aa", "bb"]].map((issuers) => ({ type: "certificates", issuers }));
    assert.deepEqual(told, takes === undefined ? [] : expected);
  }
});

test("what a daemon says of its certificates is taken, and closed for when it is none", async (t) => {
  const registry = await testRegistry(t);
  const good = await RawWatch.open(t, registry.url);
  good.hello();
  good.send({ type: "certificates", issuers: ["a".repeat(64)] });
  await good.next("update");
  assert.equal(good.closeCode, 0);
  const many = Array.from({ length: 65 }, () => "a");
  for (const issuers of ["a", [1], ["a".repeat(129)], many]) {
    const watch = await RawWatch.open(t, registry.url);
    watch.hello();
    watch.send({ type: "certificates", issuers });
    assert.equal(await watch.closed(), 1008);
  }
});

test("a registry with more than its share of the watches sends some away, few at a time", () => {
  const time = new FakeTime();
  let own = Array.from({ length: 40 }, (_, index) => `h${index}`);
  let others = [0];
  const sent: string[] = [];
  const end = balanceWatches({
    ...{ clock: time, timers: time, log: keepingLog() },
    own: () => own,
    others: () => others,
    dismiss: (host) => sent.push(host),
  });
  time.advance(30_000);
  assert.deepEqual(sent, ["h0", "h1", "h2", "h3"]);
  own = own.slice(4);
  others = [4];
  time.advance(30_000);
  assert.deepEqual(sent.splice(4), ["h4", "h5", "h6"]);
  // Those came back: they know no other registry.
  time.advance(30_000);
  assert.deepEqual(sent.splice(4), ["h7", "h8", "h9"]);
  for (const [mine, theirs] of [
    [2, [1]],
    [1, [0]],
    [3, [3, 3]],
    [5, []],
  ] as const) {
    own = Array.from({ length: mine }, (_, index) => `x${index}`);
    others = [...theirs];
    time.advance(30_000);
  }
  assert.equal(sent.length, 4);
  end();
  assert.equal(time.pending(), 0);
});
