import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Catalog } from "../../src/registry/catalog.ts";
import { CheckMonitor } from "../../src/registry/check-monitor.ts";
import type { Leadership, SharedBeats } from "../../src/registry/leadership.ts";
import type { StoredCheck } from "../../src/registry/records.ts";
import { SqliteStore } from "../../src/registry/sqlite-store.ts";
import { Writer } from "../../src/registry/writer.ts";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { keepingLog, tempFolder } from "./setup.ts";

const TTL_MS = 10_000;
const check: StoredCheck = {
  ...{ id: "c", host: "h1", endpoint: "h1/web", name: "c", notes: "", output: "" },
  ...{ spec: { kind: "ttl", ttlMs: TTL_MS }, deregisterMs: 0, status: "passing" },
};

/** A registry among several: whether it leads, and what it hears of the others. */
class FakePeers implements Leadership, SharedBeats {
  readonly travelMs = 1_000;
  readonly told: string[] = [];
  leads = false;
  isCutOff = false;
  follower: { heard(check: string): void; missed(): void } | null = null;
  #listener: (isLeader: boolean) => void = () => {};

  isLeader(): boolean {
    return this.leads;
  }
  subscribe(listener: (isLeader: boolean) => void): () => void {
    this.#listener = listener;
    return () => {};
  }
  elect(leads: boolean): void {
    this.leads = leads;
    this.#listener(leads);
  }
  async tell(each: string): Promise<void> {
    if (this.isCutOff) throw new Error("cut off");
    this.told.push(each);
  }
  follow(listener: { heard(check: string): void; missed(): void }): () => void {
    this.follower = listener;
    return () => {
      this.follower = null;
    };
  }
}

async function setUp(t: TestContext) {
  const store = new SqliteStore({ path: join(await tempFolder(t), "registry.sqlite") });
  t.after(() => store.close());
  const catalog = await Catalog.open(store);
  const writer = new Writer(store, catalog);
  const time = new FakeTime();
  const peers = new FakePeers();
  const deps = { catalog, writer, clock: time, timers: time, log: keepingLog() };
  const monitor = new CheckMonitor({ ...deps, leadership: peers, beats: peers });
  t.after(() => monitor.close());
  await writer.run((draft) => draft.put("check", "h1/c", check));
  const status = () => catalog.get("check", "h1/c")?.status;
  /** What was under way is written. */
  const settle = () => writer.run(() => null);
  return { time, peers, monitor, status, settle, writer };
}

test("who does not lead lets no heartbeat run out, and tells the leader of those it gets", async (t) => {
  const { time, peers, monitor, status, settle } = await setUp(t);
  time.advance(10 * TTL_MS);
  await settle();
  assert.equal(status(), "passing");
  assert.equal(await monitor.report("h1/c", "passing", ""), true);
  assert.deepEqual(peers.told, ["h1/c"]);
});

test("a heartbeat that does not reach the leader is not acknowledged", async (t) => {
  const { peers, monitor } = await setUp(t);
  peers.isCutOff = true;
  await assert.rejects(monitor.report("h1/c", "passing", ""), { status: 503 });
  peers.elect(true);
  assert.equal(await monitor.report("h1/c", "passing", ""), true, "the leader has it by itself");
});

test("who comes to lead begins each span anew, and adds the way of heartbeats", async (t) => {
  const { time, peers, status, settle } = await setUp(t);
  time.advance(10 * TTL_MS);
  peers.elect(true);
  time.advance(TTL_MS + 999);
  await settle();
  assert.equal(status(), "passing");
  time.advance(1);
  await until(() => status() === "critical");
});

test("the leader counts heartbeats of others, and none are counted as missing when some may be lost", async (t) => {
  const { time, peers, status, settle } = await setUp(t);
  peers.elect(true);
  time.advance(TTL_MS);
  peers.follower?.heard("h1/c");
  peers.follower?.heard("h1/unknown");
  time.advance(TTL_MS);
  peers.follower?.missed();
  time.advance(TTL_MS);
  await settle();
  assert.equal(status(), "passing");
  time.advance(1_000);
  await until(() => status() === "critical");
});

test("who leads no longer writes nothing, even before it has heard of that", async (t) => {
  const { time, peers, status, settle } = await setUp(t);
  peers.elect(true);
  peers.leads = false;
  time.advance(10 * TTL_MS);
  await settle();
  await settle();
  assert.equal(status(), "passing");
  peers.elect(false);
  assert.equal(peers.follower, null);
  assert.equal(time.pending(), 0, "no timer is left");
  peers.elect(true);
  time.advance(TTL_MS + 1_000);
  await until(() => status() === "critical");
});
