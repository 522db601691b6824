import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { runCli, runCliHere } from "./run.ts";
import { openPeer } from "./sight/peer.ts";

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
    writeFileSync(
      join(folder, "hostmesh"),
      "#!/bin/sh\nprintf 'catalog\\nstore\\n'; echo \"$2-1\"\n",
    );
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
    assert.deepEqual(complete("hostmesh stat --to cat"), ["catalog"]);
    assert.deepEqual(complete("hostmesh edges --from work"), ["workloads-1"]);
    assert.deepEqual(complete("hostmesh top -n name"), ["namespaces-1"]);
    assert.deepEqual(complete("hostmesh routes --host host"), ["hosts-1"]);
    assert.deepEqual(complete("hostmesh stat --sort p"), ["p99"]);
    assert.deepEqual(complete("hostmesh prox"), ["proxy-status"]);
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

  it("prints names that the registry knows, and none that a shell would act on", async () => {
    const registry = await openPeer();
    try {
      registry.answers.set("/v1/mesh/services", [
        200,
        [
          { name: "catalog", namespace: "default" },
          { name: "ext.example.com", namespace: "shop" },
          { name: "$(touch /tmp/x)", namespace: "default" },
          { name: "a b", namespace: "default" },
        ],
      ]);
      registry.answers.set("/v1/mesh/workloads", [200, [{ name: "web", namespace: "lab" }]]);
      const daemons = [{ host: "node-a" }, { host: "`id`" }];
      registry.answers.set("/v1/mesh/status", [200, { daemons }]);
      const names = async (kind: string) => {
        const { stdout } = await runCliHere(["completion", kind, "--registry", registry.url]);
        return stdout.trim().split("\n");
      };
      assert.deepEqual(await names("services"), ["catalog", "ext.example.com.shop"]);
      assert.deepEqual(await names("workloads"), ["web.lab"]);
      assert.deepEqual(await names("hosts"), ["node-a"]);
      assert.deepEqual(await names("namespaces"), ["default", "shop", "lab"]);
    } finally {
      registry.close();
    }
  });

  it("prints no names and no error while no registry can be asked", async () => {
    const result = await runCli(["completion", "services", "--registry", "http://127.0.0.1:1"]);
    assert.deepEqual(result, { code: 0, stdout: "", stderr: "" });
  });
});
