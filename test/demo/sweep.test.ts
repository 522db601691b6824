import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  demoStateFile,
  markProcess,
  readDemoState,
  startTimeOf,
  stillRuns,
  writeDemoState,
} from "../../daemon/demo/state.ts";
import { sweepDemo } from "../../daemon/demo/sweep.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-sweep-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const linux = process.platform === "linux" ? false : "needs /proc";

let deregistrations = 0;
async function deregister(): Promise<void> {
  deregistrations += 1;
}

/** A process that does nothing until it is killed. */
function idleProcess() {
  return spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)"], { stdio: "ignore" });
}

describe("sweep of a killed demo", () => {
  it("does and says nothing where there is nothing to clear", async () => {
    const lines: string[] = [];
    const stateFile = join(folder, "none.json");
    await sweepDemo({ stateFile, privileged: false, deregister, log: (line) => lines.push(line) });
    assert.deepEqual(lines, []);
    assert.equal(deregistrations, 0);
  });

  it("kills the programs that are still there and removes the state", { skip: linux }, async () => {
    const child = idleProcess();
    const gone = once(child, "exit");
    const mark = await markProcess(child.pid ?? 0);
    assert.ok(mark);
    const stateFile = join(folder, "killed.json");
    await writeDemoState(stateFile, {
      owner: { pid: 4_194_303, startedAt: "1" },
      processes: [mark, { pid: process.pid, startedAt: "1" }],
    });
    const lines: string[] = [];
    await sweepDemo({ stateFile, privileged: false, deregister, log: (line) => lines.push(line) });
    const [, signal] = await gone;
    assert.equal(signal, "SIGKILL");
    assert.equal(deregistrations, 1, "what the killed demo registered is taken back");
    assert.equal(existsSync(stateFile), false);
    assert.match(lines[0] ?? "", new RegExp(`process ${mark.pid}$`));
  });

  it("refuses to disturb a demo that runs", { skip: linux }, async () => {
    const child = idleProcess();
    try {
      const owner = await markProcess(child.pid ?? 0);
      assert.ok(owner);
      const stateFile = join(folder, "running.json");
      await writeDemoState(stateFile, { owner, processes: [] });
      await assert.rejects(sweepDemo({ stateFile, privileged: false, deregister, log: () => {} }), {
        message: new RegExp(`another demo runs on this host \\(process ${owner.pid}\\)`),
      });
      assert.equal(existsSync(stateFile), true);
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("tells a process from a later one with the same number", { skip: linux }, async () => {
    const mark = await markProcess(process.pid);
    assert.ok(mark);
    assert.equal(await stillRuns(mark), true);
    assert.equal(await stillRuns({ ...mark, startedAt: `${mark.startedAt}0` }), false);
    assert.equal(await stillRuns({ pid: mark.pid, startedAt: "" }), false);
  });

  it("takes a damaged state file for none", async () => {
    const stateFile = join(folder, "damaged.json");
    for (const text of ["{", '{"owner":{"pid":0}}', "[]"]) {
      writeFileSync(stateFile, text);
      assert.equal(await readDemoState(stateFile), null);
    }
  });

  it("finds the start time behind a command with brackets and spaces in it", () => {
    const rest = Array.from({ length: 19 }, (_, at) => `f${at}`).join(" ");
    assert.equal(startTimeOf(`42 (a) b (c)) ${rest} 777 0`), "777");
  });

  it("keeps the state of a privileged demo where every other one finds it", () => {
    assert.equal(demoStateFile(true, "/a"), demoStateFile(true, "/b"));
    assert.equal(demoStateFile(false, "/a"), "/a/demo.json");
  });
});
