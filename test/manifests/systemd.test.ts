import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { configSchema } from "../../src/config/schema.ts";
import { ROOT } from "../install/variants.ts";

const FOLDER = join(ROOT, "manifests/systemd");
const UNITS = ["hostmesh-daemon.service", "hostmesh-registry.service"];
const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;
const needsSystemd = { skip: hasSystemd ? false : "systemd-analyze is not installed" };

/** The directives of a unit file by name; a directive may be given more than once. */
function directives(unit: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of readFileSync(join(FOLDER, unit), "utf8").split("\n")) {
    if (line === "" || line.startsWith("#") || /^\[[A-Z][a-z]+\]$/.test(line)) continue;
    const [, name, value] = /^([A-Z][A-Za-z]+)=(.*)$/.exec(line) ?? [];
    assert.ok(name !== undefined && value !== undefined, `${unit}: ${line}`);
    found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

test("systemd finds nothing wrong with the units", needsSystemd, () => {
  assert.deepEqual(globSync("*.service", { cwd: FOLDER }).sort(), UNITS);
  const paths = UNITS.map((unit) => join(FOLDER, unit));
  const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", ...paths], {
    encoding: "utf8",
  });
  // It passes units with unknown directives, but names them.
  assert.equal(stdout + stderr, "");
  assert.equal(status, 0);
});

test("the units give the programs no power but the two that capture needs", () => {
  assert.deepEqual(directives("hostmesh-registry.service").get("CapabilityBoundingSet"), [""]);
  const daemon = directives("hostmesh-daemon.service");
  assert.deepEqual(daemon.get("CapabilityBoundingSet"), ["CAP_NET_ADMIN CAP_NET_RAW"]);
  for (const unit of UNITS) {
    assert.deepEqual(directives(unit).get("NoNewPrivileges"), ["yes"]);
    assert.deepEqual(directives(unit).get("ProtectSystem"), ["strict"]);
  }
});

test("the units restart for ever, and stop the guardian before what it started", () => {
  for (const unit of UNITS) {
    const unitDirectives = directives(unit);
    assert.deepEqual(unitDirectives.get("Restart"), ["always"]);
    assert.deepEqual(unitDirectives.get("StartLimitIntervalSec"), ["0"]);
    assert.deepEqual(unitDirectives.get("KillMode"), ["mixed"]);
  }
});

for (const program of ["daemon", "registry"]) {
  test(`the settings of the ${program}'s unit are valid and agree with it`, () => {
    const unit = directives(`hostmesh-${program}.service`);
    const text = readFileSync(join(FOLDER, `${program}.yaml`), "utf8");
    const config = configSchema.parse(parse(text));
    const [start] = unit.get("ExecStart") ?? [];
    assert.match(
      start ?? "",
      new RegExp(`/dist/src/cli/main\\.js ${program} --config /etc/hostmesh/${program}\\.yaml$`),
    );
    assert.equal(`/var/lib/${unit.get("StateDirectory")?.[0]}`, config.dataDir);
    if (program !== "daemon") return;
    const [stopSec] = unit.get("TimeoutStopSec") ?? [];
    assert.ok(Number(stopSec) * 1_000 > config.timeouts.drainMs);
  });
}
