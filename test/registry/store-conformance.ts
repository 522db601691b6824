import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Workload } from "../../src/core/model.ts";
import type { StoredRecord, Write } from "../../src/registry/records.ts";
import { type Commit, StaleRevisionError, type Store } from "../../src/registry/store.ts";
import { dig } from "./setup.ts";

/** Opens the same store each time it is called, and closes an earlier one first. */
export type Reopen = (options?: { maxLogEntries?: number }) => Promise<Store>;

const workload = (name: string, address = "10.0.0.1"): Workload => ({
  name,
  namespace: "default",
  serviceAccount: "default",
  host: "h1",
  addresses: [address],
});
const put = (name: string, address?: string): Write => ({
  kind: "workload",
  key: `default/${name}`,
  value: workload(name, address),
});
const drop = (name: string): Write => ({ kind: "workload", key: `default/${name}`, value: null });

async function load(store: Store): Promise<StoredRecord[]> {
  const all: StoredRecord[] = [];
  for await (const batch of store.load()) all.push(...batch);
  return all;
}

/** What every implementation of `Store` must do. `setUp` makes an empty store for one test. */
export function storeConformance(name: string, setUp: (t: TestContext) => Promise<Reopen>): void {
  test(`${name}: a new store is empty at revision 1 and has an epoch of its own`, async (t) => {
    const one = await (await setUp(t))();
    const other = await (await setUp(t))();
    assert.equal(one.revision(), 1);
    assert.deepEqual(await load(one), []);
    assert.notEqual(one.epoch, other.epoch);
    assert.ok(one.epoch.length >= 16);
  });

  test(`${name}: a commit is one revision, and is read back after reopening`, async (t) => {
    const reopen = await setUp(t);
    const store = await reopen();
    const commit = await store.commit([put("a"), put("b")], 1);
    assert.equal(commit.revision, 2);
    const { epoch } = store;
    const again = await reopen();
    assert.equal(again.epoch, epoch);
    assert.equal(again.revision(), 2);
    const records = await load(again);
    assert.deepEqual(records, commit.changes);
    assert.deepEqual(
      records.map(({ key, revision, created }) => [key, revision, created]),
      [
        ["default/a", 2, 2],
        ["default/b", 2, 2],
      ],
    );
  });

  test(`${name}: a change keeps the revision of creation, a removal forgets it`, async (t) => {
    const store = await (await setUp(t))();
    await store.commit([put("a")], 1);
    await store.commit([put("a", "10.0.0.2")], 2);
    assert.deepEqual(
      (await load(store)).map(({ revision, created }) => [revision, created]),
      [[3, 2]],
    );
    await store.commit([drop("a")], 3);
    await store.commit([put("a")], 4);
    assert.equal((await load(store))[0]?.created, 5);
  });

  test(`${name}: removing the newest record never lowers the revision`, async (t) => {
    const reopen = await setUp(t);
    const store = await reopen();
    await store.commit([put("a")], 1);
    await store.commit([drop("a")], 2);
    assert.equal(store.revision(), 3);
    assert.equal((await reopen()).revision(), 3);
  });

  test(`${name}: a write planned on an old revision is refused and changes nothing`, async (t) => {
    const store = await (await setUp(t))();
    await store.commit([put("a")], 1);
    await assert.rejects(store.commit([put("b")], 1), StaleRevisionError);
    await assert.rejects(store.commit([put("b")], 7), StaleRevisionError);
    assert.equal(store.revision(), 2);
    assert.equal((await load(store)).length, 1);
  });

  test(`${name}: a commit that cannot be written is undone as a whole`, async (t) => {
    const reopen = await setUp(t);
    const store = await reopen();
    await store.commit([put("a")], 1);
    // A value that is not of its kind, as only a bug could hand over.
    const value = Object.assign(workload("b"), { name: 1 });
    const broken: Write = { kind: "workload", key: "default/b", value };
    await assert.rejects(store.commit([drop("a"), broken], 2));
    for (const again of [false, true]) {
      const each = again ? await reopen() : store;
      assert.equal(each.revision(), 2);
      assert.deepEqual(
        (await load(each)).map(({ key }) => key),
        ["default/a"],
      );
    }
  });

  test(`${name}: the changes since a revision are net, and survive reopening`, async (t) => {
    const reopen = await setUp(t);
    const store = await reopen();
    await store.commit([put("a"), put("b")], 1);
    await store.commit([put("a", "10.0.0.2"), put("c")], 2);
    await store.commit([drop("b"), drop("c")], 3);
    for (const again of [false, true]) {
      const each = again ? await reopen() : store;
      const changes = async (since: number) => {
        const commit = await each.changesSince(since);
        return commit?.changes
          .map(({ key, revision, value }) => `${key}@${revision}${value === null ? " gone" : ""}`)
          .sort();
      };
      assert.deepEqual(await changes(2), ["default/a@3", "default/b@4 gone", "default/c@4 gone"]);
      assert.deepEqual(await changes(3), ["default/b@4 gone", "default/c@4 gone"]);
      assert.deepEqual(await changes(4), []);
      assert.equal((await each.changesSince(2))?.revision, 4);
    }
  });

  test(`${name}: a revision that the log no longer reaches, or that is not yet, has no delta`, async (t) => {
    const reopen = await setUp(t);
    const store = await reopen({ maxLogEntries: 20 });
    assert.equal(await store.changesSince(0), null);
    for (let index = 0; index < 100; index++) {
      await store.commit([put("a", `10.0.0.${index}`)], store.revision());
    }
    const newest = store.revision();
    for (const again of [false, true]) {
      const each = again ? await reopen({ maxLogEntries: 20 }) : store;
      assert.equal(await each.changesSince(1), null);
      assert.equal(await each.changesSince(newest + 1), null);
      const near = await each.changesSince(newest - 10);
      assert.equal(near?.changes.length, 1);
      assert.equal((await load(each)).length, 1);
    }
  });

  test(`${name}: one commit larger than the log leaves no delta across it`, async (t) => {
    const store = await (await setUp(t))({ maxLogEntries: 20 });
    await store.commit(
      Array.from({ length: 50 }, (_, index) => put(`w${index}`)),
      1,
    );
    assert.equal(await store.changesSince(1), null);
    assert.deepEqual((await store.changesSince(2))?.changes, []);
    assert.equal((await load(store)).length, 50);
  });

  test(`${name}: subscribers see every commit once, in order, before it is acknowledged`, async (t) => {
    const store = await (await setUp(t))();
    const seen: Commit[] = [];
    const stop = store.subscribe((commit) => seen.push(commit));
    const first = await store.commit([put("a")], 1);
    assert.deepEqual(seen, [first]);
    await store.commit([drop("a")], 2);
    assert.deepEqual(
      seen.map(({ revision, changes }) => [revision, changes[0]?.value === null]),
      [
        [2, false],
        [3, true],
      ],
    );
    stop();
    await store.commit([put("a")], 3);
    assert.equal(seen.length, 2);
  });

  test(`${name}: what a subscriber gets does not change with the caller's objects`, async (t) => {
    const store = await (await setUp(t))();
    const addresses = ["10.0.0.1"];
    const value = { ...workload("a"), addresses };
    const { changes } = await store.commit([{ kind: "workload", key: "default/a", value }], 1);
    addresses.push("10.9.9.9");
    assert.deepEqual(dig(changes[0], "value.addresses"), ["10.0.0.1"]);
  });
}
