import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Contestant, Target } from "../../bench/model.ts";
import { until } from "../helpers/until.ts";
import {
  get,
  named,
  OTHER_PEERS,
  openFieldLab,
  type Seen,
  startService,
  textsBelow,
} from "./field-lab.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

async function seen(target: Target, fields: Readonly<Record<string, string>> = {}): Promise<Seen> {
  const { status, body } = await get(target, "/seen", fields);
  assert.equal(status, 200, body);
  return JSON.parse(body);
}

/** Each proxy on the way has added itself. */
function hops({ fields }: Seen): number {
  return (fields["via"] ?? "").split(",").filter((part) => part.trim() !== "").length;
}

test(
  "every contestant leads to the right service, through as many proxies as it says",
  onLinux,
  async (t) => {
    const lab = await openFieldLab(t, "same-host");
    const upstreams = [await startService(t, 0), await startService(t, 1)];
    const field = await lab.start({
      ...{ modes: ["direct", "host", "sidecar"], peers: ["hostmesh", ...OTHER_PEERS] },
      ...{ protocol: "http1", tls: false, upstreams },
    });
    assertAllAccountedFor(field.contestants, field.missing);
    for (const contestant of field.contestants) {
      const { name, mode, targets, proxies } = contestant;
      const onPath = { direct: 0, host: 1, sidecar: 2 }[mode];
      assert.equal(targets.length, 2, name);
      // A server sidecar for each service.
      assert.equal(proxies.length, { direct: 0, host: 1, sidecar: 3 }[mode], name);
      for (const [service, target] of targets.entries()) {
        assert.equal(target.authority, `web-${service}`);
        const request = await seen(target);
        assert.equal(request.service, service, name);
        assert.equal(request.fields["host"], `web-${service}`, name);
        assert.equal(hops(request), onPath, `${name}: ${request.fields["via"]}`);
        if (mode === "direct") continue;
        assert.match(request.fields["x-request-id"] ?? "", /^[0-9a-f-]{32,36}$/, name);
        assert.ok((request.fields["x-forwarded-for"] ?? "") !== "", name);
        const kept = await seen(target, { "x-request-id": "from-the-caller" });
        assert.equal(kept.fields["x-request-id"], "from-the-caller", name);
      }
      await assertCommandsKept(contestant);
    }
    for (const [path, text] of await textsBelow(lab.configFolder)) {
      assert.doesNotMatch(text, /PRIVATE KEY/, path);
    }
    for (const pair of field.contestants.filter(({ mode }) => mode === "sidecar")) {
      await assertNeedsServerSidecar(pair);
    }
  },
);

/** Whoever was asked for is measured in both modes, or named with what to do about it. */
function assertAllAccountedFor(
  contestants: readonly Contestant[],
  missing: readonly { name: string; reason: string }[],
): void {
  for (const peer of ["hostmesh", ...OTHER_PEERS]) {
    const absent = missing.find(({ name }) => name === peer);
    if (absent !== undefined) assert.match(absent.reason, /is not installed: .*install/);
    const modes = contestants.filter((one) => one.peer === peer).map(({ mode }) => mode);
    assert.deepEqual(modes, absent === undefined ? ["host", "sidecar"] : [], peer);
  }
  assert.ok(contestants.some(({ name }) => name === "direct"));
}

/** The kept command line is the one that runs, and the files that it names are kept ones. */
async function assertCommandsKept({ name, proxies, configFiles }: Contestant): Promise<void> {
  const texts = await Promise.all(configFiles.map((file) => readFile(file, "utf8")));
  for (const { pid, role } of proxies) {
    const running = await readFile(`/proc/${pid}/cmdline`, "utf8");
    // nginx gives itself a title instead.
    const words = running.split("\0").filter((word) => word !== "");
    const isTitle = words[0]?.startsWith("nginx:") ?? false;
    const line = (isTitle ? words[0]?.replace(/.*process /, "") : words.join(" ")) ?? "";
    const isKept = texts.some((text) => text.trim().endsWith(line.trim()));
    assert.ok(isKept, `${name}, ${role}: ${line}`);
    assert.ok(
      configFiles.some((file) => line.includes(file)),
      `${name}, ${role}: ${line}`,
    );
  }
}

/** Without the sidecar of a service nothing comes through, while the other service is not concerned. */
async function assertNeedsServerSidecar({ name, proxies, targets }: Contestant): Promise<void> {
  const [first, second] = targets;
  assert.ok(first !== undefined && second !== undefined);
  const server = proxies.find(({ role }) => role === "server sidecar of web-0");
  assert.ok(server !== undefined, name);
  // Its group: nginx has a worker, and hostmesh a generation.
  process.kill(-server.pid, "SIGKILL");
  const isRefused = async () => (await get(first, "/10")).status !== 200;
  await until(isRefused, { what: `refusal by ${name}` });
  assert.equal((await get(second, "/10")).status, 200, name);
}

test("a contestant that does not start is missing with the reason, and leaves the others alone", async (t) => {
  const lab = await openFieldLab(t, "same-host");
  const upstreams = [await startService(t, 0)];
  const envoyBinary = join(lab.bench.folder, "fake-envoy");
  const script = `#!/bin/sh
if [ "$1" = --version ]; then echo "envoy  version: abc/1.40.0/Clean"; exit 0; fi
echo "no such listener" >&2
exit 3
`;
  await writeFile(envoyBinary, script, { mode: 0o755 });
  const field = await lab.start({
    ...{ modes: ["direct", "host"], peers: ["envoy", "hostmesh"], protocol: "http1", tls: false },
    ...{ upstreams, envoyBinary },
  });
  assert.deepEqual(
    field.contestants.map(({ name }) => name),
    ["direct", "hostmesh"],
  );
  assert.equal(field.missing.length, 1);
  assert.equal(field.missing[0]?.name, "envoy");
  assert.match(field.missing[0]?.reason ?? "", /ended: no such listener/);
  const [target] = named(field, "hostmesh").targets;
  assert.ok(target !== undefined);
  assert.equal((await get(target, "/10")).status, 200);
});
