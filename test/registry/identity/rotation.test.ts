import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { verifyChain } from "../../../src/identity/verify-chain.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../fake-time.ts";
import { call, dig, tempFolder } from "../setup.ts";
import {
  callTls,
  type Enrolled,
  enrol,
  requestFor,
  secureRegistry,
  shownBy,
  spiffe,
  TRUST_DOMAIN,
} from "./setup.ts";

type Registry = Awaited<ReturnType<typeof secureRegistry>>;

function step(registry: Registry, name: string, force = false) {
  return call(registry, "POST", "/v1/identity/rotation", { step: name, force });
}

async function stateOf(registry: Registry): Promise<unknown> {
  return (await call(registry, "GET", "/v1/identity/authorities")).body;
}

async function anchorsOf(registry: Registry): Promise<X509Certificate[]> {
  const { body } = await callTls(registry.tlsUrl, "GET", "/v1/identity/trust");
  return (dig(body, "anchors") as string[]).map((pem) => new X509Certificate(pem));
}

function isTrusted(pem: string, anchors: readonly X509Certificate[], nowMs = Date.now()): boolean {
  const verdict = verifyChain([new X509Certificate(pem)], anchors, nowMs, TRUST_DOMAIN);
  return verdict.error === undefined;
}

/** A daemon that acknowledges what it gets, unless it is told not to. */
function daemon(t: TestContext, registry: Registry, { host, credential }: Enrolled) {
  const state = { obeys: true, anchors: 0, acknowledged: 0, socket: null as WebSocket | null };
  const target = `${registry.tlsUrl.replace("https", "wss")}/v1/mesh/watch`;
  const socket = new WebSocket(target, { rejectUnauthorized: false, ...credential });
  state.socket = socket;
  socket.on("open", () => {
    const hello = { type: "hello", protocol: 1, host, zone: "", version: "t", epoch: "" };
    const mesh = { address: "10.9.9.9", port: 15_008 };
    socket.send(JSON.stringify({ ...hello, revision: 0, mesh }));
  });
  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString("utf8"));
    if (message.type !== "update" || !message.last) return;
    for (const { kind, value } of message.changes) {
      if (kind === "trust") state.anchors = value.anchors.length;
    }
    if (!state.obeys) return;
    socket.send(JSON.stringify({ type: "ack", revision: message.to }));
    state.acknowledged = message.to;
  });
  socket.on("error", () => {});
  t.after(() => socket.terminate());
  return state;
}

async function renew(registry: Registry, { host, credential }: Enrolled): Promise<string> {
  const { csr } = requestFor(spiffe("hostmesh-hosts", host));
  const answer = await callTls(registry.tlsUrl, "POST", "/v1/identity/host", { csr }, credential);
  assert.equal(answer.status, 200);
  return String(dig(answer.body, "chain"));
}

test("a rotation goes step by step, and every certificate is trusted at every moment", async (t) => {
  const registry = await secureRegistry(t);
  const host = await enrol(registry, "node-1");
  const [oldRoot] = await anchorsOf(registry);
  assert.ok(oldRoot);
  const watching = daemon(t, registry, host);
  await until(() => watching.anchors === 1, { what: "the first anchors" });

  assert.equal((await step(registry, "begin")).status, 200);
  await until(() => watching.anchors === 2, { what: "both anchors" });
  await until(async () => dig(await stateOf(registry), "awaitedHostsTotal") === 0, {
    what: "the acknowledgement",
  });
  // The registry still shows who it was, for hosts that know the old root alone.
  assert.equal(isTrusted(await shownBy(registry.tlsUrl), [oldRoot]), true);

  await until(async () => (await step(registry, "issue")).status === 200, { what: "the switch" });
  const early = await step(registry, "finish");
  assert.equal(early.status, 409);
  assert.match(String(dig(early.body, "error")), /too early to finish: .*node-1/);
  const both = await anchorsOf(registry);
  assert.equal(isTrusted(host.credential.cert, both), true);
  const renewed = await renew(registry, host);
  assert.equal(isTrusted(renewed, [oldRoot]), false);
  assert.equal(isTrusted(renewed, both), true);
  assert.equal(isTrusted(await shownBy(registry.tlsUrl), [oldRoot]), true);

  await until(async () => (await step(registry, "finish")).status === 200, { what: "the end" });
  await until(() => watching.anchors === 1, { what: "the new anchor alone" });
  const after = await anchorsOf(registry);
  assert.equal(after.length, 1);
  assert.notEqual(after[0]?.fingerprint256, oldRoot.fingerprint256);
  assert.equal(isTrusted(await shownBy(registry.tlsUrl), after), true);
  const refused = await callTls(
    ...([registry.tlsUrl, "GET", "/v1/mesh/services", undefined, host.credential] as const),
  );
  assert.equal(refused.status, 401);
});

test("steps are refused out of order", async (t) => {
  const registry = await secureRegistry(t);
  for (const name of ["issue", "finish"]) assert.equal((await step(registry, name)).status, 409);
  assert.equal((await step(registry, "begin")).status, 200);
  for (const name of ["begin", "finish"]) assert.equal((await step(registry, name)).status, 409);
  assert.equal((await step(registry, "issue")).status, 200);
  for (const name of ["begin", "issue"]) assert.equal((await step(registry, name)).status, 409);
  assert.equal((await step(registry, "finish")).status, 200);
  assert.equal((await step(registry, "retry")).status, 400);
  assert.equal(dig(await stateOf(registry), "phase"), "steady");
});

test("a host that has not acknowledged holds the new authority up, until forced", async (t) => {
  const registry = await secureRegistry(t);
  const host = await enrol(registry, "node-1");
  const watching = daemon(t, registry, host);
  await until(() => watching.anchors === 1, { what: "the first anchors" });
  watching.obeys = false;
  assert.equal((await step(registry, "begin")).status, 200);
  const early = await step(registry, "issue");
  assert.equal(early.status, 409);
  assert.match(String(dig(early.body, "error")), /too early to issue: not acknowledged by node-1/);
  // Gone is not the same as ready.
  watching.socket?.terminate();
  await until(async () => dig(await stateOf(registry), "awaitedHosts.0.connected") === false, {
    what: "the end of the watch",
  });
  assert.equal((await step(registry, "issue")).status, 409);
  assert.equal((await step(registry, "issue", true)).status, 200);
  assert.equal((await step(registry, "finish")).status, 409);
  // A host that an operator has forgotten is waited for no longer.
  await call(registry, "DELETE", "/v1/mesh/hosts/node-1");
  await until(async () => (await step(registry, "finish")).status === 200, { what: "the end" });
});

test("certificates of workloads that are gone do not hold the end up", async (t) => {
  const registry = await secureRegistry(t);
  const { credential } = await enrol(registry, "node-1");
  const path = "/v1/mesh/workloads/shop/web";
  await call(registry, "PUT", path, { host: "node-1", addresses: ["10.0.0.1"] });
  const requests = [requestFor(spiffe("shop", "default"))];
  await callTls(registry.tlsUrl, "POST", "/v1/identity/certificates", { requests }, credential);
  await step(registry, "begin");
  await step(registry, "issue");
  const early = await step(registry, "finish");
  assert.match(String(dig(early.body, "error")), /in use: spiffe:.*shop\/sa\/default on node-1/);
  await call(registry, "DELETE", path);
  assert.equal((await step(registry, "finish")).status, 200);
});

test("join tokens that name the old root go with it", async (t) => {
  const registry = await secureRegistry(t);
  await call(registry, "POST", "/v1/identity/tokens", {});
  await step(registry, "begin");
  const during = await call(registry, "POST", "/v1/identity/tokens", {});
  await step(registry, "issue");
  const [old] = await anchorsOf(registry);
  const late = await call(registry, "POST", "/v1/identity/tokens", {});
  for (const { body } of [during, late]) {
    // The root that the registry can be known by until the end.
    const hash = String(dig(body, "token")).split(".")[3];
    assert.equal(hash, old?.fingerprint256.replaceAll(":", "").toLowerCase());
  }
  const finished = await step(registry, "finish");
  assert.equal(dig(finished.body, "voidedTokens"), 3);
});

test("a restart goes on in the same phase, with the same keys and the same list", async (t) => {
  const dataDir = await tempFolder(t);
  let nowMs = Date.now();
  const wall = () => nowMs;
  let registry = await secureRegistry(t, { wall }, { dataDir });
  const host = await enrol(registry, "node-1");
  let nothingNew = await stateOf(registry);
  const restart = async () => {
    await registry.close();
    registry = await secureRegistry(t, { wall }, { dataDir });
    const now = await stateOf(registry);
    for (const path of ["phase", "current.id", "next.id", "oldCertificatesTotal", "revision"]) {
      assert.equal(dig(now, path), dig(nothingNew, path), path);
    }
    assert.equal(isTrusted(host.credential.cert, await anchorsOf(registry)), true);
    const { body } = await call(registry, "GET", "/v1/identity/issued");
    assert.ok((body as unknown[]).some((one) => dig(one, "host") === "node-1"));
  };
  await restart();
  for (const name of ["begin", "issue"]) {
    assert.equal((await step(registry, name)).status, 200);
    nothingNew = await stateOf(registry);
    await restart();
  }
  const renewed = await renew(registry, host);
  // Its workers may still show the old one for a moment.
  assert.match(String(dig((await step(registry, "finish")).body, "error")), /the last second/);
  nowMs += 1_000;
  assert.equal((await step(registry, "finish")).status, 200);
  nothingNew = await stateOf(registry);
  await registry.close();
  registry = await secureRegistry(t, {}, { dataDir });
  assert.equal(dig(await stateOf(registry), "current.id"), dig(nothingNew, "current.id"));
  assert.equal(isTrusted(renewed, await anchorsOf(registry)), true);
  assert.equal(isTrusted(host.credential.cert, await anchorsOf(registry)), false);
});

test("the registry renews its own certificate at half of its life, without a restart", async (t) => {
  const time = new FakeTime();
  const startMs = Date.now();
  const wall = () => startMs + time.now();
  const registry = await secureRegistry(
    t,
    { wall, leafLifetimeMs: 3_600_000 },
    { clock: time, timers: time },
  );
  const first = await shownBy(registry.tlsUrl);
  time.advance(1_700_000);
  assert.equal(await shownBy(registry.tlsUrl), first);
  time.advance(200_000);
  const second = await shownBy(registry.tlsUrl);
  assert.notEqual(second, first);
  assert.ok(isTrusted(second, await anchorsOf(registry), wall()));
});
