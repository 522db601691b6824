import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { createSigningRequest } from "../../../src/identity/signing-request.ts";
import { generateKeys } from "../../../src/identity/x509.ts";
import { ReplicaBoard, type ReplicaNotice } from "../../../src/registry/identity/replica-board.ts";
import { MemoryPlace } from "../../helpers/memory-private-store.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../fake-time.ts";
import { call, dig, testClient } from "../setup.ts";
import { callTls, type Enrolled, enrol, requestFor, secureRegistry, spiffe } from "./setup.ts";

type Registry = Awaited<ReturnType<typeof secureRegistry>>;

function step(registry: Registry, name: string) {
  return call(registry, "POST", "/v1/identity/rotation", { step: name });
}

async function stateOf(registry: Registry): Promise<unknown> {
  return (await call(registry, "GET", "/v1/identity/authorities")).body;
}

async function until200(registry: Registry, name: string): Promise<void> {
  await until(async () => (await step(registry, name)).status === 200, {
    what: `the step ${name}`,
  });
}

/** Resolves when the registry's daemon has taken everything, its own host's record included. */
function settled(registry: Registry): Promise<void> {
  return until(
    async () => {
      const hosts = (await call(registry, "GET", "/v1/mesh/hosts")).body as unknown[];
      const { body, index } = await call(registry, "GET", "/v1/mesh/status");
      return hosts.length === 1 && dig(body, "daemons.0.revision") === index;
    },
    { what: "a quiet watch" },
  );
}

function joinWith(registry: Registry, token: unknown, host: string) {
  const csr = createSigningRequest(generateKeys(), spiffe("hostmesh-hosts", host));
  return callTls(registry.tlsUrl, "POST", "/v1/identity/enroll", { token, host, csr });
}

/** A daemon's watch that acknowledges, and can say what certificates it uses. */
function watch(t: TestContext, registry: Registry, { host, credential }: Enrolled) {
  const target = `${registry.tlsUrl.replace("https", "wss")}/v1/mesh/watch`;
  const socket = new WebSocket(target, { rejectUnauthorized: false, ...credential });
  const state = { anchors: 0, issuer: "", socket, obeys: true };
  socket.on("open", () => {
    const hello = { type: "hello", protocol: 1, host, zone: "", version: "t", epoch: "" };
    const mesh = { address: "10.9.9.9", port: 15_008 };
    socket.send(JSON.stringify({ ...hello, revision: 0, mesh }));
  });
  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString("utf8"));
    if (message.type !== "update") return;
    for (const { kind, value } of message.changes) {
      if (kind !== "trust") continue;
      state.anchors = value.anchors.length;
      state.issuer = value.issuer;
    }
    if (message.last && state.obeys) {
      socket.send(JSON.stringify({ type: "ack", revision: message.to }));
    }
  });
  socket.on("error", () => {});
  t.after(() => socket.terminate());
  return Object.assign(state, {
    uses: (issuers: string[]) => socket.send(JSON.stringify({ type: "certificates", issuers })),
  });
}

async function pair(t: TestContext) {
  const place = new MemoryPlace();
  const [one, two] = await Promise.all([
    secureRegistry(t, { store: place.open() }),
    secureRegistry(t, { store: place.open() }),
  ]);
  return { place, one, two };
}

test("registries that start together are one authority, and each takes the other's certificates", async (t) => {
  const { one, two } = await pair(t);
  const trusts = await Promise.all(
    [one, two].map(({ tlsUrl }) => callTls(tlsUrl, "GET", "/v1/identity/trust")),
  );
  assert.deepEqual(trusts[0]?.body, trusts[1]?.body);
  const { credential } = await enrol(one, "node-1");
  const answer = await callTls(two.tlsUrl, "GET", "/v1/mesh/services", undefined, credential);
  assert.equal(answer.status, 200);
});

test("a join token of one registry counts at every one, and once over all", async (t) => {
  const { one, two } = await pair(t);
  for (let round = 0; round < 3; round++) {
    const created = await call(one, "POST", "/v1/identity/tokens", {});
    const token = dig(created.body, "token");
    const both = [one, two, one, two].map((registry) => joinWith(registry, token, "node-1"));
    const statuses = (await Promise.all(both)).map(({ status }) => status);
    assert.deepEqual(statuses.sort(), [200, 403, 403, 403]);
    const late = await joinWith(two, token, "node-1");
    assert.match(String(dig(late.body, "error")), /used already/);
  }
});

test("a token is not taken while the place where it would be marked cannot be reached", async (t) => {
  const { place, one, two } = await pair(t);
  const created = await call(one, "POST", "/v1/identity/tokens", {});
  place.failure = new Error("unreachable");
  const refused = await joinWith(two, dig(created.body, "token"), "node-1");
  assert.equal(refused.status, 503);
  place.failure = null;
  assert.equal((await joinWith(two, dig(created.body, "token"), "node-1")).status, 200);
});

test("an authority that was deleted is put back by a registry that runs", async (t) => {
  const { place, one, two } = await pair(t);
  const before = place.entries.get("authorities.json");
  assert.ok(before);
  await place.open().remove("authorities.json", before.version);
  await until(() => place.entries.get("authorities.json")?.content === before.content);
  assert.equal((await step(two, "begin")).status, 200);
  await until(async () => dig(await stateOf(one), "phase") === "begun", { what: "the step" });
});

test("a rotation waits for the hosts of all registries, and all follow it", async (t) => {
  const { one, two } = await pair(t);
  const [hostA, hostB] = [await enrol(one, "node-a"), await enrol(two, "node-b")];
  const [a, b] = [watch(t, one, hostA), watch(t, two, hostB)];
  await until(() => a.anchors === 1 && b.anchors === 1, { what: "the first anchors" });
  await settled(two);
  b.obeys = false;
  assert.equal((await step(one, "begin")).status, 200);
  await until(() => b.anchors === 2, { what: "both anchors at the other registry" });
  assert.equal(dig(await stateOf(two), "phase"), "begun");
  // Seen by the other registry alone: its entry tells.
  await until(
    async () => {
      const { status, body } = await step(one, "issue");
      assert.equal(status, 409);
      return /too early to issue: not acknowledged by node-b$/.test(String(dig(body, "error")));
    },
    { what: "the wait for the host of the other registry" },
  );
  assert.equal((await step(two, "begin")).status, 409);
  b.obeys = true;
  b.socket.send(JSON.stringify({ type: "resync", reason: "again" }));
  // Whichever registry is asked.
  await until200(two, "issue");
  await until(async () => dig(await stateOf(one), "phase") === "issuing", { what: "the switch" });

  const early = await step(one, "finish");
  assert.equal(early.status, 409);
  assert.match(String(dig(early.body, "error")), /node-a/);
  await until(() => a.issuer === b.issuer && a.issuer !== "", { what: "the new issuer" });
  for (const [host, registry] of [
    [hostA, two],
    [hostB, one],
  ] as const) {
    const { csr } = requestFor(spiffe("hostmesh-hosts", host.host));
    const path = "/v1/identity/host";
    const answer = await callTls(registry.tlsUrl, "POST", path, { csr }, host.credential);
    assert.equal(answer.status, 200);
  }
  // Each was renewed at the other registry than the one that had issued: the lists alone would wait for ever.
  for (const daemon of [a, b]) daemon.uses([daemon.issuer]);
  await until200(one, "finish");
  await until(() => a.anchors === 1 && b.anchors === 1, { what: "the new anchor alone" });
  for (const registry of [one, two]) {
    assert.equal(dig(await stateOf(registry), "phase"), "steady");
    const answer = await callTls(
      ...([registry.tlsUrl, "GET", "/v1/mesh/services", undefined, hostA.credential] as const),
    );
    assert.equal(answer.status, 401);
  }
});

test("a host that says it still uses the old authority holds the end up, wherever it watches", async (t) => {
  const { one, two } = await pair(t);
  const host = await enrol(one, "node-a");
  const watching = watch(t, two, host);
  await until(() => watching.anchors === 1, { what: "the first anchors" });
  const old = watching.issuer;
  assert.equal((await step(one, "begin")).status, 200);
  await until200(one, "issue");
  await until(() => watching.issuer !== old, { what: "the new issuer" });
  watching.uses([watching.issuer, old]);
  await until(
    async () => {
      const { status, body } = await step(one, "finish");
      assert.equal(status, 409);
      return /certificates are in use/.test(String(dig(body, "error")));
    },
    { what: "the wait" },
  );
  watching.uses([watching.issuer]);
  await until200(one, "finish");
});

test("a registry that is silent counts as gone, and its entry is taken away in the end", async (t) => {
  const place = new MemoryPlace();
  const time = new FakeTime();
  let changes = 0;
  const hosts = { "node-a": { connected: true, trusts: false, renewed: null } };
  const board = (said: ReplicaNotice) =>
    new ReplicaBoard({
      ...{ store: place.open(), clock: time, timers: time, warn: () => {} },
      notice: () => said,
      changed: () => changes++,
    });
  const [one, two] = [board({ trust: "t", hosts: {} }), board({ trust: "t", hosts })];
  await one.start();
  await two.start();
  t.after(() => one.close());
  await until(() => one.others().length === 1, { what: "the other" });
  assert.deepEqual(one.others(), [{ trust: "t", hosts }]);
  assert.deepEqual(one.watching(), [1]);
  const entry = [...place.entries].find(([, { content }]) => content.includes("node-a"));
  assert.ok(entry);
  // Its process is gone: what it wrote stays as it was.
  await two.close();
  const seen = changes;
  await place.open().write(entry[0], entry[1].content, null);
  await until(() => one.others().length === 1, { what: "the entry that was left behind" });
  for (let step = 0; step < 8; step++) time.advance(5_000);
  assert.deepEqual(one.others(), []);
  assert.ok(changes > seen);
  await until(
    () => {
      time.advance(5_000);
      return !place.entries.has(entry[0]);
    },
    { what: "the removal of what was left behind" },
  );
});

test("a registry tells the others that it lives, and writes again what could not be written", async (t) => {
  const place = new MemoryPlace();
  const time = new FakeTime();
  const warnings: string[] = [];
  const board = new ReplicaBoard({
    ...{ store: place.open(), clock: time, timers: time },
    notice: () => ({ trust: "t", hosts: {} }),
    changed: () => {},
    warn: (message) => warnings.push(message),
  });
  await board.start();
  t.after(() => board.close());
  const beat = () =>
    Number(dig(JSON.parse([...place.entries.values()][0]?.content ?? "{}"), "beat"));
  const first = beat();
  board.touch();
  time.advance(600);
  assert.equal(beat(), first, "nothing new is not written again");
  await until(() => {
    time.advance(5_000);
    return beat() > first;
  });
  place.failure = new Error("unreachable");
  await until(() => {
    time.advance(5_000);
    return warnings.length === 1;
  });
  place.failure = null;
  const failed = beat();
  await until(() => {
    time.advance(5_000);
    return beat() > failed;
  });
});

test("a host whose certificate is not trusted any more is told so", async (t) => {
  const [mine, other] = [await secureRegistry(t), await secureRegistry(t)];
  const { host, credential } = await enrol(other, "node-1");
  const { body } = await callTls(mine.tlsUrl, "GET", "/v1/identity/trust");
  const anchors = { mine: dig(body, "anchors") as string[], other: [] as string[] };
  anchors.other = dig(
    (await callTls(other.tlsUrl, "GET", "/v1/identity/trust")).body,
    "anchors",
  ) as string[];
  for (const trusted of [anchors.mine, anchors.other]) {
    let doubts = 0;
    const { client } = await testClient(t, [mine.tlsUrl], {
      host,
      tls: () => ({
        ...{ trustDomain: "mesh.test", anchors: trusted },
        credential: { chain: credential.cert, privateKey: credential.key },
      }),
      distrusted: () => doubts++,
    });
    await client.start();
    await until(() => doubts > 0, { what: client.state().lastError ?? "a refusal" });
    await client.stop();
  }
});

test("an entry of a registry that is gone is waited for no longer than its hosts", async (t) => {
  const { place, one, two } = await pair(t);
  await until(
    () => [...place.entries.keys()].filter((name) => /^replica-/.test(name)).length === 2,
    {
      what: "both entries",
    },
  );
  await two.close();
  const left = [...place.entries.keys()].filter((name) => name.startsWith("replica-"));
  assert.equal(left.length, 1);
  assert.equal((await step(one, "begin")).status, 200);
  await until200(one, "issue");
  await until200(one, "finish");
});
