import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { Agent, get } from "node:https";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { splitPem } from "../../../src/identity/pem.ts";
import { verifyChain } from "../../../src/identity/verify-chain.ts";
import { call, dig, keepingLog, tempFolder } from "../setup.ts";
import { callTls, enrol, secureRegistry, TRUST_DOMAIN } from "./setup.ts";

const CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";
const IDS = "subjectKeyIdentifier=hash\n";

/** Files of an intermediate authority under a root, as openssl makes them. */
async function intermediate(
  t: TestContext,
  { curve = "prime256v1", extensions = `${CA}${IDS}`, days = "30" } = {},
) {
  const folder = await tempFolder(t);
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore" });
  await writeFile(at("ext"), extensions);
  for (const [name, on] of [
    ["root", "prime256v1"],
    ["ca", curve],
  ] as const) {
    openssl("ecparam", "-name", on, "-genkey", "-noout", "-out", at(`${name}.sec1`));
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", at(`${name}.sec1`), "-out", at(`${name}.key`));
    openssl(
      "req",
      "-new",
      "-key",
      at(`${name}.key`),
      "-subj",
      `/CN=${name}`,
      "-out",
      at(`${name}.csr`),
    );
  }
  const root = ["-x509", "-key", at("root.key"), "-subj", "/CN=the root", "-days", "365"];
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  openssl("req", "-new", ...root, ...usage, "-out", at("root.pem"));
  const signer = ["-CA", at("root.pem"), "-CAkey", at("root.key"), "-CAcreateserial"];
  const validFor = ["-days", days, "-extfile", at("ext")];
  openssl("x509", "-req", "-in", at("ca.csr"), ...signer, ...validFor, "-out", at("ca.pem"));
  const chain = (await readFile(at("ca.pem"), "utf8")) + (await readFile(at("root.pem"), "utf8"));
  await writeFile(at("chain.pem"), chain);
  return { caFile: at("chain.pem"), caKeyFile: at("ca.key"), root: at("root.pem"), at };
}

test("hosts of a given intermediate stay known on connections that last", async (t) => {
  const { caFile, caKeyFile } = await intermediate(t);
  let nowMs = Date.now();
  const registry = await secureRegistry(t, { caFile, caKeyFile, wall: () => nowMs });
  const { credential } = await enrol(registry, "node-1");
  const proof = { cert: credential.cert, key: credential.key, rejectUnauthorized: false };
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ...proof });
  t.after(() => agent.destroy());
  for (let count = 0; count < 3; count++) {
    const outgoing = get(`${registry.tlsUrl}/v1/mesh/services`, { agent });
    const [response] = await once(outgoing, "response");
    response.resume();
    await once(response, "end");
    assert.equal(response.statusCode, 200);
    assert.equal(outgoing.reusedSocket, count > 0);
    // Verdicts are made anew each second.
    nowMs += 5_000;
  }
});

test("with a given intermediate, openssl verifies up to its root, and no leaf outlives it", async (t) => {
  const { caFile, caKeyFile, root, at } = await intermediate(t, { days: "2" });
  const registry = await secureRegistry(t, { caFile, caKeyFile });
  const { credential } = await enrol(registry, "node-1");
  await writeFile(at("leaf.pem"), credential.cert);
  const flags = ["-x509_strict", "-CAfile", root, "-untrusted", at("leaf.pem"), at("leaf.pem")];
  assert.match(execFileSync("openssl", ["verify", ...flags]).toString(), /OK/);
  const [leaf, issuer] = splitPem("CERTIFICATE", credential.cert).map(
    (pem) => new X509Certificate(pem),
  );
  assert.ok(leaf && issuer);
  // A host's certificate would live for a week.
  assert.equal(leaf.validTo, issuer.validTo);
  const { body } = await callTls(registry.tlsUrl, "GET", "/v1/identity/trust");
  const anchors = (dig(body, "anchors") as string[]).map((pem) => new X509Certificate(pem));
  assert.equal(anchors.length, 1);
  assert.equal(verifyChain([leaf, issuer], anchors, Date.now(), TRUST_DOMAIN).error, undefined);
  // Its chain is what makes it a host's: the registry sees the intermediate too.
  const list = await callTls(
    ...([registry.tlsUrl, "GET", "/v1/mesh/services", undefined, credential] as const),
  );
  assert.equal(list.status, 200);
});

test("what is no usable authority is named, with its setting", async (t) => {
  const good = await intermediate(t);
  const other = await intermediate(t);
  const leafy = await intermediate(t, { extensions: "basicConstraints=critical,CA:FALSE\n" });
  const large = await intermediate(t, { curve: "secp384r1" });
  const limited = `${CA}${IDS}nameConstraints=critical,permitted;DNS:example.com\n`;
  const constrained = await intermediate(t, { extensions: limited });
  const files = (caFile: string, caKeyFile: string) => ({ caFile, caKeyFile });
  const cases: [string, { caFile: string; caKeyFile: string }, RegExp][] = [
    ["a missing key", files(good.caFile, ""), /belong together/],
    ["no file", files("/nowhere/ca.pem", good.caKeyFile), /registry\.caFile: .*ENOENT/],
    ["no key file", files(good.caFile, "/nowhere/ca.key"), /registry\.caKeyFile: .*ENOENT/],
    ["no certificate", files(good.caKeyFile, good.caKeyFile), /no PEM certificate/],
    ["another's key", files(good.caFile, other.caKeyFile), /belongs to another key/],
    ["no authority", leafy, /not an authority's/],
    ["another curve", large, /P-256 is needed/],
    ["no root", files(good.at("ca.pem"), good.caKeyFile), /does not reach a root/],
    ["constraints", constrained, /critical extension that is not known: 2\.5\.29\.30/],
  ];
  for (const [what, { caFile, caKeyFile }, reason] of cases) {
    await assert.rejects(secureRegistry(t, { caFile, caKeyFile }), reason, what);
  }
});

test("another root in the files waits for a rotation, and is what it begins with", async (t) => {
  const dataDir = await tempFolder(t);
  const first = await intermediate(t);
  const { caFile, caKeyFile } = first;
  let registry = await secureRegistry(t, { caFile, caKeyFile }, { dataDir });
  const { body: before } = await call(registry, "GET", "/v1/identity/authorities");
  const begin = () => call(registry, "POST", "/v1/identity/rotation", { step: "begin" });
  assert.match(String(dig((await begin()).body, "error")), /signs already/);
  await registry.close();
  const second = await intermediate(t);
  await copyFile(second.caFile, caFile);
  await copyFile(second.caKeyFile, caKeyFile);
  const log = keepingLog();
  registry = await secureRegistry(t, { caFile, caKeyFile }, { dataDir, log });
  const { body: after } = await call(registry, "GET", "/v1/identity/authorities");
  assert.equal(dig(after, "current.id"), dig(before, "current.id"));
  assert.ok(log.lines.some(({ message }) => /another root/.test(message)));
  assert.equal((await begin()).status, 200);
  const { body: begun } = await call(registry, "GET", "/v1/identity/authorities");
  const root = new X509Certificate(await readFile(second.root, "utf8"));
  const hash = root.fingerprint256.replaceAll(":", "").toLowerCase();
  assert.equal(dig(begun, "next.anchorId"), hash);
});

test("the authority's file is of one trust domain, and a broken one is not quoted", async (t) => {
  const dataDir = await tempFolder(t);
  await (await secureRegistry(t, {}, { dataDir })).close();
  const other = secureRegistry(t, { trustDomain: "other.test" }, { dataDir });
  await assert.rejects(
    other,
    /of trust domain mesh\.test, and identity\.trustDomain is other\.test/,
  );
  const path = join(dataDir, "ca", "authorities.json");
  const content = await readFile(path, "utf8");
  await writeFile(path, content.slice(0, -20));
  await assert.rejects(secureRegistry(t, {}, { dataDir }), (error: Error) => {
    assert.match(error.message, /authorities\.json cannot be used: it is malformed$/);
    assert.equal(error.cause, undefined);
    return true;
  });
});
