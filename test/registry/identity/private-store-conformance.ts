import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  PrivateConflictError,
  type PrivateStore,
} from "../../../src/registry/identity/private-store.ts";
import { until } from "../../helpers/until.ts";

/** Opens the same place each time it is called within one test. */
export type OpenPlace = (t: TestContext) => Promise<() => Promise<PrivateStore>>;

/** What every private store must do. `isShared`: several registries may have the place open. */
export function privateStoreConformance(name: string, openPlace: OpenPlace, isShared = true): void {
  test(`${name}: an entry is made, read, replaced and removed`, async (t) => {
    const store = await (await openPlace(t))();
    assert.equal(await store.read("one.json"), null);
    const first = await store.write("one.json", "secret ä\n", null);
    assert.deepEqual(await store.read("one.json"), { content: "secret ä\n", version: first });
    const second = await store.write("one.json", "other", first);
    assert.notEqual(second, first);
    await store.write("two", "x".repeat(200_000), null);
    assert.deepEqual(await store.list(), ["one.json", "two"]);
    await store.remove("one.json", second);
    assert.equal(await store.read("one.json"), null);
    assert.deepEqual(await store.list(), ["two"]);
  });

  test(`${name}: who has not read the newest changes nothing`, async (t) => {
    const store = await (await openPlace(t))();
    const first = await store.write("a", "1", null);
    const second = await store.write("a", "2", first);
    for (const expected of [null, first, "nonsense"]) {
      await assert.rejects(store.write("a", "3", expected), PrivateConflictError);
    }
    await assert.rejects(store.remove("a", first), PrivateConflictError);
    await assert.rejects(store.write("b", "3", first), PrivateConflictError);
    await assert.rejects(store.remove("b", first), PrivateConflictError);
    assert.deepEqual(await store.read("a"), { content: "2", version: second });
    assert.equal(await store.read("b"), null);
  });

  test(`${name}: of many that write at once, each change is made on the one before`, async (t) => {
    const open = await openPlace(t);
    const store = await open();
    await store.write("count", "0", null);
    const raise = async () => {
      for (;;) {
        const entry = await store.read("count");
        assert.ok(entry);
        try {
          await store.write("count", String(Number(entry.content) + 1), entry.version);
          return;
        } catch (error) {
          if (!(error instanceof PrivateConflictError)) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, raise));
    assert.equal((await store.read("count"))?.content, "8");
    assert.equal((await (await open()).read("count"))?.content, "8");
  });

  test(`${name}: writes of different entries do not stand in each other's way`, async (t) => {
    const store = await (await openPlace(t))();
    const names = Array.from({ length: 6 }, (_, index) => `entry-${index}`);
    await Promise.all(names.map((each) => store.write(each, each, null)));
    assert.deepEqual(await store.list(), names);
  });

  test(`${name}: a name that is none is refused, and never becomes a path`, async (t) => {
    const store = await (await openPlace(t))();
    for (const bad of ["", "..", "../a", "a/b", ".a", "a\0", "x".repeat(129)]) {
      await assert.rejects(async () => store.read(bad), TypeError, bad);
      await assert.rejects(async () => store.write(bad, "", null), TypeError, bad);
    }
  });

  if (!isShared) return;
  test(`${name}: what another writes is told`, async (t) => {
    const open = await openPlace(t);
    const [mine, theirs] = [await open(), await open()];
    assert.ok(mine.watch);
    const told = new Set<string>();
    const end = mine.watch((changed) => told.add(changed));
    t.after(end);
    const version = await theirs.write("told", "1", null);
    await until(() => told.has("told"), { what: "the new entry" });
    told.clear();
    await theirs.remove("told", version);
    await until(() => told.has("told"), { what: "the removal" });
  });
}
