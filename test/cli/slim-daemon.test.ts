import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, it } from "node:test";
import { isDaemonCommand } from "../../src/cli/slim-daemon.ts";
import { MAIN, runCli } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-slim-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const ROOT = join(import.meta.dirname, "../..");
const NOBODY = "http://127.0.0.1:1";
const PORTS = ["ports.explicit", "ports.admin", "ports.metrics", "ports.ready"];
const DAEMON = ["daemon", "--capture", "explicit", "--registry", NOBODY, "--data", folder];
const ANY_PORTS = PORTS.flatMap((name) => ["--set", `${name}=0`]);

/** The packages that a file loads at once: its own static imports and those of the files that it imports so. */
function packagesOf(entry: string): string[] {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const statements = readFileSync(file, "utf8").matchAll(
      /^(?:import|export)\b(?!\s+type\b)(?:[^;'"]*?\bfrom)?\s*"([^"]+)"/gm,
    );
    for (const [, to = ""] of statements) {
      if (to.startsWith(".")) visit(join(dirname(file), to));
      else if (!to.startsWith("node:")) packages.add(to);
    }
  };
  visit(entry);
  return [...packages].sort();
}

describe("the process of hostmesh daemon", () => {
  it("loads no parser and no schema that would stay in memory", () => {
    assert.deepEqual(packagesOf(MAIN), []);
    assert.deepEqual(packagesOf(join(ROOT, "daemon/main.ts")), []);
    const generation = packagesOf(join(ROOT, "daemon/generation.ts"));
    assert.deepEqual([generation.includes("ws"), generation.includes("undici")], [true, false]);
  });

  it("is known by the first word that is no option", () => {
    assert.equal(isDaemonCommand(["daemon", "--set", "a=b"]), true);
    assert.equal(isDaemonCommand(["--debug", "daemon"]), true);
    assert.equal(isDaemonCommand(["check", "daemon"]), false);
    assert.equal(isDaemonCommand(["--help"]), false);
    assert.equal(isDaemonCommand([]), false);
  });

  it("prints help and errors once, with their codes, though another process finds them", async () => {
    const help = await runCli(["daemon", "--help"]);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /^Usage: hostmesh daemon \[options\]\n/);
    const bad = await runCli(["daemon", "--set", "nonsense"]);
    assert.deepEqual([bad.code, bad.stdout], [2, ""]);
    assert.match(bad.stderr, /^error: .*nonsense.*\n\(run `hostmesh daemon --help`/);
    const unset = await runCli(["daemon", "--set", "ports.expicit=1"]);
    assert.equal(unset.code, 2);
    assert.match(unset.stderr, /^error: command line: .*ports.*\n$/s);
  });

  it("reports what keeps it from starting, as the command does", async () => {
    const { code, stderr } = await runCli([
      ...DAEMON,
      ...ANY_PORTS,
      "--set",
      "ports.bind=192.0.2.1",
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /^error: .*192\.0\.2\.1/m);
  });

  const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };
  it(
    "serves, keeps the settings' reader no longer than it needs it, and ends with 0",
    onLinux,
    async () => {
      const child = spawn(process.execPath, [MAIN, ...DAEMON, ...ANY_PORTS], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const exited = once(child, "exit");
      try {
        for await (const line of createInterface(child.stderr)) {
          if (line.includes("the daemon serves")) break;
        }
        const task = `/proc/${child.pid}/task`;
        const children = readdirSync(task).flatMap((thread) =>
          readFileSync(`${task}/${thread}/children`, "utf8").trim().split(" ").filter(Boolean),
        );
        const commands = children.map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
        assert.equal(commands.length, 1, commands.join("; "));
        assert.match(commands[0] ?? "", /generation/);
      } finally {
        child.kill("SIGTERM");
      }
      assert.deepEqual(await exited, [0, null]);
    },
  );
});
