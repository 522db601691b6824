import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { tarOf } from "../../../src/cli/bug-report/tar.ts";
import { runCliHere } from "../run.ts";
import { host, meshReport, service } from "../sight/mesh-report.ts";
import { openPeer, type Peer } from "../sight/peer.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-report-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const JOIN_TOKEN = `hm1.pl4nted.pl4nted.${"ab".repeat(32)}`;
const SECRET = "pl4nted";

let registry: Peer;
let daemon: Peer;
before(async () => {
  registry = await openPeer();
  daemon = await openPeer();
  plant();
});
after(() => {
  registry.close();
  daemon.close();
});

/** Secrets at every place where somebody may have one. */
function plant(): void {
  registry.answers.set("/v1/mesh/services", [
    200,
    [{ name: "catalog", namespace: "shop", meta: { password: SECRET }, addresses: ["240.0.0.1"] }],
  ]);
  registry.answers.set("/v1/mesh/endpoints", [
    200,
    [
      {
        ...{ id: "node-a/1", service: "catalog", tags: [SECRET], meta: { t: SECRET } },
        checks: [{ id: "http", status: "critical", output: `body: ${SECRET}` }],
      },
    ],
  ]);
  const route = {
    match: [{ headers: { authorization: { exact: `Bearer ${SECRET}` } } }],
    headers: { request: { set: { "x-api-key": SECRET } } },
    directResponse: { body: { string: SECRET } },
  };
  registry.answers.set("/v1/mesh/resources", [
    200,
    [
      {
        ...{ kind: "VirtualService", namespace: "shop", name: "catalog" },
        content: { metadata: { annotations: { last: SECRET } }, spec: { http: [route] } },
      },
    ],
  ]);
  const error = {
    ...{ atMs: 1, host: "node-a", source: "shop/web", destination: "shop/catalog", endpoint: null },
    ...{ method: "GET", path: "/items", status: 503, error: "NO_ENDPOINT", traceId: "" },
  };
  const report = meshReport({
    hosts: [host("node-a")],
    services: [service("shop/catalog")],
    recentErrors: [error],
  });
  registry.answers.set("/v1/mesh/sight/report", [200, report]);
  registry.answers.set("/v1/mesh/sight/hosts/node-a/config", [
    200,
    { settings: { identity: { joinToken: JOIN_TOKEN } }, host: "node-a" },
  ]);
  registry.answers.set("/v1/identity/trust", [200, { anchors: [] }]);
  daemon.answers.set("/config_dump", [
    200,
    { registry: { url: `https://me:${SECRET}@registry:15012` }, log: `token ${JOIN_TOKEN}` },
  ]);
  daemon.answers.set("/stats", [200, { lastLine: `Authorization: Bearer ${SECRET}${SECRET}` }]);
}

/** Files of the archive by name. */
async function report(...args: string[]) {
  const file = join(folder, `${Math.random()}.tar.gz`);
  const set = ["--set", "ports.metrics=1", "--set", "host=node-a"];
  const from = ["--registry", registry.url, "--admin", daemon.url];
  const result = await runCliHere(["bug-report", "-o", file, ...from, ...set, ...args]);
  assert.equal(result.code, 0, result.stderr);
  const into = mkdtempSync(join(folder, "x-"));
  execFileSync("tar", ["-xzf", file, "-C", into]);
  const read = (name: string) => readFileSync(join(into, "hostmesh-bug-report", name), "utf8");
  return { file, read, text: gunzipSync(readFileSync(file)).toString(), ...result };
}

test("what is in a report is listed, and none of the planted secrets is in it", async () => {
  const { file, read, text, stdout, stderr } = await report();
  assert.doesNotMatch(text, /pl4nted/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(stdout, /^\S+: \d+ files, .* Look through it before you hand it on\.$/m);
  assert.match(stderr, /^reading this host's daemon: settings and snapshot$/m);
  assert.match(stderr, /^left out: daemon\/metrics\.txt: /m);
  const list = read("README.txt");
  for (const name of ["about.json", "check.json", "registry/resources.json", "hosts/1.json"]) {
    assert.ok(list.includes(name), name);
    assert.ok(read(name).length > 2, name);
  }
  assert.match(read("registry/services.json"), /"240\.0\.0\.1"/);
  assert.match(read("mesh/report.json"), /"shop\/catalog"/);
  assert.match(read("registry/resources.json"), /"authorization"/);
  assert.match(list, /Not to be had:\n[^]*daemon\/ready\.json/);
});

test("names can be replaced by hashes that stay the same", async () => {
  const one = await report("--redact-names");
  assert.doesNotMatch(one.text, /pl4nted/);
  for (const name of ["mesh/report.json", "registry/services.json", "registry/resources.json"]) {
    assert.doesNotMatch(one.read(name), /\bcatalog\b|\bshop\b|\bnode-a\b/, name);
  }
  assert.doesNotMatch(one.read("README.txt"), /node-a/);
  assert.doesNotMatch(one.read("check.json"), /shop\/catalog|host node-a/);
  assert.match(one.read("registry/services.json"), /"240\.0\.0\.1"/);
  const [hash] = /n-[0-9a-f]{10}/.exec(one.read("registry/services.json")) ?? [];
  assert.ok(hash !== undefined && one.read("registry/resources.json").includes(hash));
  const two = await report("--redact-names");
  assert.equal(two.read("registry/services.json"), one.read("registry/services.json"));
});

test("a file that is there already is not lost, and a mesh that is away makes a small report", async () => {
  const { file } = await report();
  const again = await runCliHere(["bug-report", "-o", file, "--registry", registry.url]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /cannot write .*EEXIST/);
  const nobody = ["--registry", "http://127.0.0.1:1", "--admin", "http://127.0.0.1:1"];
  const alone = await runCliHere(["bug-report", "-o", join(folder, "alone.tgz"), ...nobody]);
  assert.equal(alone.code, 0);
  assert.match(alone.stderr, /left out: registry\/status\.json: .*cannot reach the registry/);
});

test("the archive is one that tar takes, whatever the sizes", () => {
  const entries = [0, 1, 511, 512, 513, 100_000].map((size) => ({
    name: `a/${size}`,
    content: Buffer.alloc(size, "x"),
  }));
  const listed = execFileSync("tar", ["-tvf", "-"], { input: tarOf(entries, 86_400_000) });
  const lines = listed.toString().trimEnd().split("\n");
  assert.equal(lines.length, entries.length);
  assert.match(lines[5] ?? "", /^-rw-------.* 100000 1970-01-0[12] .* a\/100000$/);
  assert.throws(() => tarOf([{ name: "x".repeat(101), content: Buffer.alloc(0) }], 0), RangeError);
});
