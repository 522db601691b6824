import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import test from "node:test";
import { IdentityClient, RegistryRefusal } from "../../../daemon/identity/identity-client.ts";
import { parseJoinToken } from "../../../daemon/identity/join-token.ts";
import { createSigningRequest } from "../../../src/identity/signing-request.ts";
import { generateKeys } from "../../../src/identity/x509.ts";
import { IdentityRegistry, serveIdentities } from "../../helpers/identity-registry.ts";

const HOST_ID = "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a";
const WEB_ID = "spiffe://cluster.local/ns/shop/sa/web";
const JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
const csrOf = (identity: string) => createSigningRequest(generateKeys(), identity);

async function setUp(t: TestContext, { identity }: { identity?: string } = {}) {
  const registry = new IdentityRegistry();
  const served = await serveIdentities(registry, identity);
  t.after(() => served.close());
  const client = clientOf(t, [served.url]);
  return { registry, served, client };
}

function clientOf(t: TestContext, urls: readonly string[], callMs = 5_000): IdentityClient {
  const client = new IdentityClient({ urls, trustDomain: "cluster.local", callMs });
  t.after(() => client.close());
  return client;
}

function tokenOf(text: string) {
  const token = parseJoinToken(text);
  assert.ok(token !== null);
  return token;
}

test("a one-time token is sent once the root that it names has been found and has vouched", async (t) => {
  const { registry, served, client } = await setUp(t);
  const request = { host: "node-a", csr: csrOf(HOST_ID) };
  const issued = await client.enrol(tokenOf(registry.token), [], request);
  assert.deepEqual(issued.anchors, registry.anchors);
  assert.deepEqual(
    served.calls.map(({ path, caller }) => [path, caller]),
    [
      ["/v1/identity/trust", ""],
      ["/v1/identity/enroll", ""],
    ],
  );
  assert.deepEqual(served.calls[1]?.body, { token: registry.token, ...request });
});

test("a registry with another root never sees the token", async (t) => {
  const { served, client } = await setUp(t);
  const other = tokenOf(new IdentityRegistry().token);
  const request = { host: "node-a", csr: csrOf(HOST_ID) };
  await assert.rejects(client.enrol(other, [], request), /not the one that the join token/);
  assert.deepEqual(
    served.calls.map(({ path }) => path),
    ["/v1/identity/trust"],
  );
});

test("one that shows the right root but has a certificate of another never sees the token", async (t) => {
  const { registry, served, client } = await setUp(t);
  const right = new IdentityRegistry();
  served.answer = (path) =>
    path.endsWith("/trust") ? { status: 200, body: JSON.stringify(right.trust()) } : null;
  const request = { host: "node-a", csr: csrOf(HOST_ID) };
  await assert.rejects(client.enrol(tokenOf(right.token), [], request), /no answer of/);
  assert.equal(served.calls.length, 1);
  assert.equal(registry.enrolments, 0);
});

for (const identity of [HOST_ID, "spiffe://other.domain/ns/hostmesh-system/sa/registry"]) {
  test(`${identity} is not taken for the registry, although its root is the right one`, async (t) => {
    const { registry, served, client } = await setUp(t, { identity });
    const request = { host: "node-a", csr: csrOf(HOST_ID) };
    await assert.rejects(client.enrol(tokenOf(registry.token), [], request), (error: Error) => {
      assert.match(String(error.cause), /the server is spiffe:/);
      return true;
    });
    assert.equal(served.calls.length, 1);
  });
}

test("a service-account token goes only to a registry of known anchors", async (t) => {
  const { registry, served, client } = await setUp(t);
  const request = { host: "node-a", csr: csrOf(HOST_ID) };
  await assert.rejects(client.enrol(tokenOf(JWT), [], request), /identity\.anchorsFile/);
  assert.equal(served.calls.length, 0);
  // The fake knows one-time tokens only: what counts is what it was sent.
  await assert.rejects(client.enrol(tokenOf(JWT), registry.anchors, request), RegistryRefusal);
  assert.deepEqual(served.calls[0]?.body, { serviceAccountToken: JWT, ...request });
});

test("certificates are asked for in the host's name, and a newer certificate is used at once", async (t) => {
  const { registry, served, client } = await setUp(t);
  await assert.rejects(client.renewHost(csrOf(HOST_ID)), /no certificate yet/);
  for (const host of ["node-a", "node-b"]) {
    const credential = registry.credential(`spiffe://cluster.local/ns/hostmesh-hosts/sa/${host}`);
    client.setTls({ trustDomain: "cluster.local", anchors: registry.anchors, credential });
    const { certificates } = await client.certificates([{ identity: WEB_ID, csr: csrOf(WEB_ID) }]);
    assert.equal(certificates[0]?.identity, WEB_ID);
    assert.equal(
      served.calls.at(-1)?.caller,
      `spiffe://cluster.local/ns/hostmesh-hosts/sa/${host}`,
    );
  }
});

test("a registry that does not answer is left for the next one; a refusal is final", async (t) => {
  const { registry, served } = await setUp(t);
  const client = clientOf(t, ["https://127.0.0.1:1", served.url]);
  const credential = registry.credential(HOST_ID);
  client.setTls({ trustDomain: "cluster.local", anchors: registry.anchors, credential });
  await client.renewHost(csrOf(HOST_ID));
  assert.equal(registry.renewals, 1);
  served.answer = () => ({ status: 403, body: '{"error":"the host is gone"}' });
  const before = served.calls.length;
  await assert.rejects(client.renewHost(csrOf(HOST_ID)), /403: the host is gone/);
  assert.equal(served.calls.length, before + 1);
});

for (const [what, status, body, isRefusal] of [
  ["500", 500, "{}", false],
  ["429", 429, '{"error":"later"}', false],
  ["501", 501, '{"error":"no TokenReview"}', true],
  ["no JSON", 200, "<html>", false],
  ["fields that are missing", 200, '{"chain":"x"}', false],
  ["anchors that are none", 200, '{"chain":"x","anchors":[],"issuer":"","trustDomain":"x"}', false],
  ["more than 8 MiB", 200, " ".repeat(8_400_000), false],
] as const) {
  test(`an answer of ${what} is ${isRefusal ? "a refusal" : "a failure"}`, async (t) => {
    const { registry, served, client } = await setUp(t);
    const credential = registry.credential(HOST_ID);
    client.setTls({ trustDomain: "cluster.local", anchors: registry.anchors, credential });
    served.answer = () => ({ status, body });
    await assert.rejects(client.renewHost(csrOf(HOST_ID)), (error: Error) => {
      assert.equal(error instanceof RegistryRefusal, isRefusal, String(error));
      return true;
    });
  });
}

test("a registry that is silent is given up in time", async (t) => {
  const { registry, served } = await setUp(t);
  const client = clientOf(t, [served.url], 50);
  const credential = registry.credential(HOST_ID);
  client.setTls({ trustDomain: "cluster.local", anchors: registry.anchors, credential });
  registry.renewHost = () => new Promise(() => undefined);
  await assert.rejects(client.renewHost(csrOf(HOST_ID)), /no answer of/);
});

test("texts that are no join tokens are told apart", () => {
  const hash = "a".repeat(64);
  assert.equal(parseJoinToken(` hm1.id.secret.${hash}\n`)?.kind, "one-time");
  assert.equal(parseJoinToken(JWT)?.kind, "service-account");
  for (const text of ["", "hm1.id.secret.abc", `hm1.id..${hash}`, `hm1.a b.c.${hash}`, "a.b"]) {
    assert.equal(parseJoinToken(text), null, text);
  }
  assert.equal(parseJoinToken(`${"a".repeat(20_000)}.b.c`), null);
});
