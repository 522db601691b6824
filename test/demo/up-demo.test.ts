import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { MAIN } from "../cli/run.ts";
import { until } from "../helpers/until.ts";

/** Every port is any free one, so that it can run beside others. */
const FREE_PORTS = ["explicit", "outbound", "admin", "metrics", "ready"].flatMap((name) => [
  "--set",
  `ports.${name}=0`,
]);

it("up --demo without privileges shows traffic through the explicit proxy and stops cleanly", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-up-demo-"));
  const args = ["up", "--demo", "--capture", "explicit", "--data", folder];
  const child = spawn(
    process.execPath,
    [MAIN, ...args, ...FREE_PORTS, "--set", "registry.port=0", "--set", "workers=1"],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      output += part;
    });
  }
  const exit = once(child, "exit");
  try {
    const flows = () => /^\d\d:\d\d:\d\d front +[1-9][\d.]* rps +success \d/m.test(output);
    await until(() => flows() || child.exitCode !== null, { timeoutMs: 30_000 });
    assert.ok(flows(), output);
    assert.match(output, /ticker +[1-9][\d.]* rps/, "opaque TCP by CONNECT");
    assert.match(output, /share: catalog-steady \d/);
    assert.match(output, /so there are no containers: the same programs/);
    assert.ok(!output.includes("\u001b["), "no control sequence in a pipe");
    child.kill("SIGTERM");
    const [code] = await exit;
    assert.equal(code, 0, output);
    assert.equal(existsSync(join(folder, "demo.json")), false);
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
});
