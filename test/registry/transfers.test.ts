import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Catalog } from "../../src/registry/catalog.ts";
import type { Write } from "../../src/registry/records.ts";
import { SqliteStore } from "../../src/registry/sqlite-store.ts";
import { Transfers } from "../../src/registry/transfers.ts";
import { dig, tempFolder } from "./setup.ts";

const put = (name: string, account = "a"): Write => ({
  kind: "workload",
  key: `default/${name}`,
  value: { name, namespace: "default", serviceAccount: account, host: "h1", addresses: [] },
});

async function setUp(t: TestContext) {
  const store = new SqliteStore({ path: join(await tempFolder(t), "registry.sqlite") });
  t.after(() => store.close());
  const catalog = await Catalog.open(store);
  const transfers = new Transfers(catalog, store);
  const commit = (...writes: Write[]) => store.commit(writes, store.revision());
  return { store, catalog, transfers, commit };
}

test("a delta is encoded once, however many daemons take it", async (t) => {
  const { transfers, commit } = await setUp(t);
  await commit(put("a"));
  const [one, other] = [await transfers.delta(1), await transfers.delta(1)];
  assert.equal(one, other);
  assert.ok(one?.part(0) !== undefined);
  assert.equal(one?.part(0), other?.part(0));
  await commit(put("b"));
  assert.notEqual(await transfers.delta(1), one, "a later commit makes another step");
});

test("a snapshot is shared while it is taken, kept fresh enough, and forgotten after", async (t) => {
  const { transfers, commit } = await setUp(t);
  await commit(put("a"));
  const first = transfers.acquireSnapshot(0);
  await commit(put("b"));
  assert.equal(transfers.acquireSnapshot(0), first);
  const newer = transfers.acquireSnapshot(first.to);
  assert.notEqual(newer, first, "whoever refused the first gets a later one");
  transfers.release(newer);
  transfers.release(first);
  assert.notEqual(transfers.acquireSnapshot(0), newer);
});

test("a delta from memory and one from the store say the same", async (t) => {
  const { store, catalog, transfers, commit } = await setUp(t);
  await commit(put("a"), put("b"));
  await commit(put("a", "second"), put("c"));
  await commit({ kind: "workload", key: "default/b", value: null });
  const fresh = new Transfers(catalog, store);
  const read = async (from: Transfers) => {
    const changes = dig(JSON.parse(String((await from.delta(2))?.part(0))), "changes");
    assert.ok(Array.isArray(changes));
    return changes.sort((x, y) => (String(dig(x, "key")) < String(dig(y, "key")) ? -1 : 1));
  };
  const fromMemory = await read(transfers);
  assert.equal(fromMemory.length, 3);
  assert.deepEqual(await read(fresh), fromMemory);
});

test("a step of many or of large records comes in bounded parts, a step of none in one", async (t) => {
  const { transfers, commit } = await setUp(t);
  await commit(...Array.from({ length: 2_500 }, (_, index) => put(`w${index}`)));
  await commit(...Array.from({ length: 20 }, (_, index) => put(`w${index}`, "x".repeat(100_000))));
  const parts = (step: { part(index: number): Buffer | undefined } | null) => {
    const found: { last: unknown; size: number; records: number }[] = [];
    for (let index = 0; ; index++) {
      const part = step?.part(index);
      if (part === undefined) return found;
      const message: unknown = JSON.parse(part.toString("utf8"));
      const changes = dig(message, "changes");
      assert.ok(Array.isArray(changes));
      assert.equal(dig(message, "part"), index);
      found.push({ last: dig(message, "last"), size: part.length, records: changes.length });
    }
  };
  const large = parts(await transfers.delta(1));
  assert.equal(
    large.reduce((sum, { records }) => sum + records, 0),
    2_500,
  );
  assert.ok(large.every(({ records, size }) => records <= 1_000 && size < 400_000));
  assert.deepEqual(
    large.map(({ last }) => last),
    large.map((_, index) => index === large.length - 1),
  );
  await commit();
  assert.deepEqual(
    parts(await transfers.delta(3)).map(({ last, records }) => [last, records]),
    [[true, 0]],
  );
});
