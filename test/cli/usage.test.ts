import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { parse } from "yaml";
import { MAIN, runCli, runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-cli-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Nothing listens on port 1 of loopback. */
const NOBODY = "http://127.0.0.1:1";

describe("usage", () => {
  it("an unknown command, option or choice exits with 2 and points to the help", async () => {
    for (const args of [
      ["bogus"],
      ["stat", "--bogus"],
      ["stat", "-o", "xml"],
      ["service", "register", "x", "--port", "99999"],
      ["service", "register", "x", "--port", "80", "--interval", "5s"],
      ["service", "register", "x"],
      ["service"],
      ["stat", "--watch", "-o", "json"],
      ["daemon", "--set", "nonsense"],
    ]) {
      const { code, stdout, stderr } = await runCliHere(args);
      assert.equal(code, 2, args.join(" "));
      assert.equal(stdout, "", args.join(" "));
      assert.match(stderr, /--help|leave out|Usage:/, args.join(" "));
    }
  });

  it("what is written to a pipe arrives whole, however much it is", async () => {
    const resource = (index: number) =>
      `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: c${index} }\n`;
    const path = join(folder, "many.yaml");
    writeFileSync(path, Array.from({ length: 4_000 }, (_, index) => resource(index)).join("---\n"));
    const { code, stdout } = await runCli(["analyze", "--offline", "-f", path, "-o", "json"]);
    assert.equal(code, 0);
    const findings: unknown[] = JSON.parse(stdout);
    assert.equal(findings.length, 4_000);
  });

  it("the process itself ends with that code", async () => {
    const { code, stdout, stderr } = await runCli(["stat", "--bogus"]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^error: unknown option '--bogus'\n\(run `hostmesh stat --help`/);
  });

  it("bad settings exit with 2 and name the setting and where it came from", async () => {
    const file = join(folder, "bad.yaml");
    writeFileSync(file, "ports:\n  explicit: many\n");
    const fromFile = await runCliHere(["config", "dump", "--offline", "--config", file]);
    assert.equal(fromFile.code, 2);
    assert.match(fromFile.stderr, /bad\.yaml:2.*ports\.explicit/);
    const fromFlag = await runCliHere(["config", "dump", "--offline", "--set", "ports.expicit=1"]);
    assert.equal(fromFlag.code, 2);
    assert.match(fromFlag.stderr, /expicit/);
  });

  it("flags win over --set, and --set over the file", async () => {
    const file = join(folder, "good.yaml");
    writeFileSync(file, "host: from-file\ncapture:\n  mode: redirect\n  onDeath: closed\n");
    const args = ["config", "dump", "--offline", "--config", file];
    const { stdout } = await runCliHere([
      ...args,
      "--set",
      "host=from-set",
      "--capture",
      "explicit",
    ]);
    const { settings } = parse(stdout);
    assert.equal(settings.host, "from-set");
    assert.deepEqual([settings.capture.mode, settings.capture.onDeath], ["explicit", "closed"]);
    const direct = await runCliHere([...args, "--set", "host=from-set", "--host", "from-flag"]);
    assert.equal(parse(direct.stdout).settings.host, "from-flag");
  });

  it("says which command starts what cannot be reached, in two lines without a stack", async () => {
    const stat = await runCliHere(["stat", "--admin", NOBODY]);
    assert.equal(stat.code, 1);
    assert.match(
      stat.stderr,
      /^error: cannot reach the daemon at http:\/\/127\.0\.0\.1:1: connection refused\nhint: .*`hostmesh up`.*\n$/,
    );
    const list = await runCliHere(["service", "list", "--registry", NOBODY]);
    assert.equal(list.code, 1);
    assert.match(
      list.stderr,
      /^error: cannot reach the registry .*\nhint: .*`hostmesh registry`.*\n$/,
    );
  });

  it("shows stack and causes with --debug, before or after the command", async () => {
    for (const args of [
      ["--debug", "stat", "--admin", NOBODY],
      ["stat", "--admin", NOBODY, "--debug"],
    ]) {
      const { stderr } = await runCliHere(args);
      assert.match(stderr, /\n {4}at /);
      assert.match(stderr, /ECONNREFUSED/);
    }
  });

  it("ends quietly when the reader of its output goes away", async () => {
    const child = spawn(process.execPath, [MAIN, "config", "dump", "--offline"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      stderr += part;
    });
    const [code] = await once(child, "close");
    assert.equal(stderr, "");
    assert.equal(code, 0);
  });
});

describe("output", () => {
  it("has the same facts as a table, JSON and YAML", async () => {
    const [table, json, yaml] = await Promise.all(
      ["table", "json", "yaml"].map((format) => runCli(["version", "-o", format])),
    );
    const facts = JSON.parse(json?.stdout ?? "");
    assert.equal(facts.hostmesh, "0.1.0");
    assert.deepEqual(parse(yaml?.stdout ?? ""), facts);
    for (const [name, value] of Object.entries(facts)) {
      assert.match(table?.stdout ?? "", new RegExp(`^${name} +${value}$`, "m"));
    }
  });

  it("has colour in a pipe only when it is forced", async () => {
    const has = (text: string): boolean => text.includes("\u001b[");
    assert.equal(has((await runCli(["version"])).stdout), false);
    assert.equal(has((await runCli(["version"], { env: { FORCE_COLOR: "1" } })).stdout), true);
    const both = { NO_COLOR: "1", FORCE_COLOR: "0" };
    assert.equal(has((await runCli(["version"], { env: both })).stdout), false);
    const error = await runCli(["stat", "--admin", NOBODY], { env: { FORCE_COLOR: "1" } });
    assert.equal(has(error.stderr), true);
  });
});

describe("iptables print", () => {
  it("prints the commands of both modes to anybody, and refuses where there are none", async () => {
    const tproxy = await runCliHere(["iptables", "print", "--all", "--capture", "tproxy"]);
    assert.equal(tproxy.code, 0, tproxy.stderr);
    assert.match(tproxy.stdout, /-j TPROXY --on-port 15001/);
    const redirect = await runCliHere(["iptables", "print", "--all", "--capture", "redirect"]);
    assert.match(redirect.stdout, /-j REDIRECT --to-ports 15001/);
    const explicit = await runCliHere(["iptables", "print", "--capture", "explicit"]);
    assert.equal(explicit.code, 2);
    assert.match(explicit.stderr, /--capture tproxy/);
  });
});
