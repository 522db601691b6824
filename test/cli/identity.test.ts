import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";
import { enrol, identityDefaults, spiffe } from "../registry/identity/setup.ts";
import { type CliResult, runCliHere } from "./run.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-cli-identity-"));
let registry: RunningRegistry;

before(async () => {
  const identity = { ...identityDefaults, hostsRegister: true };
  registry = await startTestRegistry({ dataDir: folder, identity });
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

async function identity(...args: string[]): Promise<CliResult> {
  return runCliHere(["identity", ...args, "--registry", registry.url]);
}

function enrolNode(host: string) {
  return enrol({ url: registry.url, tlsUrl: registry.tlsUrl ?? "" }, host);
}

function countOf(bundle: string): number {
  return bundle.split("-----BEGIN CERTIFICATE-----").length - 1;
}

describe("identity commands", () => {
  it("make join tokens that name the registry's root", async () => {
    const { code, stdout } = await identity("token", "--host", "node-9", "--ttl", "5m");
    assert.equal(code, 0);
    const bundle = (await identity("trust-bundle")).stdout;
    const hash = new X509Certificate(bundle).fingerprint256.replaceAll(":", "").toLowerCase();
    assert.match(stdout, new RegExp(`^hm1\\.[0-9a-f]{16}\\.[\\w-]{43}\\.${hash}\\n$`));
    const wrong = await identity("token", "--ttl", "soon");
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--ttl soon: not a duration/);
  });

  it("list and decode what was issued", async () => {
    const host = spiffe("hostmesh-hosts", "node-1");
    const unknown = await identity("inspect", host);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no certificate of .* is in force/);
    const { credential } = await enrolNode("node-1");
    const [entry] = JSON.parse((await identity("list", "-o", "json")).stdout);
    assert.equal(entry.identity, host);
    assert.equal(entry.host, "node-1");
    assert.match((await identity("list")).stdout, /IDENTITY +HOST +EXPIRES +ISSUER/);
    const path = join(folder, "host.pem");
    writeFileSync(path, credential.cert);
    for (const named of [host, path]) {
      const [facts] = JSON.parse((await identity("inspect", named, "-o", "json")).stdout);
      assert.equal(facts.identity, host);
      assert.equal(facts.authority, "no");
      assert.equal(facts.key, "prime256v1");
      assert.equal(facts.serial, entry.serial);
    }
    const missing = await identity("inspect", join(folder, "nothing.pem"));
    assert.match(missing.stderr, /cannot be read \(ENOENT\)/);
  });

  it("rotate the authority step by step, and say why a step is too early", async () => {
    assert.equal((await identity("rotate-ca", "--step", "begin")).code, 0);
    assert.equal(countOf((await identity("trust-bundle")).stdout), 2);
    const wrong = await identity("rotate-ca", "--step", "finish");
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /the new authority does not sign yet/);
    // Begun already: the rest of it.
    for (const more of [
      ["--step", "finish", "--grace", "1s"],
      ["--grace", "soon"],
      ["--grace", "25h"],
    ]) {
      const { code, stderr } = await identity("rotate-ca", ...more);
      assert.equal(code, 2, more.join(" "));
      assert.match(stderr, /--grace/);
    }
    const beganMs = performance.now();
    const rest = await identity("rotate-ca", "--timeout", "10s", "--grace", "700ms");
    assert.equal(rest.code, 0, rest.stderr);
    assert.ok(performance.now() - beganMs > 700);
    assert.match(rest.stdout, /tunnels of the old authority have 0\.7 s to end\nfinish:/);
    assert.match(rest.stdout, /^issue: .*\n(.*\n)*finish: the old authority/);
    assert.doesNotMatch(rest.stdout, /begin:/);
    assert.equal(countOf((await identity("trust-bundle")).stdout), 1);
  });

  it("leave operators' work to the plain port: on TLS a host speaks for itself", async () => {
    const { credential } = await enrolNode("node-3");
    const dataDir = mkdtempSync(join(folder, "node-3-"));
    mkdirSync(join(dataDir, "identity"));
    const anchors = (await identity("trust-bundle")).stdout;
    const files = {
      "host.pem": credential.cert,
      "host.key": credential.key,
      "anchors.pem": anchors,
    };
    for (const [name, content] of Object.entries(files)) {
      writeFileSync(join(dataDir, "identity", name), content, { mode: 0o600 });
    }
    const settings = [`dataDir=${dataDir}`, `identity.trustDomain=${identityDefaults.trustDomain}`];
    const flags = [
      ...settings.flatMap((one) => ["--set", one]),
      "--registry",
      registry.tlsUrl ?? "",
    ];
    const added = ["workload", "register", "api", "--address", "10.0.3.1", "--host", "node-3"];
    assert.equal((await runCliHere([...added, ...flags])).code, 0);
    const listed = await runCliHere(["workload", "list", ...flags]);
    assert.match(listed.stdout, /api +default +node-3/);
    const foreign = await runCliHere([...added.slice(0, -1), "node-4", ...flags]);
    assert.match(foreign.stderr, /403 node-3 may not speak for host node-4/);
    const refused = await runCliHere(["identity", "token", ...flags]);
    assert.match(refused.stderr, /403 this is for operators/);
  });

  it("give up after the time limit, or go on with --force", async () => {
    const { keys: _, ...node } = await enrolNode("node-2");
    await registerHost(node.host);
    const late = await identity("rotate-ca", "--timeout", "0s");
    assert.equal(late.code, 1);
    assert.match(late.stderr, /not all hosts are ready: waiting for 1 hosts? \(node-2/);
    assert.match(late.stderr, /hint:/);
    const forced = await identity("rotate-ca", "--timeout", "0s", "--force");
    assert.equal(forced.code, 0, forced.stderr);
    assert.match(forced.stdout, /finish:/);
  });
});

/** A daemon that said hello once, and is gone. */
async function registerHost(host: string): Promise<void> {
  const { WebSocket } = await import("ws");
  const socket = new WebSocket(`${registry.url.replace("http", "ws")}/v1/mesh/watch`);
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("message", () => resolve());
    socket.once("open", () => {
      const hello = { type: "hello", protocol: 1, host, zone: "", version: "t", epoch: "" };
      const mesh = { address: "10.0.0.2", port: 15_008 };
      socket.send(JSON.stringify({ ...hello, revision: 0, mesh }));
    });
  });
  socket.terminate();
}
