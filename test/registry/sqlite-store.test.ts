import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { SqliteStore } from "../../src/registry/sqlite-store.ts";
import { tempFolder } from "./setup.ts";
import { storeConformance } from "./store-conformance.ts";

storeConformance("SqliteStore", async (t) => {
  const path = join(await tempFolder(t), "registry.sqlite");
  let open: SqliteStore | null = null;
  t.after(() => open?.close());
  return async (options = {}) => {
    await open?.close();
    open = new SqliteStore({ path, ...options });
    return open;
  };
});

test("a second registry cannot open the file of the first", async (t) => {
  const path = join(await tempFolder(t), "registry.sqlite");
  const store = new SqliteStore({ path });
  assert.throws(() => new SqliteStore({ path }), /cannot open the registry store .*locked/);
  await store.close();
  await new SqliteStore({ path }).close();
});

test("a file of another program, of another format, or of no database is refused and left alone", async (t) => {
  const folder = await tempFolder(t);
  const foreign = join(folder, "foreign.sqlite");
  const db = new DatabaseSync(foreign);
  db.exec("CREATE TABLE cookies(a)");
  db.close();
  assert.throws(() => new SqliteStore({ path: foreign }), /belongs to another program/);
  const newer = join(folder, "newer.sqlite");
  await new SqliteStore({ path: newer }).close();
  const raised = new DatabaseSync(newer);
  raised.exec("PRAGMA user_version = 99");
  raised.close();
  assert.throws(() => new SqliteStore({ path: newer }), /format 99/);
  const garbage = join(folder, "garbage.sqlite");
  await writeFile(garbage, "this is not a database, it is a text of some length ".repeat(20));
  assert.throws(() => new SqliteStore({ path: garbage }), /not a database/);
});

test("a record that this version cannot read is named", async (t) => {
  const path = join(await tempFolder(t), "registry.sqlite");
  await new SqliteStore({ path }).close();
  const db = new DatabaseSync(path);
  db.exec(`INSERT INTO records VALUES ('endpoint', 'h1/web', 2, 2, '{"endpoint":{}}')`);
  db.close();
  const store = new SqliteStore({ path });
  t.after(() => store.close());
  await assert.rejects(store.load()[Symbol.asyncIterator]().next(), /stored endpoint h1\/web/);
});
