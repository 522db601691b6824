import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Credential } from "../../src/core/identity.ts";
import { createSigningRequest } from "../../src/identity/signing-request.ts";
import { generateKeys } from "../../src/identity/x509.ts";
import { issue, newAuthority, spiffe, validity } from "../helpers/mesh-lab.ts";
import { until } from "../helpers/until.ts";
import {
  type IdentityStage,
  identityStage,
  istio,
  untilGuarded,
} from "./helpers/identity-stage.ts";
import { skipReason } from "./helpers/privilege.ts";
import { Script } from "./helpers/program.ts";
import { authorityOf, hostCredential, type Knock, Thief, webOf } from "./helpers/thief.ts";

const REACHED = /"server":"(near|far)"/;
const MINUTE_MS = 60_000;

describe("the mesh port and the registry, asked by thieves", { skip: skipReason() }, () => {
  let stage: IdentityStage;
  let outside: Thief;
  /** In a captured container of another host, and in one of the same host that nobody knows. */
  let thieves: Thief[];
  before(async () => {
    stage = await identityStage();
    outside = await Thief.start(stage.outside.host.namespace);
    const inside = [stage.attacker, stage.stranger].map(({ container }) =>
      Thief.start(container.namespace),
    );
    thieves = [outside, ...(await Promise.all(inside))];
  });
  after(() => stage?.mesh.destroy());

  /** What a thief would be if all went well for him. */
  const proper = (shown: Knock["shown"]): Knock => ({
    ...{ shown, name: spiffe("far"), place: webOf(stage.far) },
  });
  const minted = (identity: string, request: Parameters<typeof issue>[2] = {}) =>
    issue(authorityOf(stage.mesh), identity, request);

  /** By every thief; the texts that came. */
  const texts = async (knock: Knock) => {
    const answers = await Promise.all(thieves.map((one) => one.knock(stage.b, knock)));
    return answers.map(({ text }) => text);
  };

  test("a certificate that the mesh's authority has signed opens the port: the others could", async () => {
    for (const text of await texts(proper(minted(spiffe("front"))))) {
      assert.match(text, /^HTTP\/1.1 200 OK\r\n\r\nHTTP\/1.1 200 OK/);
      assert.match(text, REACHED);
      assert.match(text, /URI=spiffe:\/\/cluster.local\/ns\/default\/sa\/front"/);
    }
  });

  test("a certificate with anything wrong gets no answer", async () => {
    const foreign = newAuthority();
    const signed = minted(spiffe("front"));
    const wrong: Record<string, Credential | null> = {
      none: null,
      "of another authority": issue(foreign, spiffe("front")),
      "of another authority by the name of ours": issue(newAuthority("hostmesh"), spiffe("front")),
      expired: minted(spiffe("front"), validity(-2 * MINUTE_MS, -1_000)),
      "not yet valid": minted(spiffe("front"), validity(MINUTE_MS, 2 * MINUTE_MS)),
      "another trust domain": minted(spiffe("front", "evil.local")),
      "no name": minted(spiffe("front"), { names: {}, commonName: spiffe("front") }),
      "two names": minted(spiffe("front"), { names: { uris: [spiffe("front"), spiffe("near")] } }),
      "a DNS name": minted(spiffe("front"), { names: { dnsNames: ["front.default"] } }),
      "no workload's path": minted("spiffe://cluster.local/front", {
        names: { uris: ["spiffe://cluster.local/front"] },
      }),
      "signed by a leaf": issue(
        { certificate: signed.chain, privateKey: generateKeys().privateKey },
        spiffe("near"),
      ),
    };
    for (const [what, shown] of Object.entries(wrong)) {
      assert.deepEqual(await texts(proper(shown)), ["", "", ""], what);
    }
  });

  test("self-signed, TLS 1.2, another ALPN, no server name and plaintext get no answer either", async () => {
    const good = proper(minted(spiffe("front")));
    const own = newAuthority(spiffe("front"));
    const selfSigned = {
      chain: own.certificate,
      privateKey: own.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
    const knocks: Record<string, Knock> = {
      "self-signed": proper(selfSigned),
      "TLS 1.2": { ...good, tls: { maxVersion: "TLSv1.2" } },
      "another ALPN": { ...good, tls: { alpn: "http/1.1" } },
      "no ALPN": { ...good, tls: { alpn: undefined } },
      "a host name": { ...good, tls: { servername: "far.default" } },
      "another host's identity": { ...good, name: spiffe("near") },
    };
    for (const [what, knock] of Object.entries(knocks)) {
      assert.deepEqual(await texts(knock), ["", "", ""], what);
    }
    const { host } = stage.b;
    for (const text of [
      "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
      "CONNECT 10.2.0.2:8080 HTTP/1.1\r\n\r\n",
    ]) {
      for (const from of [stage.attacker, stage.stranger, stage.outside]) {
        const answer = await from.tcp(host.address4, 15_008, { send: text, timeoutMs: 2_000 });
        assert.equal(answer.text, "", "in the clear");
      }
    }
  });

  test("the certificate of one workload leads to the endpoints of the one that was asked for", async () => {
    const { near, far, back, b } = stage;
    const shown = minted(spiffe("front"));
    const places: Record<string, Knock["place"]> = {
      "an endpoint of another identity": { host: back.container.address4, port: 8_080 },
      "another host's": webOf(near),
      "a port without an endpoint": { host: far.container.address4, port: 22 },
      "the host's own": { host: b.host.address4, port: 15_020 },
      loopback: { host: "127.0.0.1", port: 15_000 },
      "mapped loopback": { host: "::ffff:127.0.0.1", port: 15_000 },
    };
    for (const [what, place] of Object.entries(places)) {
      const { text } = await outside.knock(b, { shown, name: spiffe("far"), place });
      assert.match(text, /^HTTP\/1.1 400 /, what);
    }
  });

  test("who holds a workload's certificate is that workload, whatever he says, and no other", async () => {
    const { mesh, b } = stage;
    const principals = ["cluster.local/ns/default/sa/front"];
    const rules = [{ from: [{ source: { principals } }] }];
    await mesh.policies(istio("AuthorizationPolicy", "front-only", { rules }));
    const knock = proper(minted("spiffe://cluster.local/ns/evil/sa/attacker"));
    const claimed = { ...knock, client: "10.1.0.2" };
    assert.match((await outside.knock(b, claimed)).text, /^HTTP\/1.1 200 OK\r\n\r\nHTTP\/1.1 403 /);
    const opaque = { ...claimed, protocol: "tcp" } as const;
    assert.match((await outside.knock(b, opaque)).text, /^HTTP\/1.1 403 /);
    for (const protocol of ["http/1.1", "tcp"] as const) {
      const allowed = { ...proper(minted(spiffe("front"))), protocol };
      assert.match((await outside.knock(b, allowed)).text, REACHED);
    }
    await mesh.noPolicies();
  });

  test("a ztunnel meets a guarded workload at its own address, without a name, and nobody at another port", async () => {
    const { mesh, far } = stage;
    const rules = [{ from: [{ source: { principals: ["cluster.local/ns/default/sa/front"] } }] }];
    await mesh.policies(istio("AuthorizationPolicy", "front-only", { rules }));
    await untilGuarded(true, far);
    const { text, server } = await outside.hbone(far, minted(spiffe("front")), webOf(far));
    assert.equal(server, `URI:${spiffe("far")}`);
    assert.match(text, REACHED);
    assert.match(text, /URI=spiffe:\/\/cluster.local\/ns\/default\/sa\/front"/);
    const wrong: [Knock["shown"], Knock["place"]][] = [
      [minted(spiffe("back")), webOf(far)],
      [issue(newAuthority(), spiffe("front")), webOf(far)],
      [minted(spiffe("front")), webOf(stage.back)],
    ];
    for (const [shown, place] of wrong) {
      assert.doesNotMatch((await outside.hbone(far, shown, place)).text, REACHED);
    }
    await mesh.noPolicies();
    await untilGuarded(false, far);
    assert.equal((await outside.hbone(far, minted(spiffe("front")), webOf(far))).text, "");
  });

  test("a ticket resumes a session of the same identity, until the certificate behind it expires", async () => {
    const { b } = stage;
    const brief = proper(minted(spiffe("front"), validity(-MINUTE_MS, 4_000)));
    const { sessions } = await outside.knock(b, brief);
    const session = sessions[0];
    assert.ok(session !== undefined, "tickets are given");
    const resume = (more: Partial<Knock> = {}) =>
      outside.knock(b, { ...brief, shown: null, ...more, tls: { session } });
    const resumed = await resume();
    assert.equal(resumed.reused, true);
    assert.match(resumed.text, REACHED);
    const other = await resume({ name: spiffe("back") });
    assert.notEqual(other.reused, true, "of another identity of the host");
    assert.equal(other.text, "");
    // At full pace, so that some come in its last second too.
    const refused = async () => (await resume()).text === "";
    await until(refused, { timeoutMs: 8_000, what: "the end of the certificate" });
  });

  test("who stands in a host's place without its identity is sent nothing", async () => {
    const { far, b } = stage;
    const { namespace } = b.host;
    const impostor = await Script.start(namespace, "impostor", [16_008]);
    const rule = `PREROUTING -p tcp --dport 15008 -j DNAT --to-destination ${b.host.address4}:16008`;
    await namespace.script(`iptables -t nat -A ${rule}`);
    /** What he gets of opaque TCP and of HTTP, by a caller whose host has no connection for him yet. */
    const deceive = async ({ chain, privateKey }: Pick<Credential, "chain" | "privateKey">) => {
      await impostor.ask({ cert: chain, key: privateKey });
      const { address4 } = far.container;
      const sent = { send: "\u0000secret", timeoutMs: 1_000 };
      const { text } = await stage.attacker.tcp(address4, 7_000, sent);
      const url = `http://${address4}:8080/secret`;
      const answer = await stage.attacker.http(url, { method: "POST", timeoutMs: 1_000 });
      const { received } = await impostor.ask<{ received: string }>({});

      return { text, error: answer.headers?.["x-hostmesh-error"], received };
    };
    const nothing = { text: "", received: "" };
    const foreign = issue(newAuthority(), spiffe("far"));
    const expired = minted(spiffe("far"), validity(-2 * MINUTE_MS, -1_000));
    assert.deepEqual(await deceive(minted(spiffe("back"))), {
      ...nothing,
      error: "IDENTITY_MISMATCH",
    });
    for (const shown of [foreign, expired]) {
      assert.deepEqual(await deceive(shown), { ...nothing, error: "TLS_FAILED" });
    }
    const { received } = await deceive(minted(spiffe("far")));
    assert.match(received, /CONNECT 10.2.0.2:7000[^]*secret/, "who has the identity is sent all");
    await namespace.script(`iptables -t nat -D ${rule}`);
  });

  test("a join token works once, for its host; an operator is not who comes by TLS", async () => {
    const { mesh, b } = stage;
    const enrol = (host: string, token: string) => {
      const identity = `spiffe://cluster.local/ns/hostmesh-hosts/sa/${host}`;
      const csr = createSigningRequest(generateKeys(), identity);
      return outside.call(mesh, null, "POST", "/v1/identity/enroll", { host, token, csr });
    };
    const used = readFileSync(join(b.folder, "join-token"), "utf8");
    const fresh = await mesh.joinToken("d");
    const refusals = [
      [await enrol("b", used), /used already/],
      [await enrol("b", fresh), /for another host/],
      [await enrol("d", fresh.replace(/\.[^.]+\./, ".e.")), /not known|no join token/],
    ] as const;
    for (const [{ status, text = "" }, reason] of refusals) {
      assert.equal(status, 403, text);
      assert.match(text, reason);
    }
    assert.equal((await enrol("d", fresh)).status, 200, "the token was good");
    assert.equal((await enrol("d", fresh)).status, 403, "and is used up");
    for (const [method, path] of [
      ["POST", "/v1/identity/tokens"],
      ["POST", "/v1/identity/rotation"],
      ["GET", "/v1/mesh/status"],
      ["POST", "/v1/mesh/apply"],
      ["POST", "/v1/identity/certificates"],
    ] as const) {
      const body = method === "POST" ? {} : undefined;
      assert.equal((await outside.call(mesh, null, method, path, body)).status, 401, path);
    }
  });

  test("a host gets no certificate of another's workload, and registers nothing there", async () => {
    const { mesh, b, near } = stage;
    const host = hostCredential(b);
    const ask = async (identity: string) => {
      const requests = [{ identity, csr: createSigningRequest(generateKeys(), identity) }];
      const path = "/v1/identity/certificates";
      const { status, text = "" } = await outside.call(mesh, host, "POST", path, { requests });
      assert.equal(status, 200, text);
      const { certificates }: { certificates: { chain?: string; error?: string }[] } =
        JSON.parse(text);
      return certificates[0]?.chain === undefined ? "refused" : "issued";
    };
    const refused = async () => {
      const { text = "" } = await mesh.call("GET", "/v1/mesh/status");
      const { identity }: { identity: { refused: Record<string, number> } } = JSON.parse(text);
      return Object.values(identity.refused).reduce((sum, count) => sum + count, 0);
    };
    assert.equal(await ask(spiffe("far")), "issued", "its own workload's");
    const others = [
      spiffe("near"),
      spiffe("nobody"),
      spiffe("far", "evil.local"),
      "spiffe://cluster.local/ns/hostmesh-hosts/sa/a",
      "spiffe://cluster.local/ns/hostmesh-system/sa/registry",
    ];
    const before = await refused();
    for (const identity of others) assert.equal(await ask(identity), "refused", identity);
    assert.equal(await refused(), before + others.length, "counted");
    assert.match(mesh.registry.output, /WARN .*may not have.*host=b/, "and logged");
    const { name, ...workload } = { ...near.account, name: "near" };
    const put = await outside.call(
      mesh,
      host,
      "PUT",
      `/v1/mesh/workloads/default/${name}`,
      workload,
    );
    assert.ok((put.status ?? 0) >= 400, `${put.status} ${put.text}`);
    const policy = istio("AuthorizationPolicy", "mine", { rules: [{}] });
    const applied = await outside.call(mesh, host, "POST", "/v1/mesh/resources", policy);
    assert.equal(applied.status, 403, applied.text);
  });
});
