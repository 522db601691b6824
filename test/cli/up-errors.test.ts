import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { SqliteStore } from "../../src/registry/sqlite-store.ts";
import { until } from "../helpers/until.ts";
import { type CliResult, MAIN, runCli } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-up-errors-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const PORTS = ["ports.explicit", "ports.admin", "ports.metrics", "ports.ready", "registry.port"];

function up(data: string, ...more: string[]): Promise<CliResult> {
  const free = PORTS.flatMap((name) => ["--set", `${name}=0`]);
  return runCli(["up", "--capture", "explicit", "--data", data, ...free, ...more]);
}

describe("up that cannot start", () => {
  it("finds a missing or bad file before anything is started", async () => {
    const cases: [name: string, text: string | null, said: RegExp][] = [
      ["missing.yaml", null, /cannot read .*missing\.yaml: there is no such file/],
      ["broken.yaml", "service: {name: web\n", /broken\.yaml:2: /],
      ["empty-port.yaml", "services: [{name: web, port: many}]\n", /empty-port\.yaml: Port: /],
      [
        "no-name.yaml",
        "services: [{balancer: {policy: random}}]\n",
        /services\[0\]\.name: missing/,
      ],
    ];
    for (const [name, text, said] of cases) {
      const file = join(folder, name);
      if (text !== null) writeFileSync(file, text);
      const data = join(folder, `data-${name}`);
      const { code, stdout, stderr } = await up(data, "-f", file);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, /^error: [^\n]+\nhint: [^\n]+\n$/);
      assert.match(stderr, said);
      assert.equal(existsSync(data), false, "nothing was begun");
    }
  });

  it("names a data folder that another registry uses, once, and what to do", async () => {
    const data = mkdtempSync(join(folder, "locked-"));
    const store = new SqliteStore({ path: join(data, "registry.sqlite") });
    const { code, stderr } = await up(data);
    await store.close();
    assert.equal(code, 1);
    assert.match(stderr, /^error: another registry uses the data folder .*\nhint: .*--data DIR\n$/);
  });

  it("names a port that is taken", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await up(join(folder, "port"), "--set", `registry.port=${port}`);
    server.close();
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`^error: the registry's port 127.0.0.1:${port} is taken\nhint: `),
    );
  });

  it("ends at the second signal at the latest, although a file never comes to its end", {
    skip: process.platform !== "linux" && "needs named pipes",
  }, async () => {
    const pipe = join(folder, "pipe.yaml");
    execFileSync("mkfifo", [pipe]);
    const args = ["up", "--capture", "explicit", "--data", join(folder, "hangs"), "-f", pipe];
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: "ignore" });
    const exit = once(child, "exit");
    let writer: number | null = null;
    try {
      await until(
        () => {
          writer = openIfRead(pipe);
          return writer !== null;
        },
        { timeoutMs: 15_000, what: "the reading of the file" },
      );
      // The thread that reads cannot be ended: the first signal ends everything else, the next one it too.
      await until(
        () => {
          child.kill("SIGTERM");
          return child.exitCode !== null || child.signalCode !== null;
        },
        { timeoutMs: 5_000, what: "the end of the process" },
      );
      const [code, signal] = await exit;
      assert.ok(code === 0 || signal === "SIGTERM", `${code} ${signal}`);
    } finally {
      child.kill("SIGKILL");
      if (writer !== null) closeSync(writer);
    }
  });
});

/** Opens a named pipe for writing; null while nobody reads it. */
function openIfRead(pipe: string): number | null {
  try {
    return openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENXIO") return null;
    throw error;
  }
}
