import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { runCli } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-completion-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a shell says, or null where it is not installed. */
function shell(
  name: string,
  args: readonly string[],
): { status: number | null; text: string } | null {
  const { error, status, stdout, stderr } = spawnSync(name, [...args], { encoding: "utf8" });
  return error === undefined ? { status, text: stdout + stderr } : null;
}

describe("completion", () => {
  const scripts = new Map<string, string>();
  before(async () => {
    for (const name of ["bash", "zsh", "fish"]) {
      const { code, stdout } = await runCli(["completion", name]);
      assert.equal(code, 0);
      scripts.set(name, join(folder, name));
      writeFileSync(join(folder, name), stdout);
    }
    // Stands in for the program when a script asks for the names of services.
    writeFileSync(join(folder, "hostmesh"), "#!/bin/sh\nprintf 'catalog\\nstore\\n'\n");
    chmodSync(join(folder, "hostmesh"), 0o755);
  });

  // Of the others, those that this machine has: a shell that is missing here proves nothing either way.
  for (const name of ["bash", ...["zsh", "fish"].filter((each) => shell(each, ["-c", "true"]))]) {
    it(`for ${name} is parsed by ${name} itself`, () => {
      assert.deepEqual(shell(name, ["-n", scripts.get(name) ?? ""]), { status: 0, text: "" });
    });
  }

  /** Completes a command line in a real bash, as a TAB at its end would. */
  function complete(line: string): string[] {
    const words = line.split(" ");
    const script = `source ${scripts.get("bash")}
      COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
      _hostmesh; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const env = { PATH: `${folder}:${process.env["PATH"]}` };
    const answer = execFileSync("bash", ["--norc", "-c", script], {
      encoding: "utf8",
      env,
      cwd: folder,
    });
    return answer.split("\n").filter((word) => word !== "");
  }

  it("offers commands, subcommands, options, values and services in bash", () => {
    assert.ok(complete("hostmesh ").includes("iptables"));
    assert.deepEqual(complete("hostmesh st"), ["stat"]);
    assert.deepEqual(complete("hostmesh service "), ["register", "deregister", "list"]);
    assert.ok(complete("hostmesh service register --che").includes("--check-http"));
    assert.deepEqual(complete("hostmesh up --capture t"), ["tproxy"]);
    assert.deepEqual(complete("hostmesh up --on-death "), ["open", "closed"]);
    assert.deepEqual(complete("hostmesh stat cat"), ["catalog"]);
    assert.deepEqual(complete("hostmesh completion z"), ["zsh"]);
    assert.ok(complete("hostmesh check --deb").includes("--debug"));
    assert.ok(complete("hostmesh up --config b").includes("bash"), "files of the folder");
  });

  it("lists every command in every script", async () => {
    const { commandTree } = await import("../../src/cli/completion/command-tree.ts");
    const { buildProgram } = await import("../../src/cli/program.ts");
    const silent = { color: false, isTerminal: false, width: () => 80, line() {}, write() {} };
    const names = commandTree(buildProgram(silent, silent, () => {})).flatMap(({ path }) => path);
    for (const name of ["bash", "zsh", "fish"]) {
      const { stdout } = await runCli(["completion", name]);
      for (const command of names) assert.ok(stdout.includes(command), `${name}: ${command}`);
    }
  });

  it("prints no names and no error while no registry can be asked", async () => {
    const result = await runCli(["completion", "services", "--registry", "http://127.0.0.1:1"]);
    assert.deepEqual(result, { code: 0, stdout: "", stderr: "" });
  });
});
