import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import type { AltNames } from "../../src/identity/extensions.ts";
import {
  type Authority,
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
  readAuthority,
} from "../../src/identity/x509.ts";

const NOW = Date.now();
const VALID = { notBefore: new Date(NOW - 60_000), notAfter: new Date(NOW + 3_600_000) };
const SPIFFE = "spiffe://cluster.local/ns/default/sa/web";
const NAMES = {
  uris: [SPIFFE],
  dnsNames: ["web", "*.web.default"],
  ips: ["10.1.2.3", "2001:db8::7:0", "::ffff:192.0.2.9"],
};

const hasOpenssl = (() => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
const withOpenssl = { skip: hasOpenssl ? false : "openssl is not installed" };

const authority = createAuthority({
  ...{ commonName: "test authority", names: { uris: ["spiffe://cluster.local"] } },
  ...VALID,
});

function leafOf(signer: Authority, names: AltNames = NAMES, commonName?: string) {
  const keys = generateKeys();
  const name = commonName === undefined ? {} : { commonName };
  const certificate = issueLeaf(signer, { publicKey: keys.publicKey, names, ...name, ...VALID });
  return { certificate, key: privateKeyPem(keys.privateKey), keys };
}

/** Writes files into a folder that goes with the test, and runs openssl there; a failure throws what it said. */
function opensslIn(t: TestContext, files: Readonly<Record<string, string>>) {
  const cwd = mkdtempSync(join(tmpdir(), "x509-"));
  t.after(() => rmSync(cwd, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const run = (...args: readonly string[]) => {
    const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
    return execFileSync("openssl", [...args], { cwd, stdio, encoding: "utf8" });
  };
  return { run, read: (name: string) => readFileSync(join(cwd, name), "utf8") };
}

test("openssl accepts a leaf, for both ends of TLS and by all its names", withOpenssl, (t) => {
  const { certificate } = leafOf(authority);
  const openssl = opensslIn(t, { "ca.pem": authority.certificate, "leaf.pem": certificate });
  const verify = (...args: readonly string[]) =>
    openssl.run("verify", "-x509_strict", ...args, "-CAfile", "ca.pem", "leaf.pem");
  for (const purpose of ["sslserver", "sslclient"]) verify("-purpose", purpose);
  verify("-verify_hostname", "web");
  verify("-verify_hostname", "a.web.default");
  for (const ip of ["10.1.2.3", "2001:db8::7:0", "192.0.2.9"]) verify("-verify_ip", ip);
  assert.throws(() => verify("-verify_hostname", "other"), /hostname mismatch/i);
  assert.throws(() => verify("-verify_ip", "10.1.2.4"), /IP address mismatch/i);
  const after = String(Math.ceil(VALID.notAfter.getTime() / 1_000) + 1);
  assert.throws(() => verify("-attime", after), /has expired/);
});

test("openssl accepts nothing of another authority with the same name", withOpenssl, (t) => {
  const other = createAuthority({ commonName: "test authority", ...VALID });
  const { certificate } = leafOf(other);
  const openssl = opensslIn(t, { "ca.pem": authority.certificate, "leaf.pem": certificate });
  assert.throws(
    () => openssl.run("verify", "-CAfile", "ca.pem", "leaf.pem"),
    /verification failed/,
  );
});

test("what a leaf signs is accepted by nobody", withOpenssl, (t) => {
  const leaf = leafOf(authority);
  const forged = leafOf({ certificate: leaf.certificate, privateKey: leaf.keys.privateKey });
  const openssl = opensslIn(t, {
    "ca.pem": authority.certificate,
    "middle.pem": leaf.certificate,
    "leaf.pem": forged.certificate,
  });
  assert.throws(
    () => openssl.run("verify", "-CAfile", "ca.pem", "-untrusted", "middle.pem", "leaf.pem"),
    /verification failed/,
  );
});

test("an authority that openssl made signs leaves, by its own key identifier", withOpenssl, (t) => {
  const openssl = opensslIn(t, {});
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const subject = ["-subj", "/O=Acme/CN=root", "-days", "2"];
  // SHA-1 of the key, where ours have SHA-256.
  const made = openssl.run("req", "-x509", ...curve, ...subject, "-keyout", "ca.key");
  const root = readAuthority(made, openssl.read("ca.key"));
  const { certificate } = leafOf(root);
  const files = opensslIn(t, { "ca.pem": made, "leaf.pem": certificate });
  files.run("verify", "-CAfile", "ca.pem", "leaf.pem");
  const idOf = (name: string, extension: string) =>
    /[0-9A-F]{2}(?::[0-9A-F]{2}){19}/.exec(
      files.run("x509", "-in", name, "-noout", "-ext", extension),
    )?.[0];
  assert.ok(idOf("ca.pem", "subjectKeyIdentifier") !== undefined);
  assert.equal(idOf("leaf.pem", "authorityKeyIdentifier"), idOf("ca.pem", "subjectKeyIdentifier"));
});

test("a leaf says who it is, and may sign nothing", () => {
  const { certificate, keys } = leafOf(authority, NAMES, "web");
  const leaf = new X509Certificate(certificate);
  const root = new X509Certificate(authority.certificate);
  assert.equal(leaf.ca, false);
  assert.equal(root.ca, true);
  assert.equal(leaf.subject, "CN=web");
  assert.equal(leaf.issuer, root.subject);
  assert.ok(leaf.checkIssued(root));
  assert.ok(leaf.verify(root.publicKey));
  assert.ok(leaf.checkPrivateKey(keys.privateKey));
  assert.deepEqual(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  const names = leaf.subjectAltName?.split(", ") ?? [];
  assert.deepEqual(names, [
    "DNS:web",
    "DNS:*.web.default",
    `URI:${SPIFFE}`,
    "IP Address:10.1.2.3",
    "IP Address:2001:DB8:0:0:0:0:7:0",
    "IP Address:192.0.2.9",
  ]);
});

test("validity is told to the second, beyond 2049 too", () => {
  const notBefore = new Date(Date.UTC(2049, 11, 31, 23, 59, 59, 900));
  const notAfter = new Date(Date.UTC(2051, 0, 2, 3, 4, 5));
  const { publicKey } = generateKeys();
  const request = { publicKey, names: NAMES, notBefore, notAfter };
  const leaf = new X509Certificate(issueLeaf(authority, request));
  assert.equal(leaf.validFromDate.toISOString(), "2049-12-31T23:59:59.000Z");
  assert.equal(leaf.validToDate.toISOString(), "2051-01-02T03:04:05.000Z");
  const never = { ...request, notBefore: notAfter, notAfter: notBefore };
  assert.throws(() => issueLeaf(authority, never), /never be valid/);
});

test("serial numbers are long, positive and never the same", () => {
  const serials = Array.from({ length: 200 }, () => {
    const { serialNumber } = new X509Certificate(leafOf(authority).certificate);
    assert.match(serialNumber, /^[4-7][0-9A-F]{31}$/);
    return serialNumber;
  });
  assert.equal(new Set(serials).size, serials.length);
});

test("names that no certificate can hold are refused", () => {
  const refused: readonly (readonly [AltNames, RegExp])[] = [
    [{ dnsNames: ["a b"] }, /not a DNS name: a b/],
    [{ dnsNames: ["a..b"] }, /not a DNS name/],
    [{ dnsNames: ["web\0.evil"] }, /not a DNS name/],
    [{ dnsNames: ["web.*"] }, /not a DNS name/],
    [{ dnsNames: [""] }, /not a DNS name/],
    [{ uris: ["no scheme"] }, /not a URI/],
    [{ uris: ["spiffe://mesh/caf\u00e9"] }, /not a URI/],
    [{ ips: ["10.0.0.256"] }, /not an IP address/],
    [{ ips: ["fe80::1%eth0"] }, /not an IP address/],
  ];
  for (const [names, message] of refused) {
    assert.throws(() => leafOf(authority, names), { name: "TypeError", message });
  }
});

test("keys on other curves and of other kinds are refused", () => {
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" });
  for (const { publicKey } of [rsa, p384]) {
    const request = { publicKey, names: NAMES, ...VALID };
    assert.throws(() => issueLeaf(authority, request), /a key on P-256 is needed/);
  }
});

test("a stored authority is read back only with its own key", () => {
  const key = privateKeyPem(authority.privateKey);
  const again = readAuthority(authority.certificate, key);
  const leaf = new X509Certificate(leafOf(again).certificate);
  assert.ok(leaf.verify(new X509Certificate(authority.certificate).publicKey));
  const other = privateKeyPem(generateKeys().privateKey);
  assert.throws(() => readAuthority(authority.certificate, other), /belongs to another key/);
  const { certificate, key: own } = leafOf(authority);
  assert.throws(() => readAuthority(certificate, own), /not an authority's/);
});

test("both ends of TLS 1.3 know each other by their certificates", async (t) => {
  const [web, client] = [leafOf(authority), leafOf(authority, { uris: [`${SPIFFE}-client`] })];
  const stranger = leafOf(createAuthority({ commonName: "test authority", ...VALID }));
  const ca = authority.certificate;
  const server = createServer({
    ...{ ca, cert: web.certificate, key: web.key, minVersion: "TLSv1.3" },
    requestCert: true,
  });
  server.on("secureConnection", (socket: TLSSocket) => {
    socket.on("error", () => socket.destroy());
    socket.end(socket.getPeerX509Certificate()?.subjectAltName ?? "nobody");
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const call = async ({ certificate: cert, key }: { certificate: string; key: string }) => {
    const options = { port, host: "127.0.0.1", servername: "web", ca, cert, key };
    let text = "";
    for await (const chunk of connect(options)) text += chunk;
    return text;
  };
  assert.equal(await call(client), `URI:${SPIFFE}-client`);
  // Whether it sees an alert or the end only, depends on who is faster.
  assert.equal(await call(stranger).catch(() => ""), "");
});
