import assert from "node:assert/strict";
import { test } from "node:test";
import { Catalog } from "../../src/registry/catalog.ts";
import type { Write } from "../../src/registry/records.ts";
import { type Commit, StaleRevisionError, type Store } from "../../src/registry/store.ts";
import { Writer } from "../../src/registry/writer.ts";

const value = {
  ...{ name: "w", namespace: "default", serviceAccount: "s", host: "h1" },
  addresses: [],
};

/** A store in memory of which commits can be made to fail. */
class FakeStore implements Store {
  readonly epoch = "e";
  readonly commits: (readonly Write[])[] = [];
  readonly failures: Error[] = [];
  #revision = 1;
  #tell: (commit: Commit) => void = () => {};

  revision(): number {
    return this.#revision;
  }
  async *load() {}
  async commit(writes: readonly Write[]): Promise<Commit> {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.commits.push(writes);
    const commit = { revision: ++this.#revision, changes: [] };
    this.#tell(commit);
    return commit;
  }
  async changesSince(): Promise<null> {
    return null;
  }
  subscribe(listener: (commit: Commit) => void): () => void {
    this.#tell = listener;
    return () => {};
  }
  async close(): Promise<void> {}
}

async function setUp() {
  const store = new FakeStore();
  return { store, writer: new Writer(store, await Catalog.open(store)) };
}

test("mutations of one turn share a commit, and one that fails is refused alone", async () => {
  const { store, writer } = await setUp();
  const outcomes = await Promise.allSettled([
    writer.run((draft) => draft.put("workload", "default/a", value)),
    writer.run((draft) => {
      draft.put("workload", "default/bad", value);
      throw new Error("no");
    }),
    writer.run((draft) => draft.get("workload", "default/a")?.name),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  assert.deepEqual(outcomes[2], { status: "fulfilled", value: { result: "w", revision: 2 } });
  assert.deepEqual(
    store.commits.map((writes) => writes.map(({ key }) => key)),
    [["default/a"]],
  );
});

test("a batch is planned anew when another registry wrote in between", async () => {
  const { store, writer } = await setUp();
  store.failures.push(new StaleRevisionError(1, 2), new StaleRevisionError(1, 2));
  let planned = 0;
  await writer.run((draft) => {
    planned++;
    draft.put("workload", "default/a", value);
  });
  assert.equal(planned, 3);
  assert.equal(store.commits.length, 1);
});

test("a store that fails, or is always ahead, is a 503 and does not stop later writes", async () => {
  const { store, writer } = await setUp();
  const put = () => writer.run((draft) => draft.put("workload", "default/a", value));
  store.failures.push(new Error("disk full"));
  await assert.rejects(put(), { status: 503, message: "the store did not take the write" });
  store.failures.push(...Array.from({ length: 100 }, () => new StaleRevisionError(1, 2)));
  await assert.rejects(put(), { status: 503 });
  assert.equal((await put()).revision, 2);
});

test("closing waits for what was accepted and refuses what comes later", async () => {
  const { store, writer } = await setUp();
  const accepted = writer.run((draft) => draft.put("workload", "default/a", value));
  await writer.close();
  assert.equal(store.commits.length, 1);
  await accepted;
  await assert.rejects(
    writer.run(() => {}),
    { status: 503 },
  );
});
