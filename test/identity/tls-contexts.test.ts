import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sniOf } from "../../src/identity/sni.ts";
import { type Authority, privateKeyPem, readAuthority } from "../../src/identity/x509.ts";
import {
  credentialsOf,
  HOUR_MS,
  issue,
  newAuthority,
  newContexts,
  spiffe,
  validity,
} from "../helpers/mesh-lab.ts";

const ROOT = newAuthority();
const STRANGER = newAuthority("stranger");
const [WEB, API] = [spiffe("web"), spiffe("api")];
const leafOf = ({ chain }: { chain: string }) => new X509Certificate(chain);

const folder = mkdtempSync(join(tmpdir(), "hostmesh-chain-"));
after(() => rmSync(folder, { recursive: true }));

function openssl(...args: string[]): string {
  return execFileSync("openssl", args, { cwd: folder, stdio: "pipe", encoding: "utf8" });
}

/** A root, and an intermediate that it signed, as an operator would make them; `keyId` is said to be that of its key. */
function chainOfTwo(keyId = "hash"): { root: string; intermediate: Authority } {
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  openssl(
    ...["req", "-x509", ...curve, "-keyout", "root.key", "-out", "root.pem"],
    ...["-days", "2", "-subj", "/CN=corporate root", ...usage],
  );
  openssl(
    ...["req", "-x509", ...curve, "-keyout", "mid.key", "-out", "mid.pem", "-days", "1"],
    ...["-CA", "root.pem", "-CAkey", "root.key", "-subj", "/CN=mesh intermediate", ...usage],
    ...["-addext", "basicConstraints=critical,CA:TRUE,pathlen:0"],
    ...["-addext", `subjectKeyIdentifier=${keyId}`],
  );
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  return { root: read("root.pem"), intermediate: readAuthority(read("mid.pem"), read("mid.key")) };
}

describe("TLS contexts", () => {
  it("are made for what the credentials hold, and for nothing else", () => {
    const { contexts } = newContexts(null);
    assert.equal(contexts.client(WEB), null);
    assert.equal(contexts.trustDomain, "");
    assert.equal(contexts.version, 0 + 1);
    contexts.apply(credentialsOf([ROOT], [issue(ROOT, WEB)]));
    assert.equal(contexts.trustDomain, "cluster.local");
    assert.ok(contexts.client(WEB) !== null);
    assert.equal(contexts.client(API), null);
    assert.equal(contexts.server(sniOf(WEB))?.identity, WEB);
    assert.equal(contexts.server(sniOf(API)), null);
    assert.equal(contexts.server(""), null);
    contexts.apply(null);
    assert.equal(contexts.client(WEB), null);
    assert.equal(contexts.server(sniOf(WEB)), null);
  });

  it("stay while certificate, key and anchors stay, and are new otherwise", () => {
    const [web, api] = [issue(ROOT, WEB), issue(ROOT, API)];
    const { contexts } = newContexts(credentialsOf([ROOT], [web, api]));
    const [client, server] = [contexts.client(WEB), contexts.server(sniOf(API))];
    contexts.apply(credentialsOf([ROOT], [{ ...web }, issue(ROOT, API)]));
    assert.equal(contexts.client(WEB), client);
    assert.notEqual(contexts.server(sniOf(API)), server);
    contexts.apply(credentialsOf([ROOT, STRANGER], [web]));
    assert.notEqual(contexts.client(WEB), client);
    const second = contexts.client(WEB);
    contexts.apply(credentialsOf([ROOT, STRANGER], [web], 2));
    assert.notEqual(contexts.client(WEB), second, "the ticket key is another one");
    assert.equal(contexts.version, 4);
  });

  it("throw for a key that belongs to another certificate when it is used, and leave the others alone", () => {
    const broken = { ...issue(ROOT, WEB), privateKey: privateKeyPem(ROOT.privateKey) };
    const { contexts } = newContexts(credentialsOf([ROOT], [broken, issue(ROOT, API)]));
    assert.throws(() => contexts.client(WEB), /key values mismatch/);
    assert.throws(() => contexts.server(sniOf(WEB)), /key values mismatch/);
    assert.ok(contexts.client(API) !== null);
  });

  it("refuse credentials that make no sense, and go on with those before", () => {
    const before = credentialsOf([ROOT], [issue(ROOT, WEB)]);
    const { contexts } = newContexts(before);
    assert.throws(() => contexts.apply({ ...before, anchors: ["no certificate"] }));
    assert.throws(() => contexts.apply({ ...before, ticketKeys: new Uint8Array(16) }), RangeError);
    assert.ok(contexts.client(WEB) !== null);
    assert.ok(contexts.verifyPeer([leafOf(issue(ROOT, API))]).peer !== undefined);
    assert.equal(contexts.version, 1);
  });

  it("have names that tell nothing, differ, and fit a host name", () => {
    assert.match(sniOf(WEB), /^[0-9a-f]{32}\.hostmesh$/);
    assert.notEqual(sniOf(WEB), sniOf(API));
  });
});

describe("the verdict over a peer", () => {
  it("names it, and falls when its certificate expires", () => {
    const { contexts, wall } = newContexts(credentialsOf([ROOT], []));
    const leaf = leafOf(issue(ROOT, API));
    const { peer } = contexts.verifyPeer([leaf]);
    assert.equal(peer?.identity, API);
    assert.equal(peer?.fingerprint, leaf.fingerprint256.replaceAll(":", "").toLowerCase());
    assert.ok(peer !== undefined);
    assert.equal(contexts.mayResume(peer), true);
    wall.advance(2 * HOUR_MS);
    assert.match(contexts.verifyPeer([leaf]).error ?? "", /expired/);
    assert.equal(contexts.mayResume(peer), false);
    assert.equal(contexts.stillTrusted(peer), true, "a connection outlives its certificate");
  });

  it("falls when the authority expires before the certificate", () => {
    const { contexts, wall } = newContexts(credentialsOf([ROOT], []));
    const leaf = leafOf(issue(ROOT, API, validity(-HOUR_MS, 48 * HOUR_MS)));
    assert.ok(contexts.verifyPeer([leaf]).peer !== undefined);
    wall.advance(25 * HOUR_MS);
    assert.match(contexts.verifyPeer([leaf]).error ?? "", /expired/);
  });

  it("falls when the authority is removed, for new and for standing connections", () => {
    const { contexts } = newContexts(credentialsOf([ROOT], []));
    const leaf = leafOf(issue(ROOT, API));
    const { peer } = contexts.verifyPeer([leaf]);
    assert.ok(peer !== undefined);
    contexts.apply(credentialsOf([ROOT, STRANGER], []));
    assert.equal(
      contexts.stillTrusted(peer),
      true,
      "both are trusted while one replaces the other",
    );
    contexts.apply(credentialsOf([STRANGER], []));
    assert.equal(contexts.stillTrusted(peer), false);
    assert.equal(contexts.mayResume(peer), false);
    assert.match(contexts.verifyPeer([leaf]).error ?? "", /not trusted/);
    contexts.apply(null);
    assert.equal(contexts.stillTrusted(peer), false);
  });

  it("is made over intermediates, and again for a resumed session, which shows the leaf alone", () => {
    const { root, intermediate } = chainOfTwo();
    const withChain = (identity: string) => {
      const leaf = issue(intermediate, identity);
      return { ...leaf, chain: leaf.chain + intermediate.certificate };
    };
    const credentials = { ...credentialsOf([], [withChain(WEB)]), anchors: [root] };
    const leaf = leafOf(issue(intermediate, API));
    const above = new X509Certificate(intermediate.certificate);

    const { contexts: stranger } = newContexts({ ...credentials, held: [] });
    assert.match(stranger.verifyPeer([leaf]).error ?? "", /not trusted/);
    assert.equal(stranger.verifyPeer([leaf, above]).peer?.identity, API);
    const other = leafOf(issue(intermediate, spiffe("other")));
    assert.ok(stranger.verifyPeer([other]).peer !== undefined, "learnt from the peer before");

    const { contexts: colleague } = newContexts(credentials);
    assert.ok(colleague.server(sniOf(WEB)) !== null);
    assert.equal(colleague.verifyPeer([leaf]).peer?.identity, API, "it has the same intermediate");
  });

  it("does not learn an intermediate of the right name that has not signed", () => {
    const { root, intermediate } = chainOfTwo();
    const { contexts } = newContexts({ ...credentialsOf([], []), anchors: [root] });
    const above = new X509Certificate(intermediate.certificate);
    const told = openssl("x509", "-in", "mid.pem", "-noout", "-ext", "subjectKeyIdentifier");
    const keyId = /(?:[0-9A-F]{2}:){19}[0-9A-F]{2}/.exec(told)?.[0];
    const fake = new X509Certificate(chainOfTwo(keyId).intermediate.certificate);
    const leaf = leafOf(issue(intermediate, API));
    assert.ok(leaf.checkIssued(fake), "it has the names and the key identifier");
    assert.ok(contexts.verifyPeer([leaf, fake, above]).peer !== undefined);
    const other = leafOf(issue(intermediate, spiffe("other")));
    assert.ok(contexts.verifyPeer([other]).peer !== undefined);
  });

  it("is no for no certificate, and for more of them than a chain can have", () => {
    const { contexts } = newContexts(credentialsOf([ROOT], []));
    assert.match(contexts.verifyPeer([]).error ?? "", /no certificate/);
    const leaf = leafOf(issue(ROOT, API));
    assert.ok(contexts.verifyPeer(new Array(7).fill(leaf)).error !== undefined);
  });
});
