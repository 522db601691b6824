import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { claimDemoFolder, sweepDemoFolder } from "../../daemon/demo/claim-folder.ts";
import { folderStateFile, ownsDemoFolder } from "../../daemon/demo/data-folder.ts";
import { markProcess, writeDemoState } from "../../daemon/demo/state.ts";

const base = mkdtempSync(join(tmpdir(), "hostmesh-folder-"));
after(() => rmSync(base, { recursive: true, force: true }));
const posix = process.getuid === undefined ? "needs owners and modes" : false;
const linux = process.platform === "linux" ? false : "needs /proc";

describe("the demo's own data folder", () => {
  it("is for its user alone, and says who uses it", async () => {
    const folder = join(base, "fresh");
    assert.equal(await ownsDemoFolder(folder), false);
    await claimDemoFolder({ folder, log: () => undefined });
    if (!posix) assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.match(
      readFileSync(folderStateFile(folder), "utf8"),
      new RegExp(`"pid":${process.pid}\\b`),
    );
  });

  it("is emptied of what a killed demo left", async () => {
    const folder = join(base, "killed");
    await claimDemoFolder({ folder, log: () => undefined });
    await writeDemoState(folderStateFile(folder), {
      owner: { pid: 4_194_303, startedAt: "1" },
      processes: [],
    });
    writeFileSync(join(folder, "registry.sqlite"), "old");
    const lines: string[] = [];
    await claimDemoFolder({ folder, log: (line) => lines.push(line) });
    assert.equal(existsSync(join(folder, "registry.sqlite")), false);
    assert.match(lines.join(), /which a demo that was killed left/);
    await sweepDemoFolder({ folder, log: () => undefined });
    assert.equal(existsSync(folder), false);
  });

  it("is left alone while another demo uses it", { skip: linux }, async () => {
    const folder = join(base, "busy");
    await claimDemoFolder({ folder, log: () => undefined });
    const owner = await markProcess(process.ppid);
    assert.ok(owner);
    await writeDemoState(folderStateFile(folder), { owner, processes: [] });
    const claimed = claimDemoFolder({ folder, log: () => undefined });
    await assert.rejects(claimed, { name: "StartError", message: /another demo runs/ });
    assert.equal(existsSync(folder), true);
  });

  it("refuses a link, a file, and a folder that others can write to", { skip: posix }, async () => {
    const elsewhere = join(base, "elsewhere");
    mkdirSync(elsewhere, { mode: 0o700 });
    writeFileSync(join(elsewhere, "precious"), "");
    const link = join(base, "link");
    symlinkSync(elsewhere, link);
    const file = join(base, "file");
    writeFileSync(file, "", { mode: 0o600 });
    const open = join(base, "open");
    mkdirSync(open);
    chmodSync(open, 0o777);
    for (const folder of [link, file, open]) {
      await assert.rejects(
        claimDemoFolder({ folder, log: () => undefined }),
        /not a folder of this user alone/,
      );
    }
    assert.equal(existsSync(join(elsewhere, "precious")), true);
  });
});
