import assert from "node:assert/strict";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FolderPrivateStore } from "../../../src/registry/identity/folder-private-store.ts";
import { MemoryPlace } from "../../helpers/memory-private-store.ts";
import { tempFolder } from "../setup.ts";
import { privateStoreConformance } from "./private-store-conformance.ts";

const inFolder = async (t: TestContext) => {
  const folder = join(await tempFolder(t), "ca");
  return () => FolderPrivateStore.open(folder);
};
privateStoreConformance("a folder", inFolder, false);

privateStoreConformance("the tests' memory", async () => {
  const place = new MemoryPlace();
  return () => Promise.resolve(place.open());
});

test("files of a folder are the owner's alone, and what a crash left is no entry", async (t) => {
  const folder = join(await tempFolder(t), "ca");
  const store = await FolderPrivateStore.open(folder);
  await store.write("authorities.json", "{}", null);
  await writeFile(join(folder, "authorities.json.new"), "half", { mode: 0o644 });
  assert.deepEqual(await store.list(), ["authorities.json"]);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  for (const name of await readdir(folder)) {
    if (!name.endsWith(".new")) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600);
  }
  const { version } = (await store.read("authorities.json")) ?? { version: "" };
  await store.write("authorities.json", "{ }", version);
  assert.equal((await store.read("authorities.json"))?.content, "{ }");
});
