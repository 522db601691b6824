import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { JwtRule, Policy, PolicyTarget } from "../../src/core/policy.ts";
import { endpoint, planeLab, policyUpdate, service } from "../helpers/plane.ts";

/** Tokens on their way through a real data plane: who is let in, and what the application gets to see. */
const WEB = "spiffe://cluster.local/ns/default/sa/web";
const ISSUER = "https://issuer.example";
const target: PolicyTarget = {
  key: "default/web",
  namespace: "default",
  serviceAccount: "web",
  labels: {},
  services: ["web"],
  identity: WEB,
};
const scope = { namespace: "default", labels: {} };

async function lab(t: TestContext, rule: Partial<JwtRule> = {}) {
  const seen: IncomingMessage[] = [];
  const server = createServer((incoming, response) => {
    seen.push(incoming);
    incoming.resume();
    incoming.on("end", () => response.end("ok"));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.closeAllConnections());
  t.after(() => void server.close());
  const plane = await planeLab({ config: { host: "node-a" } });
  t.after(() => plane.close());
  const { port } = server.address() as AddressInfo;
  plane.services(service("web", [endpoint(port, { identity: WEB, target })]));
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "k1" }] });
  const authentication: Policy = {
    ...{ kind: "request-authentication", source: "RequestAuthentication default/jwt" },
    ...{ createdMs: 0, scope },
    rules: [{ ...defaults, jwks, ...rule }],
  };
  const required: Policy = {
    ...{ kind: "authorization", source: "AuthorizationPolicy default/need-token", createdMs: 0 },
    ...{ scope, action: "allow", dryRun: false },
    rules: [{ from: [{ requestPrincipals: [`${ISSUER}/alice`] }], to: [], when: [] }],
  };
  const apply = (...list: Policy[]) => plane.plane.apply(policyUpdate(list));
  apply(authentication, required);
  const token = (subject: string, lifetime = "1h") =>
    new SignJWT({ groups: ["staff"] })
      .setProtectedHeader({ alg: "ES256", kid: "k1" })
      .setIssuer(ISSUER)
      .setSubject(subject)
      .setIssuedAt()
      .setExpirationTime(lifetime)
      .sign(privateKey);
  const send = (path: string, headers: Record<string, string>, body = "") =>
    ask(plane.port, path, headers, body);
  const { facts, services } = plane;
  return { seen, send, token, apply, authentication, required, facts, services, port };
}

const defaults: JwtRule = {
  issuer: ISSUER,
  audiences: [],
  jwks: null,
  jwksUri: "",
  timeoutMs: 5_000,
  places: { headers: [], params: [], cookies: [] },
  forwardOriginalToken: false,
  outputPayloadToHeader: "",
  outputClaimToHeaders: [],
};

async function ask(
  port: number,
  path: string,
  headers: Record<string, string>,
  body: string,
): Promise<number> {
  const method = body === "" ? "GET" : "POST";
  const outgoing = request({
    port,
    host: "127.0.0.1",
    path,
    method,
    headers: { host: "web", ...headers },
  });
  outgoing.end(body);
  const [response] = await once(outgoing, "response");
  response.resume();
  await once(response, "end");
  return response.statusCode;
}

test("a request passes with a valid token, and the application does not get to see it", async (t) => {
  const mesh = await lab(t);
  const authorization = `Bearer ${await mesh.token("alice")}`;
  assert.equal(await mesh.send("/", { authorization }), 200);
  assert.equal(mesh.seen[0]?.headers.authorization, undefined);
  assert.equal(await mesh.send("/again", { authorization }), 200, "the second time it is known");
  assert.equal(await mesh.send("/", {}), 403, "none at all");
  const bob = { authorization: `Bearer ${await mesh.token("bob")}` };
  assert.equal(await mesh.send("/", bob), 403, "a valid one of somebody else");
  const stale = { authorization: `Bearer ${await mesh.token("alice", "-5m")}` };
  assert.equal(await mesh.send("/", stale), 401);
  assert.equal(mesh.facts.at(-1)?.error, "TOKEN_INVALID");
  assert.equal(mesh.seen.length, 2);
});

test("a body that comes with the first use of a token waits for its verification, and is whole", async (t) => {
  const mesh = await lab(t);
  const authorization = `Bearer ${await mesh.token("alice")}`;
  let bytes = 0;
  const count = mesh.seen;
  assert.equal(await mesh.send("/", { authorization }, "x".repeat(300_000)), 200);
  bytes = Number(count[0]?.headers["content-length"] ?? count[0]?.socket.bytesRead);
  assert.ok(bytes >= 300_000, `${bytes}`);
});

test("claims go to headers that nobody else can fill, and parameters with tokens are taken out", async (t) => {
  const mesh = await lab(t, {
    places: { headers: [], params: ["access_token"], cookies: ["session"] },
    outputClaimToHeaders: [{ header: "x-user", claim: "sub" }],
    outputPayloadToHeader: "x-payload",
  });
  const token = await mesh.token("alice");
  const spoofed = { "x-user": "root", x_user: "root", "x-payload": "forged" };
  assert.equal(await mesh.send(`/p?a=1&access_token=${token}&b=2`, spoofed), 200);
  const first = mesh.seen[0];
  assert.equal(first?.url, "/p?a=1&b=2");
  assert.equal(first?.headers["x-user"], "alice");
  assert.equal(first?.headers["x_user"], undefined);
  const payload = Buffer.from(String(first?.headers["x-payload"]), "base64url").toString();
  assert.match(payload, /"sub":"alice"/);
  const cookie = `a=1; session=${token}; b=2`;
  assert.equal(await mesh.send("/c", { cookie, ...spoofed }), 200);
  assert.equal(mesh.seen[1]?.headers.cookie, "a=1; b=2");
  mesh.apply(mesh.authentication);
  assert.equal(await mesh.send("/none", spoofed), 200, "without a token, where none is needed");
  assert.equal(mesh.seen[2]?.headers["x-user"], undefined);
});

test("a change while a signature is being verified counts", async (t) => {
  const mesh = await lab(t);
  const authorization = `Bearer ${await mesh.token("alice")}`;
  const answer = mesh.send("/", { authorization });
  const deny: Policy = { ...mesh.required, action: "deny" } as Policy;
  // The request may or may not have been sent on by now; what matters is that nothing fails that should not.
  mesh.apply(mesh.authentication, deny);
  assert.equal(await answer, 403);
  mesh.apply(mesh.authentication, mesh.required);
  assert.equal(await mesh.send("/", { authorization }), 200);
});

test("what a token changes for a workload of this host does not follow the request to another host", async (t) => {
  const mesh = await lab(t);
  mesh.apply(mesh.authentication);
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const dead = (closed.address() as AddressInfo).port;
  closed.close();
  const here = endpoint(dead, { identity: WEB, target });
  const elsewhere = endpoint(mesh.port, { identity: WEB, local: false });
  mesh.services(service("web", [here, elsewhere]));
  const authorization = `Bearer ${await mesh.token("alice")}`;
  for (let count = 0; count < 4; count++)
    assert.equal(await mesh.send("/", { authorization }), 200);
  const passed = mesh.seen.map((incoming) => incoming.headers.authorization === authorization);
  assert.deepEqual(
    passed,
    [true, true, true, true],
    "the other host has to judge the token itself",
  );
});
