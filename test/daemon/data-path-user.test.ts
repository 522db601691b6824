import assert from "node:assert/strict";
import { lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import test from "node:test";
import { dataPathUser, giveDataFolder } from "../../daemon/data-path-user.ts";
import { StartError } from "../../daemon/start-error.ts";
import { configSchema } from "../../src/config/schema.ts";

const USER = { uid: 64_101, gid: 64_102 };
const NEEDED = 0b1110_0000;
const root = (caps: number) => ({
  uid: 0,
  gid: 0,
  status: `Name:\tnode\nCapEff:\t${caps.toString(16).padStart(16, "0")}\n`,
});
const needsRoot = { skip: process.getuid?.() === 0 ? false : "needs root" };

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-user-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const ownerOf = (path: string) => {
  const { uid, gid } = lstatSync(path);
  return { uid, gid };
};

test("a user is two numbers, neither of them root's", () => {
  for (const user of ["0:0", "1000", "1000:0", "0:1000", "nobody", "1000:1000:1", "-1:5", " 1:1"]) {
    assert.throws(() => configSchema.parse({ user }), /UID:GID/, user);
  }
  assert.equal(configSchema.parse({ user: "1000:1000" }).user, "1000:1000");
  assert.equal(configSchema.parse({}).user, "");
});

test("without the setting, or as that very user, generations run as the daemon", () => {
  assert.equal(dataPathUser({ user: "" }, root(0)), null);
  const self = { uid: 1_000, gid: 1_001, status: root(0).status };
  assert.equal(dataPathUser({ user: "1000:1001" }, self), null);
  assert.throws(() => dataPathUser({ user: "1000:1000" }, self), StartError);
});

test("whoever may not start and end another user's process is told what is missing", () => {
  assert.deepEqual(dataPathUser({ user: "64101:64102" }, root(NEEDED)), USER);
  const verdict = (status: string | null) => () =>
    dataPathUser({ user: "64101:64102" }, { uid: 0, gid: 0, status });
  assert.throws(verdict(root(0b1100_0000).status), /has no CAP_KILL$/);
  assert.throws(verdict(root(0).status), /has no CAP_KILL, CAP_SETGID, CAP_SETUID$/);
  assert.throws(verdict(null), /has no CAP_KILL/);
});

test(
  "the data folder becomes the user's, with all in it, and no link is followed",
  needsRoot,
  (t) => {
    const folder = scratch(t);
    const dataDir = join(folder, "data");
    const outside = join(folder, "outside");
    mkdirSync(join(dataDir, "identity"), { recursive: true });
    writeFileSync(join(dataDir, "identity/host.key"), "key", { mode: 0o600 });
    writeFileSync(outside, "not ours");
    symlinkSync(outside, join(dataDir, "link"));
    giveDataFolder(dataDir, USER);
    for (const path of ["", "identity", "identity/host.key", "link"]) {
      assert.deepEqual(ownerOf(join(dataDir, path)), USER, path);
    }
    assert.equal(ownerOf(outside).uid, 0);
    giveDataFolder(dataDir, USER);
  },
);

test("a data folder that is missing is made for the user", needsRoot, (t) => {
  const dataDir = join(scratch(t), "a/b");
  giveDataFolder(dataDir, USER);
  assert.deepEqual(ownerOf(dataDir), USER);
  assert.equal(lstatSync(dataDir).mode & 0o777, 0o750);
});

test("the registry's folder, and somebody else's, are not given away", needsRoot, (t) => {
  const folder = scratch(t);
  const [ofRegistry, foreign] = [join(folder, "registry"), join(folder, "foreign")];
  mkdirSync(join(ofRegistry, "ca"), { recursive: true });
  assert.throws(() => giveDataFolder(ofRegistry, USER), /also holds the registry's ca/);
  assert.equal(ownerOf(ofRegistry).uid, 0);
  mkdirSync(foreign, { mode: 0o700 });
  giveDataFolder(foreign, { uid: 64_200, gid: 64_200 });
  assert.throws(() => giveDataFolder(foreign, USER), /belongs to user 64200/);
});
