import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { it, type TestContext } from "node:test";
import { browserOpener } from "../../src/cli/open-browser.ts";
import { isSecretOf, splitToken } from "../../src/dashboard/server/tokens.ts";
import { parseUsers } from "../../src/dashboard/server/users.ts";
import { startLab } from "../dashboard/server/dashboard-lab.ts";
import { until } from "../helpers/until.ts";
import { tempFolder } from "../registry/setup.ts";
import { MAIN, runCli, runCliHere } from "./run.ts";

/** A folder before the others of PATH, with programs that stand in for the real ones. */
async function programs(t: TestContext, scripts: Record<string, string>) {
  const folder = await tempFolder(t);
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
  }
  return { folder, PATH: [folder, process.env["PATH"] ?? ""].join(delimiter) };
}

it("prints the address of a dashboard that answers, and opens it where there is a display", async (t) => {
  const { dashboard } = await startLab(t);
  const { folder, PATH } = await programs(t, {
    "xdg-open": 'echo "$1" > "$(dirname "$0")/opened"',
  });
  const port = ["--set", `dashboard.port=${dashboard.port}`];
  const hidden = await runCli(["dashboard", ...port, "--no-open"], {
    env: { PATH, DISPLAY: ":9" },
  });
  assert.deepEqual([hidden.code, hidden.stdout, hidden.stderr], [0, `${dashboard.url}\n`, ""]);
  const opened = () => readFile(join(folder, "opened"), "utf8").catch(() => "");
  assert.equal(await opened(), "");
  const shown = await runCli(["dashboard", ...port], { env: { PATH, DISPLAY: ":9" } });
  assert.equal(shown.stdout, `${dashboard.url}\n`);
  await until(async () => (await opened()) === `${dashboard.url}\n`);
  assert.equal(browserOpener("linux", {}), null);
  assert.equal(browserOpener("linux", { WAYLAND_DISPLAY: "wayland-0" }), "xdg-open");
  assert.equal(browserOpener("darwin", {}), "open");
});

it("says what to do where nobody answers, or somebody else does", async (t) => {
  const other = createServer((_, response) => response.end('{"a": 1}')).listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const set = ["dashboard", "--no-open", "--set", `dashboard.port=${port}`];
  const wrong = await runCliHere(set);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /what answers at http:\/\/127.0.0.1:\d+\/ is no dashboard/);
  other.close();
  await once(other, "close");
  const { code, stderr } = await runCliHere(set);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /cannot reach the dashboard at .*connection refused[\s\S]*hint: start one with/,
  );
  t.diagnostic(`${port}`);
});

it("leads a port to the registry of a cluster by kubectl, until it is stopped", async (t) => {
  const { dashboard } = await startLab(t);
  const { folder, PATH } = await programs(t, {
    kubectl: `echo "$@" > "$(dirname "$0")/args"\necho "Forwarding from 127.0.0.1:${dashboard.port} -> 15013"\nexec sleep 60`,
  });
  const child = spawn(
    process.execPath,
    [MAIN, "dashboard", "--kubernetes", "--context", "blue", "--no-open"],
    {
      env: { PATH, HOME: "/nonexistent" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const closed = once(child, "close");
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  assert.equal(line, dashboard.url);
  assert.equal(
    await readFile(join(folder, "args"), "utf8"),
    "--context blue -n hostmesh-system port-forward --address 127.0.0.1 deployment/hostmesh-registry :15013\n",
  );
  child.kill("SIGTERM");
  assert.deepEqual(await closed, [0, null]);
});

it("tells why kubectl leads nowhere", async (t) => {
  const broken = await programs(t, { kubectl: "echo 'error: no such deployment' >&2; exit 1" });
  const { code, stderr } = await runCli(["dashboard", "--kubernetes"], {
    env: { PATH: broken.PATH },
  });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /kubectl port-forward to hostmesh-system\/deployment\/hostmesh-registry ended: error: no such deployment/,
  );
  const none = await runCli(["dashboard", "--kubernetes"], { env: { PATH: "/nonexistent" } });
  assert.deepEqual([none.code, /kubectl could not be started/.test(none.stderr)], [1, true]);
});

it("makes a login: the line for the file on standard output, the token on standard error", async () => {
  const made = await runCliHere([
    "dashboard",
    "user",
    "ann@example.com",
    "--role",
    "viewer",
    "--tap",
  ]);
  assert.equal(made.code, 0);
  const user = parseUsers(`users:\n${made.stdout}`).get("ann@example.com");
  assert.deepEqual([user?.role, user?.mayTap], ["viewer", true]);
  const [, token = ""] = /^token, shown once: (\S+)\n$/.exec(made.stderr) ?? [];
  const { name, secret } = splitToken(token);
  assert.equal(name, "ann@example.com");
  assert.equal(await isSecretOf(secret, user?.hash ?? null), true);
  assert.equal(await isSecretOf(`${secret}x`, user?.hash ?? null), false);
  assert.ok(!made.stdout.includes(secret));
  const again = await runCliHere(["dashboard", "user", "ann@example.com", "--role", "editor"]);
  assert.notEqual(again.stdout, made.stdout);
  for (const args of [["--role", "admin", "ann"], ["ann"], ["--role", "viewer", "a b"]]) {
    assert.equal((await runCliHere(["dashboard", "user", ...args])).code, 2, args.join(" "));
  }
});

it("a registry refuses to start with a dashboard that is open to others", async () => {
  const { code, stderr } = await runCli(["registry", "--set", "dashboard.bind=0.0.0.0"]);
  assert.equal(code, 2);
  assert.match(
    stderr,
    /can be reached from other hosts: it needs logins and TLS\nhint: set dashboard.usersFile/,
  );
});
