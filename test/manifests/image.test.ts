import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stringify } from "yaml";
import * as z from "zod";
import { defaultValues } from "../../src/install/values.ts";
import { until } from "../helpers/until.ts";
import { ROOT, VERSION } from "../install/variants.ts";

/** A folder as the image has it: `package.json`, the compiled program and its packages. */
let image = "";
const running: ChildProcess[] = [];

before(() => {
  image = mkdtempSync(join(tmpdir(), "hostmesh-image-"));
  compileTo(join(image, "dist"));
  copyFileSync(join(ROOT, "package.json"), join(image, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(image, "node_modules"));
});

after(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(image, { recursive: true, force: true });
});

function compileTo(folder: string): void {
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", join(ROOT, "tsconfig.build.json"), "--outDir", folder];
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
  assert.equal(status, 0, stdout);
}

const program = () => join(image, "dist/src/cli/main.js");

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  return servers.map((server) => {
    const address = server.address();
    server.close();
    assert.ok(typeof address === "object" && address !== null);
    return address.port;
  });
}

const COMMENT = /^\s*(\/\/|\*|\/\*)/;
const SOURCE_FILE = /["'`][^"'`\s]*\/[^"'`\s]*\.ts["'`]/;
/** A choice between the two names on one line is what a file does that runs in both forms. */
const COMPILED_FILE = /\.js["'`]/;

test("the compiled program starts no file by its source's name", () => {
  const left = globSync("dist/**/*.js", { cwd: image }).flatMap((file) =>
    readFileSync(join(image, file), "utf8")
      .split("\n")
      .filter((line) => !COMMENT.test(line) && SOURCE_FILE.test(line) && !COMPILED_FILE.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  );
  assert.deepEqual(left, []);
});

test("the compiled program tells its version and what it can do", () => {
  const version = spawnSync(process.execPath, [program(), "--version"], { encoding: "utf8" });
  const { version: expected } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")));
  assert.equal(version.stdout, `${expected}\n`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [program(), "--help"], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  for (const command of ["up", "daemon", "registry", "service", "iptables", "check", "stat"]) {
    assert.match(stdout, new RegExp(`^\\s+${command}\\b`, "m"));
  }
});

test("the same sources give the same package, byte by byte", () => {
  const pack = (name: string, compiled: string) => {
    const folder = join(image, name);
    mkdirSync(folder);
    for (const file of ["package.json", "README.md", "LICENSE", "manifests"]) {
      cpSync(join(ROOT, file), join(folder, file), { recursive: true });
    }
    cpSync(join(image, compiled), join(folder, "dist"), { recursive: true });
    const { status, stderr } = spawnSync("npm", ["pack", "--ignore-scripts"], {
      cwd: folder,
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    return readFileSync(join(folder, `hostmesh-${VERSION}.tgz`));
  };
  // Beside what the other tests run: source maps hold the way to the sources.
  compileTo(join(image, "again"));
  const [first, second] = [pack("first", "dist"), pack("second", "again")];
  assert.ok(first.length > 100_000, `only ${first.length} bytes`);
  assert.ok(first.equals(second));
});

test("the compiled registry and daemon become ready, with the settings of an installation, and end on SIGTERM", async () => {
  const [explicit, outbound, admin, metrics, ready, port] = await freePorts(6);
  const { settings } = defaultValues(VERSION).daemon;
  const file = join(image, "hostmesh.yaml");
  writeFileSync(
    file,
    stringify({
      ...settings,
      dataDir: join(image, "data"),
      workers: 1,
      capture: { mode: "explicit" },
      telemetry: { logLevel: "warn" },
      ports: { bind: "127.0.0.1", explicit, outbound, admin, metrics, ready },
      registry: { urls: [`http://127.0.0.1:${port}`], port },
    }),
  );
  const answers = (url: string) =>
    fetch(url).then(
      async (response) => {
        await response.arrayBuffer();
        return response.ok;
      },
      () => false,
    );
  const start = (command: string) => {
    const child = spawn(process.execPath, [program(), command, "--config", file], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    running.push(child);
    return child;
  };
  const registry = start("registry");
  await until(() => answers(`http://127.0.0.1:${port}/v1/mesh/status`), {
    timeoutMs: 20_000,
    what: "the registry",
  });
  const daemon = start("daemon");
  await until(() => answers(`http://127.0.0.1:${ready}/healthz/ready`), {
    timeoutMs: 20_000,
    what: "readiness",
  });
  assert.ok(await answers(`http://127.0.0.1:${admin}/healthz`));
  assert.ok(await answers(`http://127.0.0.1:${metrics}/metrics`));
  for (const child of [daemon, registry]) {
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    const [code] = await exit;
    // Kubernetes and systemd take either for a clean end; see docs/operations.md.
    assert.ok(code === 0 || code === 143, `exit code ${code}`);
  }
});
