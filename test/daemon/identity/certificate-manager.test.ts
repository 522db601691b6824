import assert from "node:assert/strict";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { CertificateManager } from "../../../daemon/identity/certificate-manager.ts";
import { RegistryRefusal } from "../../../daemon/identity/identity-client.ts";
import { IdentityRegistry } from "../../helpers/identity-registry.ts";
import { FakeTime } from "../../registry/fake-time.ts";
import { memoryLog } from "../fixtures.ts";

const HOUR_MS = 3_600_000;
const START_MS = Date.parse("2026-01-01T00:00:00Z");
const id = (name: string) => `spiffe://cluster.local/ns/shop/sa/${name}`;

function setUp(random = () => 0) {
  const time = new FakeTime();
  const wall = () => START_MS + time.now();
  const registry = new IdentityRegistry(wall);
  const { log, lines } = memoryLog();
  let changes = 0;
  const manager = new CertificateManager({
    ...{ trustDomain: "cluster.local", timers: time, wall, random, log },
    fetch: (requests) => registry.certificates(requests),
    onChange: () => {
      changes++;
    },
  });
  manager.setIssuer(registry.issuer);
  manager.start();
  /** Moves time, and lets what falls due then come to its end. */
  const pass = async (ms: number) => {
    time.advance(ms);
    for (let step = 0; step < 5; step++) await turn();
  };
  const held = () => manager.credentials().map(({ identity }) => identity);
  const stateOf = (name: string) =>
    manager.status().find(({ identity }) => identity === id(name))?.state;
  return { time, registry, manager, lines, pass, held, stateOf, changes: () => changes };
}

test("wanted identities are fetched in one call, each with a key of its own", async () => {
  const { manager, registry, pass, changes } = setUp();
  manager.setWanted([id("web"), id("cart")]);
  await pass(0);
  assert.deepEqual(registry.batches, [[id("web"), id("cart")]]);
  const [web, cart] = manager.credentials();
  assert.equal(web?.identity, id("web"));
  assert.equal(web?.notAfterMs, START_MS + 24 * HOUR_MS);
  assert.notEqual(web?.privateKey, cart?.privateKey);
  assert.equal(changes(), 1);
});

test("a call asks for a hundred identities at most, and the rest follow", async () => {
  const { manager, registry, pass, held } = setUp();
  manager.setWanted(Array.from({ length: 230 }, (_, index) => id(`s${index}`)));
  await pass(0);
  await pass(0);
  await pass(0);
  assert.deepEqual(
    registry.batches.map(({ length }) => length),
    [100, 100, 30],
  );
  assert.equal(held().length, 230);
});

test("a certificate is renewed at half of its life with a new key, and not before", async () => {
  const { manager, registry, pass } = setUp();
  manager.setWanted([id("web")]);
  await pass(0);
  const first = manager.credentials()[0]?.privateKey;
  await pass(12 * HOUR_MS - 1);
  assert.equal(registry.batches.length, 1);
  await pass(1);
  assert.equal(registry.batches.length, 2);
  assert.notEqual(manager.credentials()[0]?.privateKey, first);
  assert.equal(manager.credentials()[0]?.notAfterMs, START_MS + 36 * HOUR_MS);
});

test("chance brings a renewal forward by a tenth at most", async () => {
  const { manager, registry, pass } = setUp(() => 0.999);
  manager.setWanted([id("web")]);
  await pass(0);
  await pass(0.9 * 12 * HOUR_MS);
  assert.equal(registry.batches.length, 1);
  await pass(60_000);
  assert.equal(registry.batches.length, 2);
});

test("while renewals fail the old certificate stays, the state says so, and pauses grow", async () => {
  const { manager, registry, pass, held, stateOf, lines } = setUp(() => 0.5);
  manager.setWanted([id("web")]);
  await pass(0);
  registry.failure = new Error("out of order");
  await pass(12 * HOUR_MS);
  assert.equal(stateOf("web"), "overdue");
  assert.deepEqual(held(), [id("web")]);
  const before = registry.batches.length;
  for (const pauseMs of [500, 1_000, 2_000, 4_000]) {
    const tried = registry.batches.length;
    await pass(pauseMs - 1);
    assert.equal(registry.batches.length, tried, `tried before ${pauseMs} ms were over`);
    await pass(1);
    assert.equal(registry.batches.length, tried + 1);
  }
  assert.equal(registry.batches.length, before + 4);
  assert.equal(lines.filter(({ message }) => message.startsWith("no certificates")).length, 1);
  for (let hours = 0; hours < 12; hours++) await pass(HOUR_MS);
  assert.equal(stateOf("web"), "expired");
  const ceiling = registry.batches.length;
  await pass(150_000);
  assert.equal(registry.batches.length, ceiling + 1, "the longest pause is 150 s");
  registry.failure = null;
  await pass(150_000);
  assert.equal(stateOf("web"), "valid");
  assert.ok(manager.counts().failed > 10);
});

test("what is no longer wanted is dropped at once, with its key", async () => {
  const { manager, pass, held, changes, time } = setUp();
  manager.setWanted([id("web"), id("cart")]);
  await pass(0);
  manager.setWanted([id("cart")]);
  assert.deepEqual(held(), [id("cart")]);
  assert.equal(changes(), 2);
  manager.setWanted([]);
  assert.deepEqual(held(), []);
  assert.equal(time.pending(), 0);
});

test("an answer for what was dropped meanwhile is not kept, even if it is wanted again", async () => {
  const { manager, registry, time, pass, held } = setUp();
  manager.setWanted([id("web")]);
  time.advance(0);
  manager.setWanted([]);
  manager.setWanted([id("web")]);
  await pass(0);
  await pass(0);
  assert.equal(registry.batches.length, 2, "asked again, for the new one");
  assert.equal(manager.counts().issued, 1);
  assert.deepEqual(held(), [id("web")]);
});

test("one refusal among others is remembered and counted, and asked for again when records change", async () => {
  const { manager, registry, pass, held, stateOf, lines } = setUp(() => 0.5);
  registry.refused.set(id("cart"), "no workload of this host");
  manager.setWanted([id("web"), id("cart")]);
  await pass(0);
  assert.deepEqual(held(), [id("web")]);
  assert.equal(stateOf("cart"), "missing");
  const failure = manager.status().find(({ identity }) => identity === id("cart"))?.failure;
  assert.equal(failure, "no workload of this host");
  assert.equal(manager.counts().refused, 1);
  for (let tries = 0; tries < 6; tries++) await pass(32_000);
  const refusals = manager.counts().refused;
  registry.refused.clear();
  manager.reconsider();
  await pass(999);
  assert.equal(manager.counts().refused, refusals);
  await pass(1);
  assert.deepEqual(held(), [id("web"), id("cart")]);
  assert.equal(lines.filter(({ message }) => message === "a certificate is refused").length, 1);
});

test("a call that is refused as a whole is repeated one by one, so that one bad name blocks nobody", async () => {
  const { manager, registry, pass, held, stateOf } = setUp(() => 0.5);
  const { certificates } = registry;
  registry.certificates = async (requests) => {
    if (requests.every(({ identity }) => identity !== id("bad"))) return certificates(requests);
    throw new RegistryRefusal("400: not a request");
  };
  manager.setWanted([id("web"), id("bad"), id("cart")]);
  for (let step = 0; step < 4; step++) await pass(500);
  assert.deepEqual(held(), [id("web"), id("cart")]);
  assert.equal(stateOf("bad"), "missing");
  assert.equal(manager.counts().refused, 1);
});

test("a certificate of another identity is not taken", async () => {
  const { manager, registry, pass, held, stateOf, lines } = setUp();
  registry.mistake = id("cart");
  manager.setWanted([id("web")]);
  await pass(0);
  assert.deepEqual(held(), []);
  assert.equal(stateOf("web"), "missing");
  assert.match(String(lines[0]?.facts["reason"]), /is spiffe:.*cart's, not spiffe:.*web's/);
});

test("a certificate that leads to none of the anchors is not taken", async () => {
  const { manager, registry, pass, held } = setUp();
  registry.anchors = [registry.newAuthority().certificate];
  manager.setWanted([id("web")]);
  await pass(0);
  assert.deepEqual(held(), []);
  assert.match(manager.status()[0]?.failure ?? "", /not trusted/);
});

test("when another authority signs, all certificates are renewed within a second", async () => {
  const { manager, registry, pass, time } = setUp(() => 0.9);
  manager.setWanted([id("web"), id("cart")]);
  await pass(0);
  registry.rotate();
  await pass(60_000);
  assert.equal(registry.batches.length, 1);
  manager.setIssuer(registry.issuer);
  await pass(899);
  assert.equal(registry.batches.length, 1);
  await pass(1);
  assert.deepEqual(registry.batches[1], [id("web"), id("cart")]);
  await pass(60_000);
  assert.equal(registry.batches.length, 2, "once is enough");
  assert.equal(time.pending(), 1);
});

test("a certificate of the old authority that is under way when another takes over is renewed too", async () => {
  const { manager, registry, pass } = setUp(() => 0.5);
  const { certificates } = registry;
  const answer = Promise.withResolvers<void>();
  registry.certificates = async (requests) => {
    const made = await certificates(requests);
    await answer.promise;
    return made;
  };
  manager.setWanted([id("web")]);
  await pass(0);
  registry.rotate();
  manager.setIssuer(registry.issuer);
  answer.resolve();
  await pass(0);
  assert.equal(registry.batches.length, 1);
  await pass(500);
  assert.equal(registry.batches.length, 2);
});

test("before the host has an identity, and after the end, nobody is asked", async () => {
  const { manager, registry, pass } = setUp();
  manager.stop();
  manager.setWanted([id("web")]);
  await pass(60_000);
  assert.deepEqual(registry.batches, []);
  manager.start();
  await pass(0);
  assert.equal(registry.batches.length, 1);
});

test("an identity for which nothing can be asked does not end the renewal of others", async () => {
  const { manager, pass, held } = setUp();
  manager.setWanted(["no SPIFFE ID"]);
  await pass(0);
  assert.match(manager.status()[0]?.failure ?? "", /not a SPIFFE ID/);
  manager.setWanted([id("web")]);
  await pass(0);
  assert.deepEqual(held(), [id("web")]);
});
