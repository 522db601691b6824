import assert from "node:assert/strict";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createSigningRequest } from "../../../src/identity/signing-request.ts";
import { generateKeys } from "../../../src/identity/x509.ts";
import type { TokenReview } from "../../../src/registry/identity/token-review.ts";
import { FakeTime } from "../fake-time.ts";
import { call, dig, keepingLog, tempFolder } from "../setup.ts";
import { callTls, secureRegistry, spiffe } from "./setup.ts";

type Registry = Awaited<ReturnType<typeof secureRegistry>>;

async function makeToken(registry: Registry, body: unknown = {}): Promise<string> {
  return String(dig((await call(registry, "POST", "/v1/identity/tokens", body)).body, "token"));
}

function join1(registry: Registry, proof: object, host = "node-1") {
  const csr = createSigningRequest(generateKeys(), spiffe("hostmesh-hosts", host));
  return callTls(registry.tlsUrl, "POST", "/v1/identity/enroll", { ...proof, host, csr });
}

async function refusals(registry: Registry): Promise<unknown> {
  return dig((await call(registry, "GET", "/v1/mesh/status")).body, "identity.refused");
}

test("a token works once: a replay is refused, counted and logged, after a restart too", async (t) => {
  const dataDir = await tempFolder(t);
  const log = keepingLog();
  let registry = await secureRegistry(t, {}, { dataDir, log });
  const token = await makeToken(registry, { host: "node-1" });
  assert.equal((await join1(registry, { token })).status, 200);
  const replay = await join1(registry, { token });
  assert.equal(replay.status, 403);
  assert.match(String(dig(replay.body, "error")), /used already/);
  assert.deepEqual(await refusals(registry), { enrol_token_replayed: 1 });
  assert.ok(log.lines.some(({ level, message }) => level === "warn" && /not enrol/.test(message)));
  await registry.close();
  registry = await secureRegistry(t, {}, { dataDir });
  assert.equal((await join1(registry, { token })).status, 403);
});

test("a refusal says what is wrong with the token and what to do", async (t) => {
  const registry = await secureRegistry(t);
  const token = await makeToken(registry, { host: "node-2" });
  const { status, body } = await join1(registry, { token });
  assert.equal(status, 403);
  const text = String(dig(body, "error"));
  assert.match(text, /is for another host than node-1: set `host`/);
  assert.match(text, /hostmesh identity token --host node-1$/);
  assert.equal((await join1(registry, { token }, "node-2")).status, 200, "it is not used up");
});

test("of many that use one token at once, one gets in", async (t) => {
  const registry = await secureRegistry(t);
  const token = await makeToken(registry);
  const answers = await Promise.all(Array.from({ length: 8 }, () => join1(registry, { token })));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  assert.equal(answers.filter(({ status }) => status === 403).length, 7);
});

test("an unused token survives a restart, and neither it nor a key is readable by others", async (t) => {
  const dataDir = await tempFolder(t);
  let registry = await secureRegistry(t, {}, { dataDir });
  const token = await makeToken(registry);
  await registry.close();
  const folder = join(dataDir, "ca");
  assert.equal((await stat(folder)).mode & 0o777, 0o700);
  const [, , secret = "none"] = token.split(".");
  for (const name of await readdir(folder)) {
    assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
    assert.ok(!(await readFile(join(folder, name), "utf8")).includes(secret), name);
  }
  registry = await secureRegistry(t, {}, { dataDir });
  assert.equal((await join1(registry, { token })).status, 200);
});

test("tokens that are wrong, expired, or another host's are refused", async (t) => {
  let nowMs = Date.now();
  const registry = await secureRegistry(t, { wall: () => nowMs });
  const token = await makeToken(registry, { host: "node-1", ttlMs: 60_000 });
  const [version, id, , root] = token.split(".");
  const wrong = [version, id, Buffer.alloc(32, 7).toString("base64url"), root].join(".");
  const refused: [string, string, RegExp][] = [
    [wrong, "node-1", /not known/],
    ["hm1.0000000000000000.AAAA.00", "node-1", /no join token/],
    [token, "node-2", /another host/],
  ];
  for (const [text, host, reason] of refused) {
    const answer = await join1(registry, { token: text }, host);
    assert.equal(answer.status, 403);
    assert.match(String(dig(answer.body, "error")), reason);
  }
  nowMs += 60_000;
  assert.match(String(dig((await join1(registry, { token })).body, "error")), /has expired/);
});

test("a request that is not for the host itself does not use the token up", async (t) => {
  const registry = await secureRegistry(t);
  const token = await makeToken(registry, { host: "node-1" });
  for (const identity of [
    spiffe("hostmesh-hosts", "node-2"),
    spiffe("hostmesh-system", "registry"),
    spiffe("shop", "web"),
    "spiffe://other.test/ns/hostmesh-hosts/sa/node-1",
  ]) {
    const csr = createSigningRequest(generateKeys(), identity);
    const body = { token, host: "node-1", csr };
    const answer = await callTls(registry.tlsUrl, "POST", "/v1/identity/enroll", body);
    assert.equal(answer.status, 403, identity);
  }
  assert.equal((await join1(registry, { token })).status, 200);
});

test("who fails again and again must wait, and may then go on", async (t) => {
  const time = new FakeTime();
  const registry = await secureRegistry(t, {}, { clock: time });
  const token = await makeToken(registry);
  const bad = `hm1.0000000000000000.${"A".repeat(43)}.${"0".repeat(64)}`;
  for (let round = 0; round < 10; round++) {
    assert.equal((await join1(registry, { token: bad })).status, 403);
  }
  assert.equal((await join1(registry, { token })).status, 429);
  time.advance(60_000);
  assert.equal((await join1(registry, { token })).status, 200);
});

test("service-account tokens are judged by the TokenReview that is configured", async (t) => {
  const none = await secureRegistry(t);
  const unjudged = await join1(none, { serviceAccountToken: "a.b.c" });
  assert.equal(unjudged.status, 501);
  const asked: string[][] = [];
  const reviewer: TokenReview = {
    async review(token, audience) {
      asked.push([token, audience]);
      if (token === "down") throw new Error("no answer");
      if (token === "bad") return { refusal: "it is not authenticated" };
      const [serviceAccount = "", node = ""] = token.split(" ");
      return { namespace: "hostmesh-system", serviceAccount, node };
    },
  };
  const rule = { namespace: "hostmesh-system", serviceAccount: "daemon", audience: "hostmesh" };
  const registry = await secureRegistry(t, { tokenReview: { reviewer, ...rule } });
  const statusOf = async (token: string) =>
    (await join1(registry, { serviceAccountToken: token })).status;
  assert.equal(await statusOf("daemon node-1"), 200);
  assert.equal(await statusOf("daemon node-2"), 403);
  assert.equal(await statusOf("other node-1"), 403);
  assert.equal(await statusOf("bad"), 403);
  assert.equal(await statusOf("down"), 503);
  assert.deepEqual(asked[0], ["daemon node-1", "hostmesh"]);
});
