import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createSigningRequest, readSigningRequest } from "../../src/identity/signing-request.ts";
import { generateKeys } from "../../src/identity/x509.ts";

const WEB = "spiffe://mesh.test/ns/shop/sa/web";
const LABEL = "CERTIFICATE REQUEST";
let folder = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "hostmesh-request-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
}

function pemOf(der: Buffer): string {
  return `-----BEGIN ${LABEL}-----\n${der.toString("base64")}\n-----END ${LABEL}-----\n`;
}

/** A request by openssl, with what its options say. */
function byOpenssl(key: KeyObject, ...options: string[]): string {
  const path = join(folder, "key.pem");
  writeFileSync(path, key.export({ type: "pkcs8", format: "pem" }));
  const flags = ["req", "-new", "-key", path, "-outform", "PEM", ...options];
  return execFileSync("openssl", flags, { stdio: ["ignore", "pipe", "ignore"] }).toString();
}

test("what is asked for is read back, and openssl finds the request in order", () => {
  const keys = generateKeys();
  const pem = createSigningRequest(keys, WEB);
  const { identity, publicKey } = readSigningRequest(pem);
  assert.equal(identity, WEB);
  assert.ok(publicKey.equals(keys.publicKey));
  const text = execFileSync("openssl", ["req", "-verify", "-noout", "-text"], {
    input: pem,
    stdio: ["pipe", "pipe", "ignore"],
  }).toString();
  assert.match(text, /Subject: *\n/);
  assert.match(text, new RegExp(`URI:${WEB}`));
});

test("a request of openssl's is taken, and its subject ignored", () => {
  const { privateKey } = generateKeys();
  const pem = byOpenssl(
    privateKey,
    "-subj",
    "/CN=root/O=x",
    "-addext",
    `subjectAltName=URI:${WEB}`,
  );
  assert.equal(readSigningRequest(pem).identity, WEB);
});

test("the longest SPIFFE ID fits", () => {
  const longest = `spiffe://${"a".repeat(255)}/ns/${"b".repeat(255)}/sa/${"c".repeat(255)}`;
  assert.equal(readSigningRequest(createSigningRequest(generateKeys(), longest)).identity, longest);
});

const SAN = `subjectAltName=URI:${WEB}`;
/** What is wrong -> openssl's options, and what the error says. */
const refused: [string, string[], RegExp][] = [
  ["no name", [], /attributes|missing|names no URI/],
  ["two URIs", ["-addext", `${SAN},URI:${WEB}2`], /2 URIs/],
  ["a DNS name beside it", ["-addext", `${SAN},DNS:web`], /kind DNS/],
  ["an address beside it", ["-addext", `${SAN},IP:10.0.0.1`], /kind IP/],
  ["an e-mail address", ["-addext", `${SAN},email:a@b.c`], /kind e-mail/],
  ["another name", ["-addext", `${SAN},otherName:1.2.3.4;UTF8:x`], /kind other/],
  ["a URI of another kind", ["-addext", "subjectAltName=URI:https://web"], /no SPIFFE ID/],
  ["no path", ["-addext", "subjectAltName=URI:spiffe://mesh.test"], /no SPIFFE ID/],
  ["an authority", ["-addext", SAN, "-addext", "basicConstraints=CA:TRUE"], /an authority's/],
  ["usages", ["-addext", SAN, "-addext", "keyUsage=keyCertSign"], /the extension 2\.5\.29\.15/],
  ["the name twice", ["-addext", "1.2.3.4=ASN1:NULL", "-addext", SAN], /the extension 1\.2\.3\.4/],
];
for (const [what, options, reason] of refused) {
  test(`a request with ${what} is refused`, () => {
    const pem = byOpenssl(generateKeys().privateKey, "-subj", "/", ...options);
    assert.throws(() => readSigningRequest(pem), reason);
  });
}

test("keys of other kinds and on other curves are refused", () => {
  const others = [
    generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
    generateKeyPairSync("ed25519").privateKey,
    generateKeyPairSync("ec", { namedCurve: "secp384r1" }).privateKey,
    generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
    generateKeyPairSync("ec", { namedCurve: "prime256v1", paramEncoding: "explicit" }).privateKey,
  ];
  for (const key of others) {
    const pem = byOpenssl(key, "-subj", "/", "-addext", SAN);
    assert.throws(() => readSigningRequest(pem), /P-256 is needed/);
  }
});

test("a request that another key has signed, or that was changed afterwards, is refused", () => {
  const [own, other] = [generateKeys(), generateKeys()];
  const foreign = createSigningRequest(
    { publicKey: own.publicKey, privateKey: other.privateKey },
    WEB,
  );
  assert.throws(() => readSigningRequest(foreign), /not signed by its own key/);
  const der = derOf(createSigningRequest(own, WEB));
  const changed = Buffer.from(der.toString("latin1").replace("/sa/web", "/sa/dba"), "latin1");
  assert.throws(() => readSigningRequest(pemOf(changed)), /not signed by its own key/);
});

test("a signature with another hash is refused", () => {
  const pem = byOpenssl(generateKeys().privateKey, "-subj", "/", "-addext", SAN, "-sha512");
  assert.throws(() => readSigningRequest(pem), /not signed with ECDSA and SHA-256/);
});

test("bytes behind the end, in the PEM or in the DER, are refused", () => {
  const pem = createSigningRequest(generateKeys(), WEB);
  const der = derOf(pem);
  assert.throws(() => readSigningRequest(pemOf(Buffer.concat([der, Buffer.of(0)]))), /DER/);
  assert.throws(() => readSigningRequest(pem + pem), TypeError);
  assert.throws(() => readSigningRequest(`x${pem}`), /not one PEM block/);
  assert.throws(() => readSigningRequest("a".repeat(10_000_000)), /longer than/);
  assert.throws(() => readSigningRequest(""), /not one PEM block/);
});

test("no cut and no changed byte of a request is taken, or throws anything but a TypeError", () => {
  const der = derOf(createSigningRequest(generateKeys(), WEB));
  for (let length = 0; length < der.length; length++) {
    assert.throws(() => readSigningRequest(pemOf(der.subarray(0, length))), TypeError);
  }
  for (let at = 0; at < der.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ flip;
      assert.throws(() => readSigningRequest(pemOf(changed)), TypeError, `byte ${at} ^ ${flip}`);
    }
  }
});

test("deep nesting and absurd lengths cost nothing", () => {
  const deep = Buffer.concat(Array.from({ length: 1_000 }, () => Buffer.of(0x30, 0x80)));
  const absurd = Buffer.from("3084ffffffff", "hex");
  const indefinite = Buffer.from("30800000", "hex");
  for (const der of [deep, absurd, indefinite]) {
    assert.throws(() => readSigningRequest(pemOf(der)), /DER/);
  }
});

test("nothing is made for what is no SPIFFE ID", () => {
  for (const text of ["", "web", "https://a/b", `${WEB}/x`, `${WEB}\0`, "spiffe://A/ns/a/sa/b"]) {
    assert.throws(() => createSigningRequest(generateKeys(), text), /not a SPIFFE ID/);
  }
});
