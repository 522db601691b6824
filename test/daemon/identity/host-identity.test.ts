import assert from "node:assert/strict";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import test from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { AnchorsMissing } from "../../../daemon/identity/first-anchors.ts";
import { HostIdentity, type TokenSource } from "../../../daemon/identity/host-identity.ts";
import { RegistryRefusal } from "../../../daemon/identity/identity-client.ts";
import { IdentityFiles } from "../../../daemon/identity/identity-files.ts";
import { parseJoinToken, readJoinToken } from "../../../daemon/identity/join-token.ts";
import type { RegistryTls } from "../../../src/registry/registry-tls.ts";
import { IdentityRegistry } from "../../helpers/identity-registry.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../../registry/fake-time.ts";
import { memoryLog } from "../fixtures.ts";

const HOUR_MS = 3_600_000;
const START_MS = Date.parse("2026-01-01T00:00:00Z");
const HOST_ID = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";

/** A folder, a registry and the time: what outlives a start of the daemon. */
async function setUp(t: TestContext) {
  const home = await mkdtemp(join(tmpdir(), "hostmesh-identity-"));
  const begun: HostIdentity[] = [];
  t.after(async () => {
    for (const identity of begun) identity.stop();
    await Promise.all(begun.map((identity) => identity.written()));
    await rm(home, { recursive: true, force: true });
  });
  const time = new FakeTime();
  const wall = () => START_MS + time.now();
  const registry = new IdentityRegistry(wall);
  const folder = join(home, "identity");

  /** One start of the daemon. */
  const begin = async (token: TokenSource | null, host = "node-a") => {
    const { log, lines } = memoryLog();
    const seen: RegistryTls[] = [];
    let changes = 0;
    const identity = new HostIdentity({
      ...{ host, trustDomain: "cluster.local", files: new IdentityFiles(folder), token },
      ...{ timers: time, wall, random: () => 0, log },
      client: {
        enrol: (...args) => registry.enrol(...args),
        renewHost: (csr) => registry.renewHost(csr),
        setTls: (tls) => seen.push(tls),
      },
      firstAnchors: () => Promise.resolve([]),
      onChange: () => {
        changes++;
      },
    });
    begun.push(identity);
    await identity.load();
    identity.start();
    await pass(0);
    await identity.written();
    return { identity, lines, seen, changes: () => changes };
  };
  /** Moves time, and lets what falls due come to its end. */
  const pass = async (ms: number) => {
    time.advance(ms);
    for (let step = 0; step < 5; step++) await turn();
  };
  const fixed = (text = registry.token): TokenSource => ({
    isFresh: false,
    read: () => Promise.resolve(parseJoinToken(text)),
  });
  return { home, folder, time, registry, begin, pass, fixed };
}

test("a host enrols with its token, and keeps key and certificate in files of its own", async (t) => {
  const { folder, registry, begin, fixed } = await setUp(t);
  const { identity, seen } = await begin(fixed());
  await identity.enrolled;
  assert.equal(registry.enrolments, 1);
  assert.equal(identity.credential()?.identity, HOST_ID);
  assert.equal(identity.status().state, "valid");
  assert.deepEqual(seen.at(-1)?.anchors, registry.anchors);
  assert.deepEqual((await readdir(folder)).sort(), ["anchors.pem", "host.key", "host.pem"]);
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  for (const name of ["host.key", "host.pem"]) {
    assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600);
  }
});

test("the next start takes up what is stored, and needs no token", async (t) => {
  const { registry, begin, fixed } = await setUp(t);
  const first = await begin(fixed());
  first.identity.stop();
  const { identity, changes } = await begin(null);
  await identity.enrolled;
  assert.equal(registry.enrolments, 1);
  assert.equal(identity.credential()?.privateKey, first.identity.credential()?.privateKey);
  assert.equal(changes(), 1);
});

test("without token and stored identity there is one warning, and nothing is tried", async (t) => {
  const { begin, time, registry } = await setUp(t);
  const { identity, lines } = await begin(null);
  await assert.rejects(identity.enrolled, /neither a certificate .* nor a join token/);
  assert.equal(identity.credential(), null);
  assert.equal(lines.length, 1);
  assert.equal(time.pending(), 0);
  assert.equal(registry.enrolments, 0);
});

test("a key that others could read is closed to them, and replaced as soon as can be", async (t) => {
  const { folder, registry, begin, fixed, pass } = await setUp(t);
  const first = await begin(fixed());
  first.identity.stop();
  const before = await readFile(join(folder, "host.key"), "utf8");
  await chmod(join(folder, "host.key"), 0o644);
  registry.failure = new Error("away");
  const { identity, lines } = await begin(null);
  assert.match(lines[0]?.message ?? "", /could be read by others/);
  assert.equal(registry.renewals, 1);
  assert.equal((await stat(join(folder, "host.key"))).mode & 0o777, 0o600);
  assert.equal(await readFile(join(folder, "host.key"), "utf8"), before);
  registry.failure = null;
  await pass(400);
  await identity.written();
  assert.notEqual(await readFile(join(folder, "host.key"), "utf8"), before);
});

test("a crash between the two renames costs nothing", async (t) => {
  const { folder, begin, fixed, pass } = await setUp(t);
  const first = await begin(fixed());
  const oldKey = await readFile(join(folder, "host.key"), "utf8");
  await pass(12 * HOUR_MS);
  await first.identity.written();
  first.identity.stop();
  // As it was when the certificate was in place and the key was not.
  await rename(join(folder, "host.key"), join(folder, "host.key.new"));
  await writeFile(join(folder, "host.key"), oldKey, { mode: 0o600 });
  const { identity, lines } = await begin(null);
  assert.deepEqual(lines, []);
  assert.equal(identity.credential()?.privateKey, first.identity.credential()?.privateKey);
  assert.ok(!(await readdir(folder)).includes("host.key.new"));
});

for (const [what, spoil] of [
  [
    "garbage in place of the certificate",
    (folder: string) => writeFile(join(folder, "host.pem"), "x"),
  ],
  [
    "another key",
    (folder: string) =>
      writeFile(join(folder, "host.key"), new IdentityRegistry().credential(HOST_ID).privateKey),
  ],
  [
    "a folder in place of the key",
    async (folder: string) => {
      await rm(join(folder, "host.key"));
      await mkdir(join(folder, "host.key"));
    },
  ],
] satisfies [string, (folder: string) => Promise<void>][]) {
  test(`${what} is reported, and a token puts it right`, async (t) => {
    const { folder, registry, begin, fixed } = await setUp(t);
    (await begin(fixed())).identity.stop();
    await spoil(folder);
    const spoilt = await begin(null);
    assert.equal(spoilt.identity.credential(), null);
    assert.match(spoilt.lines[0]?.message ?? "", /stored identity .* of no use/);
    const { identity } = await begin(fixed());
    await identity.enrolled;
    assert.equal(registry.enrolments, 2);
  });
}

test("a stored identity of another host is not used", async (t) => {
  const { begin, fixed } = await setUp(t);
  (await begin(fixed())).identity.stop();
  const { identity, lines } = await begin(null, "node-b");
  assert.equal(identity.credential(), null);
  assert.match(String(lines[0]?.facts["error"]), /node-a's, not .*node-b's/);
});

test("the certificate is renewed at half-life, with a new key, in the files too", async (t) => {
  const { folder, registry, begin, fixed, pass } = await setUp(t);
  const { identity, seen } = await begin(fixed());
  const before = identity.credential()?.privateKey;
  await pass(12 * HOUR_MS - 1);
  assert.equal(registry.renewals, 0);
  await pass(1);
  assert.equal(registry.renewals, 1);
  assert.notEqual(identity.credential()?.privateKey, before);
  assert.equal(seen.at(-1)?.credential?.privateKey, identity.credential()?.privateKey);
  await identity.written();
  assert.equal(await readFile(join(folder, "host.key"), "utf8"), identity.credential()?.privateKey);
});

test("a renewal that fails keeps the old certificate; one that expired needs a token", async (t) => {
  const { registry, begin, fixed, pass } = await setUp(t);
  const { identity, lines } = await begin(fixed());
  registry.failure = new Error("out of order");
  for (let hour = 0; hour < 13; hour++) await pass(HOUR_MS);
  assert.equal(identity.status().state, "overdue");
  assert.notEqual(identity.credential(), null);
  assert.equal(lines.filter(({ message }) => /is not renewed/.test(message)).length, 1);
  for (let hour = 0; hour < 12; hour++) await pass(HOUR_MS);
  assert.equal(identity.status().state, "expired");
  registry.failure = null;
  await pass(150_000);
  assert.equal(identity.status().state, "expired");
  assert.match(identity.status().failure ?? "", /join token has been used/);
});

test("a refused token is not sent again, and one that comes later is", async (t) => {
  const { home, registry, begin, pass, time } = await setUp(t);
  const path = join(home, "token");
  await writeFile(path, `hm1.other.secret.${registry.issuer}\n`);
  const { identity } = await begin({ isFresh: false, read: () => readJoinToken(path) });
  await assert.rejects(identity.enrolled, /join token is not valid/);
  for (let step = 0; step < 3; step++) await pass(150_000);
  assert.equal(registry.enrolments, 1);
  await writeFile(path, registry.token);
  // Reading the file takes its time, whatever the clock of the test says.
  await until(() => {
    time.advance(150_000);
    return identity.credential() !== null;
  });
  assert.equal(registry.enrolments, 2);
  assert.equal(identity.status().state, "valid");
});

test("while the registry cannot be reached a host tries again, after pauses that grow", async (t) => {
  const { registry, begin, fixed, pass } = await setUp(t);
  registry.failure = new Error("no answer");
  const { identity } = await begin(fixed());
  await pass(400);
  assert.equal(registry.enrolments, 2);
  await pass(799);
  assert.equal(registry.enrolments, 2);
  registry.failure = null;
  await pass(1);
  await identity.enrolled;
  assert.equal(registry.enrolments, 3);
});

test("a fresh token of another registry replaces what is stored; an old one does not", async (t) => {
  const { begin, fixed, registry } = await setUp(t);
  (await begin(fixed())).identity.stop();
  const stale = await begin(fixed(`hm1.id.secret.${"0".repeat(64)}`));
  assert.equal(stale.identity.status().state, "valid");
  stale.identity.stop();
  registry.rotate();
  registry.anchors = registry.anchors.slice(1);
  const { identity } = await begin({ ...fixed(), isFresh: true });
  await identity.enrolled;
  assert.equal(registry.enrolments, 2);
});

test("new anchors count at once and are kept; another issuer makes the host renew", async (t) => {
  const { folder, registry, begin, fixed, pass } = await setUp(t);
  const { identity, seen } = await begin(fixed());
  registry.rotate();
  identity.setTrust(registry.trust());
  assert.deepEqual(seen.at(-1)?.anchors, registry.anchors);
  await identity.written();
  const kept = await readFile(join(folder, "anchors.pem"), "utf8");
  assert.equal(kept.match(/BEGIN/g)?.length, 2);
  await pass(0);
  assert.equal(registry.renewals, 1);
  identity.setTrust(registry.trust());
  await pass(1_000);
  assert.equal(registry.renewals, 1);
});

const projected = (): TokenSource => ({
  isFresh: false,
  read: () => Promise.resolve(parseJoinToken("aaa.bbb.ccc")),
});

test("a certificate that the registry refuses is asked for anew, and a projected token proves the host again", async (t) => {
  const { registry, begin, pass } = await setUp(t);
  const { enrol } = registry;
  registry.enrol = (token, _, request) => {
    assert.equal(token.text, "aaa.bbb.ccc");
    return enrol({ text: registry.token }, null, request);
  };
  const { identity } = await begin(projected());
  await pass(0);
  assert.equal(registry.enrolments, 1);
  const first = identity.credential()?.chain;
  // While it is believed, a renewal is enough.
  identity.doubt();
  await pass(0);
  assert.deepEqual([registry.renewals, registry.enrolments], [1, 1]);
  identity.doubt();
  await pass(0);
  assert.equal(registry.renewals, 1, "not again so soon");
  registry.renewHost = () => Promise.reject(new RegistryRefusal("401: not trusted"));
  await pass(30_000);
  identity.doubt();
  await pass(0);
  assert.equal(registry.enrolments, 2);
  assert.notEqual(identity.credential()?.chain, first);
  assert.equal(identity.status().failure, null);
});

test("a refused certificate of a host with a one-time token stays, as nothing else proves the host", async (t) => {
  const { registry, begin, pass, fixed } = await setUp(t);
  const { identity } = await begin(fixed());
  const first = identity.credential()?.chain;
  registry.renewHost = () => Promise.reject(new RegistryRefusal("401: not trusted"));
  identity.doubt();
  await pass(0);
  assert.equal(registry.enrolments, 1);
  assert.equal(identity.credential()?.chain, first);
  assert.match(identity.status().failure ?? "", /not trusted/);
});

test("anchors that are not there yet are looked for every two seconds, whatever has failed before", async (t) => {
  const { registry, begin, pass } = await setUp(t);
  const { enrol } = registry;
  let isThere = false;
  registry.enrol = (_, __, request) => {
    if (!isThere) throw new AnchorsMissing("there is no certificate yet");
    return enrol({ text: registry.token }, null, request);
  };
  const { identity, lines } = await begin(projected());
  for (let step = 0; step < 60; step++) await pass(2_000);
  assert.equal(identity.status().state, "missing");
  assert.equal(lines.filter(({ message }) => /cannot enrol/.test(message)).length, 1);
  isThere = true;
  await pass(2_000);
  assert.equal(identity.status().state, "valid");
});

test("a certificate of a registry that lags behind a rotation is soon asked for again", async (t) => {
  const { registry, begin, pass, fixed } = await setUp(t);
  const { identity } = await begin(fixed());
  const old = registry.issuer;
  identity.setTrust({ anchors: registry.anchors, issuer: "f".repeat(64) });
  await pass(1_000);
  assert.equal(registry.renewals, 1);
  assert.equal(identity.issuer(), old);
  registry.rotate();
  identity.setTrust({ anchors: registry.anchors, issuer: registry.issuer });
  await pass(15_000);
  assert.equal(identity.issuer(), registry.issuer);
});
