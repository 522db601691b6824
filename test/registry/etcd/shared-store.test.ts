import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { Catalog } from "../../../src/registry/catalog.ts";
import { cut, toTextWrites } from "../../../src/registry/etcd/commit-text.ts";
import { CommitWriter } from "../../../src/registry/etcd/commit-writer.ts";
import type { EtcdClient } from "../../../src/registry/etcd/etcd-client.ts";
import {
  grantAnswer,
  headerAnswer,
  manyKeys,
  oneKey,
  put,
} from "../../../src/registry/etcd/etcd-messages.ts";
import type { EtcdStore } from "../../../src/registry/etcd/etcd-store.ts";
import { Layout } from "../../../src/registry/etcd/layout.ts";
import { LogWindow } from "../../../src/registry/etcd/log-window.ts";
import type { StoredRecord, Write } from "../../../src/registry/records.ts";
import { type Commit, StaleRevisionError } from "../../../src/registry/store.ts";
import { Writer } from "../../../src/registry/writer.ts";
import { noEtcd } from "../../helpers/etcd.ts";
import { until } from "../../helpers/until.ts";
import { clientOf, newPrefix, openStore, sharedEtcd } from "./etcd-lab.ts";
import { etcdRelay } from "./etcd-relay.ts";

const workload = (name: string, account = "default") => ({
  ...{ name, namespace: "default", serviceAccount: account, host: "h1" },
  addresses: ["10.0.0.1"],
});
const write = (name: string, account?: string): Write => ({
  kind: "workload",
  key: `default/${name}`,
  value: workload(name, account),
});
const drop = (name: string): Write => ({ kind: "workload", key: `default/${name}`, value: null });
const many = (count: number, account?: string) =>
  Array.from({ length: count }, (_, index) => write(`w${index}`, account));

async function load(store: EtcdStore): Promise<StoredRecord[]> {
  const all: StoredRecord[] = [];
  for await (const batch of store.load()) all.push(...batch);
  return all;
}

function watch(store: EtcdStore): Commit[] {
  const seen: Commit[] = [];
  store.subscribe((commit) => seen.push(commit));
  return seen;
}

async function storedAt(client: EtcdClient, key: string): Promise<string | undefined> {
  return (await client.range(oneKey(key))).kvs[0]?.value;
}

describe("one etcd and several stores", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();
  const urls = () => etcd().urls;

  async function pair(t: TestContext, options = {}) {
    const prefix = newPrefix();
    const one = await openStore(t, urls(), prefix, options);
    const other = await openStore(t, urls(), prefix, options);
    return { prefix, layout: new Layout(prefix), one, other };
  }

  test("all that is written at either is seen by both, once and in order", async (t) => {
    const { one, other } = await pair(t);
    assert.equal(one.epoch, other.epoch);
    const seen = [watch(one), watch(other)];
    const writers = await Promise.all(
      [one, other].map(async (store) => new Writer(store, await Catalog.open(store))),
    );
    const written = await Promise.all(
      Array.from({ length: 120 }, (_, index) =>
        writers[index % 2]?.run((draft) =>
          draft.put("workload", `default/w${index}`, workload("w")),
        ),
      ),
    );
    const newest = Math.max(...written.map((each) => each?.revision ?? 0));
    await until(() => one.revision() === newest && other.revision() === newest);
    for (const commits of seen) {
      assert.deepEqual(
        commits.map(({ revision }) => revision),
        Array.from({ length: newest - 1 }, (_, index) => index + 2),
      );
    }
    assert.deepEqual(seen[0], seen[1]);
    assert.deepEqual(await load(one), await load(other));
    assert.equal((await load(one)).length, 120);
  });

  test("who plans on what the other has changed meanwhile is refused, and knows it then", async (t) => {
    const { one, other } = await pair(t);
    await one.commit([write("a")], 1);
    await assert.rejects(other.commit([write("b")], 1), StaleRevisionError);
    assert.equal(other.revision(), 2);
    await other.commit([write("b")], 2);
  });

  test("that there is nothing to write is found out in the newest state", async (t) => {
    const { one, other } = await pair(t);
    await one.commit([write("a")], 1);
    const catalog = await Catalog.open(other);
    const writer = new Writer(other, catalog);
    await other.refresh();
    await one.commit([drop("a")], 2);
    // Whatever the other has heard so far: its client was told that it is there.
    const { revision } = await writer.run((draft) =>
      draft.put("workload", "default/a", workload("a")),
    );
    assert.equal(revision, 4);
  });

  test("a commit larger than a request is one revision for everybody", async (t) => {
    const { one, other, layout } = await pair(t);
    const seen = watch(other);
    await one.commit([write("w3"), write("gone")], 1);
    // Above the operations of a transaction, above the size of a request, and one record above both.
    const long = "ä€😀".repeat(300_000);
    const writes = [...many(700, "x".repeat(3_000)), write("long", long), drop("gone")];
    const commit = await one.commit(writes, 2);
    assert.equal(commit.revision, 3);
    await until(() => other.revision() === 3, { what: "the large commit" });
    assert.deepEqual(seen[1], commit);
    const client = clientOf(t, urls());
    assert.equal(await storedAt(client, layout.applied()), "3");
    const records = await load(other);
    assert.equal(records.length, 701);
    const found = records.find(({ key }) => key === "default/long");
    assert.equal(found?.kind === "workload" && found.value.serviceAccount, long);
    const w3 = records.find(({ key }) => key === "default/w3");
    assert.deepEqual([w3?.revision, w3?.created], [3, 2]);
    assert.deepEqual((await other.changesSince(2))?.changes.length, 702);
    // What was in several keys leaves none of them behind.
    await other.commit([write("long", "short")], 3);
    assert.equal(
      (await client.range(manyKeys(layout.long("workload", "default/long")))).kvs.length,
      0,
    );
    assert.equal((await load(one)).length, 701);
  });

  test("a large commit has its turn among many small ones", async (t) => {
    const { one, other } = await pair(t);
    const [large, small] = await Promise.all(
      [one, other].map(async (store) => new Writer(store, await Catalog.open(store))),
    );
    assert.ok(large && small);
    let isDone = false;
    const others = async () => {
      for (let index = 0; !isDone; index++) {
        await small.run((draft) => draft.put("workload", `small/w${index}`, workload("w")));
      }
    };
    const busy = others();
    await until(() => one.revision() > 5, { what: "small commits" });
    const { revision } = await large.run((draft) => {
      for (const { key, value } of many(400, "y".repeat(4_000))) {
        if (value !== null) draft.put("workload", key, value as ReturnType<typeof workload>);
      }
    });
    isDone = true;
    await busy;
    await other.refresh();
    assert.ok(other.revision() >= revision);
    assert.equal((await load(other)).filter(({ key }) => key.startsWith("default/")).length, 400);
  });

  test("a large commit whose writer died before it was carried over is whole, and others go on", async (t) => {
    const { one, layout, prefix } = await pair(t);
    await one.commit([write("gone"), write("w0")], 1);
    const client = clientOf(t, urls());
    const limits = { maxLogEntries: 1_000, maxLogBytes: 10_000_000 };
    const base = { revision: 2, known: new Map(), window: new LogWindow(limits, 1, []) };
    const writes = toTextWrites([...many(300), drop("gone")]);
    const outcome = await new CommitWriter(client, layout).write(
      { tx: randomUUID(), writes },
      base,
      null,
    );
    assert.equal(outcome.result, "written");
    assert.equal(await storedAt(client, layout.applied()), "2");
    const late = await openStore(t, urls(), prefix);
    assert.equal(late.revision(), 3);
    const records = await load(late);
    assert.equal(records.length, 300);
    assert.equal(records.find(({ key }) => key === "default/w0")?.created, 2);
    await until(() => one.revision() === 3);
    await one.commit([write("w1", "next")], 3);
    assert.equal(await storedAt(client, layout.applied()), "4");
    const again = await load(await openStore(t, urls(), prefix));
    assert.equal(again.length, 300);
    assert.equal(again.find(({ key }) => key === "default/w1")?.revision, 4);
  });

  test("a turn that its owner does not use holds others up for a while only", async (t) => {
    const { one, layout } = await pair(t);
    const client = clientOf(t, urls());
    const { ID } = await client.call("/v3/lease/grant", { TTL: "1" }, grantAnswer);
    await client.call("/v3/kv/put", put(layout.turn(), "dead", ID)["request_put"], headerAnswer);
    const begun = performance.now();
    await one.commit([write("a")], 1);
    assert.ok(performance.now() - begun > 300, "it waited for the turn to end");
  });

  test("parts of a commit that was never made are swept, and those of others stay", async (t) => {
    const { one, layout } = await pair(t);
    const client = clientOf(t, urls());
    await one.commit(many(300), 1);
    const orphan = put(layout.part("orphan", 0), "text")["request_put"];
    await client.call("/v3/kv/put", orphan, headerAnswer);
    const ids = async () =>
      new Set(
        (await client.range(manyKeys(layout.allParts()))).kvs.map(({ key }) =>
          layout.readParts(key),
        ),
      );
    await one.sweep();
    assert.equal((await ids()).size, 2);
    await one.sweep();
    assert.equal((await ids()).size, 1);
    assert.equal((await one.changesSince(1))?.changes.length, 300);
  });

  test("a commit whose answer was lost is found, and made once", async (t) => {
    const prefix = newPrefix();
    const relay = await etcdRelay(t, urls()[0] ?? "");
    const store = await openStore(t, [relay.url], prefix);
    const seen = watch(store);
    let lost = 0;
    relay.fate = (path, isAnswer) =>
      path === "/v3/kv/txn" && !isAnswer && lost++ === 0 ? "lost" : "pass";
    const commit = await store.commit([write("a")], 1);
    assert.equal(commit.revision, 2);
    assert.ok(lost > 1, "it was sent again");
    await store.refresh();
    assert.equal(store.revision(), 2);
    assert.deepEqual(seen, [commit]);
    const { kvs } = await clientOf(t, urls()).range(manyKeys(new Layout(prefix).log()));
    assert.equal(kvs.length, 1);
  });

  test("a commit that nobody answers is refused in time, and seen later if it was made", async (t) => {
    const prefix = newPrefix();
    const relay = await etcdRelay(t, urls()[0] ?? "");
    const store = await openStore(t, [relay.url], prefix, { callMs: 300, pollMs: 50 });
    relay.fate = (path) => (path === "/v3/kv/txn" ? "lost" : "pass");
    await assert.rejects(store.commit([write("a")], 1), /no member of etcd answers/);
    relay.fate = () => "pass";
    await until(() => store.revision() === 2, { what: "the commit after all" });
    await store.commit([write("b")], 2);
  });

  test("a watch that is silent without an end loses no commit", async (t) => {
    const prefix = newPrefix();
    const relay = await etcdRelay(t, urls()[0] ?? "");
    const one = await openStore(t, [relay.url], prefix, { pollMs: 50 });
    const other = await openStore(t, urls(), prefix);
    const seen = watch(one);
    relay.fate = (path, isAnswer) => (path === "/v3/watch" && isAnswer ? "stuck" : "pass");
    for (let index = 0; index < 5; index++) {
      const { revision } = await other.commit([write(`w${index}`)], other.revision());
      await until(() => one.revision() === revision, { what: `revision ${revision}` });
    }
    const watches = () => relay.calls.filter((path) => path === "/v3/watch").length;
    await until(() => watches() > 1, { what: "another watch" });
    assert.deepEqual(
      seen.map(({ revision }) => revision),
      [2, 3, 4, 5, 6],
    );
  });

  test("who was away for longer than the log reads everything, and tells what is gone", async (t) => {
    const prefix = newPrefix();
    const relay = await etcdRelay(t, urls()[0] ?? "");
    const limits = { maxLogEntries: 10, pollMs: 50 };
    const one = await openStore(t, [relay.url], prefix, limits);
    const other = await openStore(t, urls(), prefix, limits);
    await one.commit([write("gone"), write("same")], 1);
    await other.refresh();
    const seen = watch(one);
    relay.fate = () => "refused";
    relay.cut();
    await other.commit([drop("gone")], 2);
    for (let index = 0; index < 40; index++) {
      await other.commit([write("a", String(index))], other.revision());
    }
    relay.fate = () => "pass";
    await until(() => one.revision() === other.revision(), { what: "the newest revision" });
    assert.deepEqual(
      seen.map(({ changes }) => changes.map(({ key, value }) => [key, value === null])),
      [
        [
          ["default/a", false],
          ["default/gone", true],
        ],
      ],
    );
    assert.equal(await one.changesSince(2), null);
    await one.commit([write("b")], one.revision());
  });

  test("the log is kept short, its parts with it", async (t) => {
    const { one, layout } = await pair(t, { maxLogEntries: 400 });
    for (let index = 0; index < 5; index++)
      await one.commit(many(300, String(index)), one.revision());
    for (let index = 0; index < 3; index++)
      await one.commit([write("a", String(index))], one.revision());
    const client = clientOf(t, urls());
    assert.ok((await client.range(manyKeys(layout.log()))).kvs.length <= 6);
    const parts = async () => (await client.range(manyKeys(layout.allParts()))).kvs.length;
    await until(async () => (await parts()) <= 3, { what: "the parts to go" });
  });

  test("compaction of etcd takes nothing away", async (t) => {
    const { one, other, prefix } = await pair(t);
    const client = clientOf(t, urls());
    for (let index = 0; index < 10; index++) await one.commit([write(`w${index}`)], one.revision());
    const { header } = await client.range(oneKey("x"));
    const revision = String(header.revision);
    await client.call("/v3/kv/compaction", { revision }, headerAnswer);
    assert.equal((await load(await openStore(t, urls(), prefix))).length, 10);
    await other.refresh();
    assert.equal((await other.changesSince(1))?.changes.length, 10);
    await other.commit([write("more")], other.revision());
    await until(() => one.revision() === 12);
  });

  test("a store that was replaced by another is not written, and says so", async (t) => {
    const { one, layout, prefix } = await pair(t, { pollMs: 50 });
    await one.commit([write("a")], 1);
    const client = clientOf(t, urls());
    const all = { request_delete_range: manyKeys(prefix) };
    await client.txn({ compare: [], success: [all], failure: [] });
    await openStore(t, urls(), prefix);
    await until(() => !one.state().reachable, { what: "the notice" });
    await assert.rejects(one.commit([write("b")], 2), /must be started anew/);
    assert.equal(await storedAt(client, layout.head()), "1");
  });

  test("a format of another version is refused", async (t) => {
    const prefix = newPrefix();
    const format = put(new Layout(prefix).format(), "99")["request_put"];
    await clientOf(t, urls()).call("/v3/kv/put", format, headerAnswer);
    await assert.rejects(openStore(t, urls(), prefix), /format 99/);
  });

  test("etcd gone: what is known is served; back: writes and watches go on", async (t) => {
    const { one, other } = await pair(t, { callMs: 300 });
    const seen = watch(other);
    await one.commit([write("a")], 1);
    const [member] = etcd().members;
    await member?.stop();
    await assert.rejects(one.commit([write("b")], 2), /no member of etcd answers/);
    await assert.rejects(one.refresh());
    assert.equal(await one.changesSince(1), null);
    assert.equal(one.revision(), 2);
    await until(() => !one.state().reachable);
    await member?.start();
    await until(
      async () =>
        one.refresh().then(
          () => true,
          () => false,
        ),
      { what: "etcd again" },
    );
    const { revision } = await one.commit([write("c")], one.revision());
    await until(() => other.revision() === revision && seen.at(-1)?.revision === revision);
    assert.deepEqual(
      seen.map((commit) => commit.revision),
      Array.from({ length: revision - 1 }, (_, index) => index + 2),
    );
  });
});

test("text is cut between characters, into pieces that fit", () => {
  const text = `${"😀".repeat(400_001)}ä€`;
  const pieces = cut(text);
  assert.equal(pieces.join(""), text);
  assert.ok(pieces.length > 2);
  for (const piece of pieces) {
    assert.ok(Buffer.byteLength(piece) <= 786_432);
    assert.equal(Buffer.from(piece, "utf8").toString("utf8"), piece);
  }
});
