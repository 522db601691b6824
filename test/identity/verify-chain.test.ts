import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { verifyChain } from "../../src/identity/verify-chain.ts";
import { createAuthority, generateKeys, issueLeaf } from "../../src/identity/x509.ts";

const WEB = "spiffe://mesh.test/ns/shop/sa/web";
const DAY_MS = 86_400_000;
const startMs = Math.floor(Date.now() / 1_000) * 1_000;
const validity = { notBefore: new Date(startMs), notAfter: new Date(startMs + DAY_MS) };
let folder = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "hostmesh-chain-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A certificate by openssl; `issuer` null: it signs itself. */
function byOpenssl(
  name: string,
  issuer: string | null,
  extensions: readonly string[],
  ...flags: string[]
): X509Certificate {
  const at = (file: string) => join(folder, file);
  writeFileSync(at(`${name}.ext`), extensions.join("\n"));
  const key = at(`${name}.key`);
  execFileSync("openssl", ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]);
  const csr = at(`${name}.csr`);
  execFileSync("openssl", ["req", "-new", "-key", key, "-subj", `/CN=${name}`, "-out", csr]);
  const out = at(`${name}.pem`);
  const signer =
    issuer === null
      ? ["-signkey", key]
      : ["-CA", at(`${issuer}.pem`), "-CAkey", at(`${issuer}.key`), "-CAcreateserial"];
  const validFor = ["-days", "1", "-extfile", at(`${name}.ext`)];
  const args = ["x509", "-req", "-in", csr, ...signer, ...validFor, "-out", out, ...flags];
  execFileSync("openssl", args, { stdio: "ignore" });
  return new X509Certificate(readFileSync(out));
}

const CA = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"];
const LEAF = [
  "basicConstraints=critical,CA:FALSE",
  "keyUsage=critical,digitalSignature",
  "extendedKeyUsage=serverAuth,clientAuth",
  `subjectAltName=URI:${WEB}`,
];

function verdict(
  chain: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  nowMs = Date.now() + 1_000,
) {
  return verifyChain(chain, anchors, nowMs, "mesh.test");
}

function ours(uris: readonly string[], times = validity) {
  const authority = createAuthority({ commonName: "root", ...validity });
  const { publicKey } = generateKeys();
  const leaf = issueLeaf(authority, { publicKey, names: { uris }, ...times });
  return { leaf: new X509Certificate(leaf), root: new X509Certificate(authority.certificate) };
}

test("a leaf is taken from the first to the last second of its validity", () => {
  const { leaf, root } = ours([WEB]);
  const at = (ms: number) => verifyChain([leaf], [root], ms, "mesh.test");
  assert.equal(at(startMs - 1).error, "the certificate is not valid yet");
  assert.equal(at(startMs).identity, WEB);
  assert.equal(at(startMs + DAY_MS + 999).identity, WEB);
  assert.equal(at(startMs + DAY_MS + 1_000).error, "the certificate has expired");
});

test("the name must be one SPIFFE ID of the trust domain", () => {
  const cases: [string[], RegExp][] = [
    [[], /0 URIs/],
    [[WEB, `${WEB}2`], /2 URIs/],
    [["https://mesh.test/ns/shop/sa/web"], /no SPIFFE ID/],
    [["spiffe://mesh.test/ns/shop/sa/web/x"], /no SPIFFE ID/],
    [["spiffe://mesh.test.evil/ns/shop/sa/web"], /another trust domain/],
  ];
  for (const [uris, reason] of cases) {
    const { leaf, root } = ours(uris);
    assert.match(verdict([leaf], [root]).error ?? "", reason);
  }
});

test("a root of the same name with another key is not the anchor", () => {
  const { leaf } = ours([WEB]);
  const { root: impostor } = ours([WEB]);
  assert.match(verdict([leaf], [impostor]).error ?? "", /issuer is not trusted/);
  assert.match(verdict([leaf, impostor], []).error ?? "", /issuer is not trusted/);
  assert.equal(verdict([], [impostor]).error, "there is no certificate");
});

test("intermediates lead up in any order, and an expired anchor leads nowhere", () => {
  const root = byOpenssl("root", null, CA);
  const upper = byOpenssl("upper", "root", CA);
  const lower = byOpenssl("lower", "upper", CA);
  const leaf = byOpenssl("leaf", "lower", LEAF);
  for (const chain of [
    [leaf, lower, upper],
    [leaf, upper, lower],
    [leaf, upper, root, lower],
  ]) {
    assert.equal(verdict(chain, [root]).identity, WEB);
  }
  // The anchor may be any authority: what stands above it is not asked for.
  assert.equal(verdict([leaf, lower], [upper]).identity, WEB);
  assert.match(verdict([leaf, upper], [root]).error ?? "", /issuer is not trusted/);
  assert.match(
    verdict([leaf, lower, upper], [root], Date.now() + 2 * DAY_MS).error ?? "",
    /expired/,
  );
  const five = [leaf, lower, upper, upper, upper, upper];
  assert.match(verdict(five, [root]).error ?? "", /more than 5/);
});

test("authorities that may not sign, or not so deep, are refused", () => {
  byOpenssl("root2", null, [...CA.slice(1), "basicConstraints=critical,CA:TRUE,pathlen:0"]);
  const root = new X509Certificate(readFileSync(join(folder, "root2.pem")));
  const between = byOpenssl("between", "root2", CA);
  const deep = byOpenssl("deep", "between", LEAF);
  assert.match(verdict([deep, between], [root]).error ?? "", /fewer authorities/);
  const direct = byOpenssl("direct", "root2", LEAF);
  assert.equal(verdict([direct], [root]).identity, WEB);
  const child = byOpenssl("child", "direct", LEAF);
  assert.match(verdict([child, direct], [root]).error ?? "", /not an authority's|not trusted/);
  byOpenssl("top", null, CA);
  const top = new X509Certificate(readFileSync(join(folder, "top.pem")));
  const mute = byOpenssl("mute", "top", [CA[0] ?? "", "keyUsage=critical,cRLSign"]);
  const muted = byOpenssl("muted", "mute", LEAF);
  assert.match(verdict([muted, mute], [top]).error ?? "", /may not sign|issuer is not trusted/);
});

test("leaves of the wrong kind are refused", () => {
  const root = byOpenssl("root3", null, CA);
  const without = (index: number, ...instead: string[]) => [
    ...LEAF.toSpliced(index, 1),
    ...instead,
  ];
  const cases: [string, string[], RegExp][] = [
    ["an authority", without(0, CA[0] ?? ""), /is an authority's/],
    ["no key usage", without(1), /may not sign/],
    ["a key for signing others", without(1, "keyUsage=digitalSignature,keyCertSign"), /others/],
    ["a server alone", without(2, "extendedKeyUsage=serverAuth"), /both ends/],
    ["no purpose", without(2), /both ends/],
    ["an unknown critical extension", [...LEAF, "1.2.3.4=critical,ASN1:NULL"], /1\.2\.3\.4/],
  ];
  for (const [what, extensions, reason] of cases) {
    const leaf = byOpenssl("odd", "root3", extensions);
    assert.match(verdict([leaf], [root]).error ?? "", reason, what);
  }
});

test("signatures with SHA-1 are refused", () => {
  const root = byOpenssl("root4", null, CA);
  const leaf = byOpenssl("weak", "root4", LEAF, "-sha1");
  assert.match(verdict([leaf], [root]).error ?? "", /a kind that is not accepted/);
});

test("a name that poses as several in Node's text form is one, and no SPIFFE ID", () => {
  const { leaf, root } = ours([`https://x/,%20URI:${WEB}`]);
  assert.match(verdict([leaf], [root]).error ?? "", /no SPIFFE ID/);
});
