import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { stringify } from "yaml";
import { until } from "../helpers/until.ts";
import { ROOT } from "../install/variants.ts";

const TOOLS = ["ip", "setpriv", "iptables-save"];
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

function reasonToSkip(): string | false {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "needs root";
  const missing = TOOLS.filter(
    (tool) => spawnSync(tool, ["--version"], { env: { ...process.env, PATH } }).error !== undefined,
  );
  return missing.length > 0 ? `not installed: ${missing.join(", ")}` : false;
}

/** The two capabilities of the systemd unit; `test/netns/data-path-user.test.ts` does the same with those of the DaemonSet. */
function granted(): string[] {
  const unit = readFileSync(join(ROOT, "manifests/systemd/hostmesh-daemon.service"), "utf8");
  const [, list] = /^CapabilityBoundingSet=(.+)$/m.exec(unit) ?? [];
  assert.ok(list !== undefined);
  return list.split(" ").map((name) => name.replace("CAP_", "").toLowerCase());
}

test("the daemon captures with no more power than the manifests give it", {
  skip: reasonToSkip(),
}, async () => {
  const namespace = `hostmesh-caps-${process.pid}`;
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-caps-"));
  const run = (...command: string[]) =>
    spawnSync("ip", ["netns", "exec", namespace, ...command], {
      encoding: "utf8",
      env: { ...process.env, PATH },
    });
  const rules = () => run("iptables-save").stdout;
  const routing = () => run("ip", "rule", "list").stdout;
  assert.equal(spawnSync("ip", ["netns", "add", namespace]).status, 0);
  try {
    assert.equal(run("ip", "link", "set", "lo", "up").status, 0);
    const routingBefore = routing();
    const config = join(folder, "hostmesh.yaml");
    writeFileSync(
      config,
      stringify({
        dataDir: folder,
        workers: 1,
        capture: { mode: "tproxy" },
        telemetry: { logLevel: "warn" },
      }),
    );
    const bounds = ["-all", ...granted().map((name) => `+${name}`)].join(",");
    const less = ["setpriv", `--bounding-set=${bounds}`, "--inh-caps=-all", "--no-new-privs"];
    const main = [process.execPath, join(ROOT, "src/cli/main.ts"), "daemon", "--config", config];
    const daemon = spawn("ip", ["netns", "exec", namespace, ...less, ...main], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const exit = once(daemon, "exit");
    try {
      await until(() => daemon.exitCode !== null || rules().includes("HOSTMESH_"), {
        timeoutMs: 20_000,
        what: "capture",
      });
      assert.equal(daemon.exitCode, null, "the daemon ended");
      daemon.kill("SIGTERM");
      const [code] = await exit;
      assert.ok(code === 0 || code === 143, `exit code ${code}`);
      assert.ok(!rules().includes("HOSTMESH_"), "rules were left behind");
      assert.equal(routing(), routingBefore);
    } finally {
      daemon.kill("SIGKILL");
    }
  } finally {
    spawnSync("ip", ["netns", "del", namespace]);
    rmSync(folder, { recursive: true });
  }
});
