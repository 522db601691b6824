import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Command } from "commander";
import { commandTree } from "../../src/cli/completion/command-tree.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { runCli } from "./run.ts";

const output = {
  color: false,
  isTerminal: false,
  width: () => 80,
  line: () => {},
  write: () => {},
};
const program = buildProgram(output, output, () => {});

/** The command at a path, with its complete help. */
function helpOf(path: readonly string[]): string {
  let command: Command = program;
  for (const word of path) {
    const child = command.commands.find((each) => each.name() === word);
    assert.ok(child, word);
    command = child;
  }
  let text = "";
  command.configureOutput({
    writeOut(part) {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}

describe("help", () => {
  const paths = commandTree(program).map((node) => node.path);

  it("knows every command of the specification", () => {
    const all = paths.map((path) => path.join(" "));
    for (const name of [
      "up",
      "daemon",
      "registry",
      "service register",
      "service deregister",
      "service list",
      "workload register",
      "workload deregister",
      "workload list",
      "apply",
      "get",
      "delete",
      "diff",
      "analyze",
      "history",
      "rollback",
      "iptables install",
      "iptables uninstall",
      "iptables print",
      "iptables check",
      "check",
      "stat",
      "top",
      "edges",
      "routes",
      "proxy-status",
      "config dump",
      "completion",
      "version",
    ]) {
      assert.ok(all.includes(name), name);
    }
  });

  for (const path of paths) {
    it(`of "hostmesh ${path.join(" ")}" has an example of itself and the exit codes`, () => {
      const text = helpOf(path);
      assert.match(text, /^Examples?:$/m);
      assert.match(text, new RegExp(`\\$ .*hostmesh${path.map((word) => ` ${word}`).join("")}`));
      assert.match(text, /Exit codes:/);
    });
  }

  it("examples use only options that exist", () => {
    for (const node of commandTree(program)) {
      const lines = helpOf(node.path)
        .split("\n")
        .filter((line) => line.startsWith("  $ "));
      for (const line of lines) {
        const words = /hostmesh (.*)/.exec(line)?.[1]?.split(/[|>)]/)[0]?.split(/\s+/) ?? [];
        const at = commandTree(program)
          .filter(({ path }) => path.every((word, index) => words[index] === word))
          .sort((a, b) => b.path.length - a.path.length)[0];
        const known = at?.options.flatMap((option) => option.names) ?? [];
        for (const word of words.filter((each) => /^--?[a-z]/.test(each))) {
          assert.ok(known.includes(word), `${line}: ${word}`);
        }
      }
    }
  });

  it("goes to standard output with exit code 0", async () => {
    const { code, stdout, stderr } = await runCli(["service", "register", "--help"]);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^Usage: hostmesh service register /);
  });
});
