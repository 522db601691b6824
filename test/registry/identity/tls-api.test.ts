import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { promisify } from "node:util";
import { WebSocket } from "ws";
import { createSigningRequest } from "../../../src/identity/signing-request.ts";
import { verifyChain } from "../../../src/identity/verify-chain.ts";
import {
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../../src/identity/x509.ts";
import { until } from "../../helpers/until.ts";
import { call, dig, keepingLog, tempFolder } from "../setup.ts";
import {
  type ClientCredential,
  callTls,
  enrol,
  requestFor,
  secureRegistry,
  spiffe,
  TRUST_DOMAIN,
} from "./setup.ts";

const run = promisify(execFile);

async function anchorsOf(url: string): Promise<string[]> {
  const { body } = await callTls(url, "GET", "/v1/identity/trust");
  return (dig(body, "anchors") as string[]).map(String);
}

test("openssl takes the registry's certificate, over TLS 1.3 and nothing older", async (t) => {
  const registry = await secureRegistry(t);
  const folder = await tempFolder(t);
  const ca = join(folder, "ca.pem");
  await writeFile(ca, (await anchorsOf(registry.tlsUrl)).join(""));
  const at = new URL(registry.tlsUrl).host;
  const client = (...flags: string[]) => {
    const running = run("openssl", ["s_client", "-connect", at, "-CAfile", ca, ...flags]);
    running.child.stdin?.end();
    return running;
  };
  const { stdout } = await client("-verify_return_error", "-tls1_3");
  assert.match(stdout, /Verify return code: 0 \(ok\)/);
  assert.match(stdout, /TLSv1\.3/);
  await assert.rejects(client("-tls1_2"));
});

test("openssl verifies what hosts and workloads get, for both purposes", async (t) => {
  const registry = await secureRegistry(t);
  const host = await enrol(registry, "node-1");
  await call(registry, "PUT", "/v1/mesh/workloads/shop/web", {
    ...{ host: "node-1", addresses: ["10.0.0.1"], serviceAccount: "web" },
  });
  const answer = await callTls(
    ...([registry.tlsUrl, "POST", "/v1/identity/certificates"] as const),
    { requests: [requestFor(spiffe("shop", "web"))] },
    host.credential,
  );
  assert.equal(answer.status, 200);
  const folder = await tempFolder(t);
  const [ca, leaf] = [join(folder, "ca.pem"), join(folder, "leaf.pem")];
  await writeFile(ca, (await anchorsOf(registry.tlsUrl)).join(""));
  for (const chain of [host.credential.cert, String(dig(answer.body, "certificates.0.chain"))]) {
    await writeFile(leaf, chain);
    for (const purpose of ["sslserver", "sslclient"]) {
      const verified = await run("openssl", [
        ...["verify", "-x509_strict", "-CAfile", ca, "-purpose", purpose, leaf],
      ]);
      assert.match(verified.stdout, /: OK/);
    }
  }
});

/** Who calls -> method and path -> status. */
const OPERATORS_ONLY: [string, string][] = [
  ["POST", "/v1/identity/tokens"],
  ["POST", "/v1/identity/rotation"],
  ["GET", "/v1/identity/authorities"],
  ["GET", "/v1/identity/issued"],
  ["POST", "/v1/mesh/apply"],
  ["PUT", "/v1/mesh/services/default/web"],
  ["DELETE", "/v1/mesh/services/default/web"],
  ["DELETE", "/v1/mesh/hosts/node-1"],
  ["POST", "/v1/mesh/resources"],
];
const HOSTS_TOO: [string, string][] = [
  ["GET", "/v1/mesh/services"],
  ["GET", "/v1/mesh/endpoints"],
  ["GET", "/v1/mesh/workloads"],
  ["GET", "/v1/mesh/hosts"],
  ["GET", "/v1/mesh/status"],
  ["GET", "/v1/catalog/services"],
  ["GET", "/v1/health/service/web"],
  ["GET", "/v1/agent/services"],
];

test("a probe, which has no certificate, hears that the registry serves, and nothing else", async (t) => {
  const registry = await secureRegistry(t);
  const { status, body } = await callTls(registry.tlsUrl, "GET", "/healthz");
  assert.deepEqual([status, body], [200, { ok: true }]);
  assert.equal((await call(registry, "GET", "/healthz")).status, 200);
});

test("what is for operators is refused to hosts, and everything but enrolment to strangers", async (t) => {
  const registry = await secureRegistry(t);
  const { credential } = await enrol(registry, "node-1");
  for (const [method, path] of OPERATORS_ONLY) {
    const body = method === "GET" || method === "DELETE" ? undefined : {};
    assert.equal(
      (await callTls(registry.tlsUrl, method, path, body, credential)).status,
      403,
      path,
    );
    assert.equal((await callTls(registry.tlsUrl, method, path, body)).status, 401, path);
  }
  for (const [method, path] of HOSTS_TOO) {
    assert.equal((await callTls(registry.tlsUrl, method, path, undefined, credential)).status, 200);
    assert.equal((await callTls(registry.tlsUrl, method, path)).status, 401, path);
  }
  assert.equal((await callTls(registry.tlsUrl, "GET", "/v1/identity/trust")).status, 200);
  for (const path of ["/v1/identity/host", "/v1/identity/certificates"]) {
    assert.equal((await callTls(registry.tlsUrl, "POST", path, { requests: [] })).status, 401);
    assert.equal((await call(registry, "POST", path, { csr: "", requests: [] })).status, 400);
  }
});

test("a host registers nothing unless that is asked for: who registers decides who it may be", async (t) => {
  const registry = await secureRegistry(t);
  const { credential } = await enrol(registry, "node-1");
  const place = { service: "web", address: "10.0.0.1", port: 80 };
  for (const [method, path, body] of [
    ["PUT", "/v1/mesh/endpoints/node-1/web", place],
    ["DELETE", "/v1/mesh/endpoints/node-1/web", undefined],
    ["PUT", "/v1/mesh/workloads/shop/web", { addresses: ["10.0.0.1"] }],
    ["PUT", "/v1/agent/service/register", { Name: "api", Port: 80, Address: "10.0.0.1" }],
    ["PUT", "/v1/agent/service/deregister/api", undefined],
  ] as const) {
    const answer = await callTls(registry.tlsUrl, method, path, body, credential);
    assert.equal(answer.status, 403, path);
  }
  const report = { host: "node-1", results: [] };
  const health = await callTls(registry.tlsUrl, "PUT", "/v1/mesh/health", report, credential);
  assert.equal(health.status, 200);
});

test("where hosts may register, each does for itself, and for nobody else", async (t) => {
  const registry = await secureRegistry(t, { hostsRegister: true });
  const { credential } = await enrol(registry, "node-1");
  const as = (method: string, path: string, body?: unknown) =>
    callTls(registry.tlsUrl, method, path, body, credential);
  const endpoint = { service: "web", address: "10.0.0.1", port: 80 };
  assert.equal((await as("PUT", "/v1/mesh/endpoints/node-1/web", endpoint)).status, 200);
  assert.equal((await as("PUT", "/v1/mesh/endpoints/node-2/web", endpoint)).status, 403);
  assert.equal((await as("DELETE", "/v1/mesh/endpoints/node-2/web")).status, 403);
  const workload = { addresses: ["10.0.0.1"] };
  assert.equal((await as("PUT", "/v1/mesh/workloads/shop/web", workload)).status, 200);
  const { body } = await as("GET", "/v1/mesh/workloads");
  assert.equal(dig(body, "0.host"), "node-1");
  const elsewhere = { ...workload, host: "node-2" };
  assert.equal((await as("PUT", "/v1/mesh/workloads/shop/db", elsewhere)).status, 403);
  await call(registry, "PUT", "/v1/mesh/workloads/shop/db", elsewhere);
  assert.equal((await as("PUT", "/v1/mesh/workloads/shop/db", workload)).status, 403);
  assert.equal((await as("DELETE", "/v1/mesh/workloads/shop/db")).status, 403);
  const report = { host: "node-2", results: [] };
  assert.equal((await as("PUT", "/v1/mesh/health", report)).status, 403);
  assert.equal((await as("PUT", "/v1/mesh/health", { ...report, host: "node-1" })).status, 200);
  const consul = { Name: "api", Port: 80, Address: "10.0.0.1" };
  assert.equal((await as("PUT", "/v1/agent/service/register", consul)).status, 200);
  assert.equal((await as("PUT", "/v1/agent/service/register?node=node-2", consul)).status, 403);
  const { body: services } = await as("GET", "/v1/agent/services");
  assert.equal(dig(services, "api.Port"), 80);
});

test("nobody registers anything in the namespaces of the mesh itself", async (t) => {
  const registry = await secureRegistry(t);
  for (const namespace of ["hostmesh-hosts", "hostmesh-system"]) {
    const workload = { addresses: ["10.0.0.9"] };
    const put = await call(registry, "PUT", `/v1/mesh/workloads/${namespace}/x`, workload);
    assert.equal(put.status, 403);
    const endpoint = { service: "registry", namespace, address: "10.0.0.9", port: 1 };
    const place = "/v1/mesh/endpoints/node-1/x";
    assert.equal((await call(registry, "PUT", place, endpoint)).status, 403);
    const batch = { workloads: [{ name: "x", namespace, ...workload }] };
    assert.equal((await call(registry, "POST", "/v1/mesh/apply", batch)).status, 403);
    const consul = { Name: "registry", Namespace: namespace, Port: 1, Address: "10.0.0.9" };
    assert.equal((await call(registry, "PUT", "/v1/agent/service/register", consul)).status, 403);
  }
});

test("a host gets the identities of what is registered on it; others are refused, counted and logged", async (t) => {
  const log = keepingLog();
  const registry = await secureRegistry(t, {}, { log });
  const { credential } = await enrol(registry, "node-1");
  const put = (path: string, body: unknown) => call(registry, "PUT", `/v1/mesh/${path}`, body);
  await put("workloads/shop/web-1", {
    ...{ host: "node-1", addresses: ["10.0.0.1"], serviceAccount: "web" },
  });
  await put("workloads/shop/db-1", {
    ...{ host: "node-2", addresses: ["10.0.1.1"], serviceAccount: "db" },
  });
  // Claimed by the workload web-1: its identity is that one's, and not the service's.
  await put("endpoints/node-1/a", { service: "front", address: "10.0.0.1", port: 80 });
  await put("endpoints/node-1/b", { service: "cache", address: "10.0.0.2", port: 80 });
  await put("endpoints/node-2/c", { service: "far", address: "10.0.1.2", port: 80 });
  const [good, foreign] = [
    requestFor(spiffe("shop", "web")),
    requestFor(spiffe("default", "cache")),
  ];
  const granted = [good, foreign, requestFor(spiffe("hostmesh-hosts", "node-1"))];
  const mismatched = { ...good, csr: requestFor(spiffe("shop", "db")).csr };
  const refused = [
    requestFor(spiffe("shop", "db")),
    requestFor(spiffe("default", "front")),
    requestFor(spiffe("default", "far")),
    requestFor(spiffe("hostmesh-hosts", "node-2")),
    requestFor(spiffe("hostmesh-system", "registry")),
    requestFor("spiffe://other.test/ns/shop/sa/web"),
    { identity: "spiffe://mesh.test/ns/shop/sa/web/../db", csr: good.csr },
    mismatched,
    { ...good, csr: "-----BEGIN CERTIFICATE REQUEST-----" },
  ];
  const requests = [...granted, ...refused];
  const answer = await callTls(
    ...([registry.tlsUrl, "POST", "/v1/identity/certificates", { requests }, credential] as const),
  );
  assert.equal(answer.status, 200);
  const anchors = (await anchorsOf(registry.tlsUrl)).map((pem) => new X509Certificate(pem));
  for (const [index, { identity }] of granted.entries()) {
    const chain = new X509Certificate(String(dig(answer.body, `certificates.${index}.chain`)));
    assert.equal(verifyChain([chain], anchors, Date.now(), TRUST_DOMAIN).identity, identity);
  }
  for (const index of refused.keys()) {
    const one = dig(answer.body, `certificates.${granted.length + index}`);
    assert.equal(typeof dig(one, "error"), "string", JSON.stringify(one));
    assert.equal(dig(one, "chain"), undefined);
  }
  const { body } = await call(registry, "GET", "/v1/mesh/status");
  assert.deepEqual(dig(body, "identity.refused"), {
    not_on_this_host: 3,
    other_host: 1,
    reserved: 1,
    other_trust_domain: 1,
    malformed: 1,
    mismatch: 1,
    malformed_request: 1,
  });
  assert.equal(log.lines.filter(({ message }) => /may not have/.test(message)).length, 7);
});

/** Credentials that no registry gave. */
function impostors(): [string, ClientCredential][] {
  const nowMs = Date.now();
  const day = { notBefore: new Date(nowMs - 1_000), notAfter: new Date(nowMs + 86_400_000) };
  const { privateKey, publicKey } = generateKeys();
  const key = privateKeyPem(privateKey);
  const names = { uris: [spiffe("hostmesh-hosts", "node-1")] };
  const forged = createAuthority({ commonName: `hostmesh root of ${TRUST_DOMAIN}`, ...day });
  const cert = issueLeaf(forged, { publicKey, names, ...day });
  return [
    ["of a root with the same name", { cert, key }],
    ["self-signed", { cert: forged.certificate, key: privateKeyPem(forged.privateKey) }],
  ];
}

test("certificates of others open nothing: forged, self-signed, of a workload, expired", async (t) => {
  let nowMs = Date.now();
  const registry = await secureRegistry(t, { wall: () => nowMs });
  const { credential } = await enrol(registry, "node-1");
  const list = (shown: ClientCredential) =>
    callTls(registry.tlsUrl, "GET", "/v1/mesh/services", undefined, shown);
  for (const [what, shown] of impostors()) {
    const { status, body } = await list(shown);
    assert.equal(status, 401, what);
    assert.match(String(dig(body, "error")), /not trusted|authority's/);
  }
  await call(registry, "PUT", "/v1/mesh/workloads/shop/web", {
    ...{ host: "node-1", addresses: ["10.0.0.1"], serviceAccount: "node-1" },
  });
  const identity = spiffe("shop", "node-1");
  const { body } = await callTls(
    ...([registry.tlsUrl, "POST", "/v1/identity/host"] as const),
    { csr: requestFor(identity).csr },
    credential,
  );
  assert.match(String(dig(body, "error")), /the signing request is for/);
  const keys = generateKeys();
  const issued = await callTls(
    ...([registry.tlsUrl, "POST", "/v1/identity/certificates"] as const),
    { requests: [{ identity, csr: createSigningRequest(keys, identity) }] },
    credential,
  );
  const cert = String(dig(issued.body, "certificates.0.chain"));
  const workload = await list({ cert, key: privateKeyPem(keys.privateKey) });
  assert.equal(workload.status, 401);
  assert.match(String(dig(workload.body, "error")), /is no host/);
  nowMs += 604_801_000;
  const expired = await list(credential);
  assert.equal(expired.status, 401);
  assert.match(String(dig(expired.body, "error")), /has expired/);
});

function watch(t: TestContext, url: string, credential: ClientCredential, host: string) {
  const target = `${url.replace("https", "wss")}/v1/mesh/watch`;
  const socket = new WebSocket(target, { rejectUnauthorized: false, ...credential });
  const seen = { welcomed: false, closed: 0, status: 0 };
  socket.on("open", () => {
    const hello = { type: "hello", protocol: 1, host, zone: "", version: "t", epoch: "" };
    const mesh = { address: "", port: 15_008 };
    socket.send(JSON.stringify({ ...hello, revision: 0, mesh }));
  });
  socket.on("message", () => {
    seen.welcomed = true;
  });
  socket.on("unexpected-response", (request, response) => {
    seen.status = response.statusCode ?? 0;
    request.destroy();
  });
  socket.on("close", (code) => {
    seen.closed = code;
  });
  socket.on("error", () => {});
  t.after(() => socket.terminate());
  return seen;
}

test("a host watches as itself only, and its record says where it takes mutual TLS", async (t) => {
  const registry = await secureRegistry(t);
  const { credential } = await enrol(registry, "node-1");
  const own = watch(t, registry.tlsUrl, credential, "node-1");
  const other = watch(t, registry.tlsUrl, credential, "node-2");
  const stranger = watch(t, registry.tlsUrl, {}, "node-1");
  await until(() => own.welcomed, { what: "the welcome" });
  await until(() => other.closed === 1008, { what: "the refusal of another's name" });
  await until(() => stranger.status === 401, { what: "the refusal of a stranger" });
  await until(
    async () => dig((await call(registry, "GET", "/v1/mesh/hosts")).body, "0.name") === "node-1",
    { what: "the host's record" },
  );
  const { body } = await call(registry, "GET", "/v1/mesh/hosts");
  // The watch came over loopback, so the host is the registry's, which others know as hostAddress.
  assert.deepEqual(body, [{ name: "node-1", address: "192.0.2.1", meshPort: 15_008 }]);
  const removed = await call(registry, "DELETE", "/v1/mesh/hosts/node-1");
  assert.equal(dig(removed.body, "removed"), true);
});

test("a watch ends when the certificate that opened it does", async (t) => {
  let nowMs = Date.now();
  const registry = await secureRegistry(t, { wall: () => nowMs }, { pingMs: 20 });
  const { credential } = await enrol(registry, "node-1");
  const own = watch(t, registry.tlsUrl, credential, "node-1");
  await until(() => own.welcomed, { what: "the welcome" });
  nowMs += 604_801_000;
  await until(() => own.closed !== 0, { what: "the end of the watch" });
});

test("the registry closes at once under connections that never finish their handshake", async (t) => {
  const registry = await secureRegistry(t);
  const port = Number(new URL(registry.tlsUrl).port);
  const silent = connectPlain(port, "127.0.0.1");
  const noise = connectPlain(port, "127.0.0.1", () => noise.write("GET / HTTP/1.1\r\n\r\n"));
  for (const socket of [silent, noise]) {
    socket.on("error", () => {});
    t.after(() => socket.destroy());
  }
  await until(() => noise.closed, { what: "plain HTTP to be dropped" });
  assert.equal((await callTls(registry.tlsUrl, "GET", "/v1/identity/trust")).status, 200);
  const startMs = performance.now();
  await registry.close();
  // Less than a handshake may take.
  assert.ok(performance.now() - startMs < 5_000);
  await until(() => silent.closed, { what: "the silent connection to be closed" });
});

test("sessions are not resumed: a resumed one would not show who is there", async (t) => {
  const registry = await secureRegistry(t);
  const { credential } = await enrol(registry, "node-1");
  const port = Number(new URL(registry.tlsUrl).port);
  let session: Buffer | undefined;
  for (let round = 0; round < 2; round++) {
    const socket = connect({
      ...{ port, host: "127.0.0.1", rejectUnauthorized: false, ...credential },
      ...(session === undefined ? {} : { session }),
    });
    socket.on("session", (one: Buffer) => {
      session = one;
    });
    let reused = true;
    socket.on("secureConnect", () => {
      reused = socket.isSessionReused();
      socket.write("GET /v1/mesh/services HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    });
    let reply = "";
    socket.setEncoding("utf8").on("data", (text: string) => {
      reply += text;
    });
    socket.on("error", () => {});
    await until(() => socket.closed, { what: "the answer" });
    assert.match(reply, /^HTTP\/1\.1 200/);
    assert.equal(reused, false);
  }
});
