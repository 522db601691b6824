import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import test from "node:test";
import type { DataPath } from "../../../daemon/data-path.ts";
import type { RunningRegistry } from "../../../src/registry/registry.ts";
import { startTestRegistry } from "../../helpers/registry.ts";
import { until } from "../../helpers/until.ts";
import { makeDataPath } from "../start-data-path.ts";

const skip = process.platform !== "linux" && "shared listening sockets need Linux";
const HOST_ID = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";
const WEB_ID = "spiffe://cluster.local/ns/default/sa/web";

/** A registry that gives identities, and a folder for each side; all ends in order with the test. */
async function setUp(t: TestContext) {
  const home = await mkdtemp(join(tmpdir(), "hostmesh-joining-"));
  const registry = await startTestRegistry({
    ...{ dataDir: join(home, "registry"), host: "node-a", virtualCidr6: "", pingMs: 1_000 },
    identity: {
      ...{ trustDomain: "cluster.local", tlsBind: "127.0.0.1", tlsPort: 0, isRequired: true },
      ...{ caFile: "", caKeyFile: "", hostAddress: "127.0.0.1" },
      ...{ leafLifetimeMs: 86_400_000, hostLifetimeMs: 604_800_000 },
    },
  });
  const paths: DataPath[] = [];
  t.after(async () => {
    for (const path of paths) await path.stop();
    await registry.close();
    await rm(home, { recursive: true, force: true });
  });
  const begin = (urls: string[], joinToken?: string) =>
    start({ t, paths, registry, dataDir: join(home, "daemon"), urls, joinToken });
  return { registry, begin };
}

interface StartOptions {
  readonly t: TestContext;
  readonly paths: DataPath[];
  readonly registry: RunningRegistry;
  readonly dataDir: string;
  readonly urls: string[];
  readonly joinToken: string | undefined;
}

async function start({ t, paths, registry, dataDir, urls, joinToken }: StartOptions) {
  const tlsUrl = registry.tlsUrl ?? "";
  const choice = { dataDir, registry: { urls, reconnectMaxMs: 200, tlsUrl } };
  const { path, sockets, lines } = makeDataPath(choice, joinToken);
  t.after(() => sockets.close());
  paths.push(path);
  const { admin, metrics } = await path.start();
  const dump = async () => {
    const response = await fetch(`http://127.0.0.1:${admin}/config_dump`);
    return (await response.json()) as Dump;
  };
  const figures = async () => (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
  return { path, dump, figures, lines, meshPort: sockets.ports.mesh };
}

interface Dump {
  readonly registry: { readonly connected: boolean };
  readonly identity: {
    readonly host: { readonly state: string };
    readonly anchors: number;
    readonly renewals: { readonly issued: number; readonly failed: number };
    readonly workloads: readonly { readonly identity: string; readonly state: string }[];
  };
}

/** As an operator registers an endpoint: on the plain port. */
async function register(registry: RunningRegistry): Promise<void> {
  const response = await fetch(`${registry.url}/v1/agent/service/register`, {
    method: "PUT",
    body: JSON.stringify({ Name: "web", ID: "web-1", Address: "127.0.0.1", Port: 8080 }),
  });
  assert.equal(response.status, 200, await response.text());
}

for (const way of ["plain", "TLS"] as const) {
  test(`a host joins a real registry whose watch is ${way}, and gets what its endpoints need`, {
    skip,
  }, async (t) => {
    const { registry, begin } = await setUp(t);
    const joinToken = await registry.issueJoinToken("node-a");
    const url = way === "plain" ? registry.url : (registry.tlsUrl ?? "");
    const { dump, figures, lines, meshPort } = await begin([url], joinToken);
    await register(registry);
    const isDone = async () => {
      const { identity, registry: watch } = await dump();
      return watch.connected && identity.workloads.some(({ state }) => state === "valid");
    };
    await until(isDone, { what: "a certificate of the endpoint" });
    const { identity } = await dump();
    assert.equal(identity.host.state, "valid");
    assert.deepEqual(
      identity.workloads.map((one) => one.identity),
      [WEB_ID],
    );
    assert.match(await figures(), /hostmesh_certificates\{state="valid"\} 2\n/);
    assert.match(await figures(), /hostmesh_certificate_expiry_seconds 86\d{3}(\.\d+)?\n/);
    const hosts = await (await fetch(`${registry.url}/v1/mesh/hosts`)).json();
    assert.equal(JSON.stringify(hosts).includes(`"meshPort":${meshPort}`), true);
    const shown = JSON.stringify([await dump(), lines]);
    for (const secret of ["PRIVATE KEY", joinToken]) assert.ok(!shown.includes(secret), secret);
    assert.ok(shown.includes(HOST_ID));
  });
}

test("a host that joined before needs no token at its next start", { skip }, async (t) => {
  const { registry, begin } = await setUp(t);
  const urls = [registry.tlsUrl ?? ""];
  const first = await begin(urls, await registry.issueJoinToken("node-a"));
  await until(async () => (await first.dump()).registry.connected);
  await first.path.stop();
  const { dump } = await begin(urls);
  await until(async () => (await dump()).registry.connected);
  assert.equal((await dump()).identity.host.state, "valid");
});

test("a rotation of the registry's authority renews everything, and ends without the old one", {
  skip,
}, async (t) => {
  const { registry, begin } = await setUp(t);
  const { dump } = await begin([registry.tlsUrl ?? ""], await registry.issueJoinToken("node-a"));
  await register(registry);
  const identity = async () => (await dump()).identity;
  await until(async () => (await identity()).renewals.issued === 2, { what: "both certificates" });
  /** The registry refuses a step until all daemons have taken the one before. */
  const step = (name: string) =>
    until(
      async () => {
        const response = await fetch(`${registry.url}/v1/identity/rotation`, {
          method: "POST",
          body: JSON.stringify({ step: name }),
        });
        await response.text();
        return response.ok;
      },
      { what: name },
    );
  await step("begin");
  await until(async () => (await identity()).anchors === 2, { what: "both anchors" });
  await step("issue");
  await until(async () => (await identity()).renewals.issued === 4, { what: "the renewals" });
  await step("finish");
  await until(async () => (await identity()).anchors === 1, { what: "the new anchor alone" });
  assert.ok((await identity()).workloads.every(({ state }) => state === "valid"));
  assert.deepEqual((await identity()).renewals, { issued: 4, failed: 0, refused: 0 });
});
