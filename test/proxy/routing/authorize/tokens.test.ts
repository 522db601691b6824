import assert from "node:assert/strict";
import { test } from "node:test";
import type { TokenResult } from "../../../../src/proxy/routing/authorize/authorizer.ts";
import {
  withoutCookies,
  withoutParams,
} from "../../../../src/proxy/routing/authorize/strip-places.ts";
import { authorization, head, request, rule, TARGET, tokens } from "./fixtures.ts";
import {
  CLAIMS,
  EC,
  ISSUER,
  JWKS,
  keyPair,
  lab,
  outcome,
  RSA,
  sign,
  UNRELATED,
} from "./token-lab.ts";

const GET = "GET / HTTP/1.1";
const places = { headers: [], params: [], cookies: [] };

async function accepted(result: TokenResult | null | Promise<TokenResult>) {
  const settled = await result;
  assert.ok(settled?.ok, JSON.stringify(settled));
  return settled;
}

test("a request without a token passes at once", () => {
  assert.equal(lab().send(GET), null);
  assert.equal(lab().send(GET, ["Authorization: Basic YTpi"]), null);
  assert.equal(lab().send(GET, ["Authorization: Bearer "]), null);
  assert.equal(lab().send("GET /?x=1 HTTP/1.1", ["Cookie: access_token=a.b.c"]), null);
});

test("the default places are Authorization and the parameter access_token", async () => {
  const token = await sign();
  assert.equal(await outcome(lab().bearer(token)), "ok");
  assert.equal(await outcome(lab().send(GET, [`authorization: bearer ${token}`])), "ok");
  assert.equal(await outcome(lab().send(`GET /?a=b&access_token=${token} HTTP/1.1`)), "ok");
  assert.equal(await outcome(lab().send(`GET /?access%5Ftoken=${token} HTTP/1.1`)), "ok");
});

test("tokens come from the headers, parameters and cookies that a rule names, and no others", async () => {
  const token = await sign();
  const own = { headers: [{ name: "x-jwt", prefix: "JWT " }], params: ["t"], cookies: ["sid"] };
  const of = lab([{ jwks: JWKS, places: own }]);
  assert.equal(await outcome(of.send(GET, [`X-JWT: JWT ${token}`])), "ok");
  assert.equal(await outcome(of.send(`GET /?t=${token} HTTP/1.1`)), "ok");
  assert.equal(await outcome(of.send(GET, [`Cookie: a=b; sid=${token}; c=d`])), "ok");
  assert.equal(await outcome(of.bearer(token)), "none");
  assert.equal(await outcome(of.send(GET, [`X-JWT: ${token}`])), "none");
});

test("an issuer's token counts only in its own place", async () => {
  const other = "https://other.example";
  const of = lab([
    { jwks: JWKS, places: { ...places, headers: [{ name: "x-a", prefix: "" }] } },
    { issuer: other, jwks: JWKS, places: { ...places, headers: [{ name: "x-b", prefix: "" }] } },
  ]);
  const token = await sign();
  assert.equal(await outcome(of.send(GET, [`x-a: ${token}`])), "ok");
  assert.equal(await outcome(of.send(GET, [`x-b: ${token}`])), "Jwt issuer is not configured");
  // From the cache too.
  assert.equal(await outcome(of.send(GET, [`x-b: ${token}`])), "Jwt issuer is not configured");
});

test("a token that was accepted before costs no promise, until the policies change", async () => {
  const of = lab();
  const token = await sign();
  const first = of.bearer(token);
  assert.ok(first instanceof Promise);
  const result = await first;
  assert.equal(of.bearer(token), result);
  of.apply([tokens([{ jwks: JWKS }]), UNRELATED]);
  assert.ok(of.bearer(token) instanceof Promise);
});

test("a burst of requests with one new token verifies it once", async () => {
  const of = lab();
  const token = await sign();
  assert.equal(of.bearer(token), of.bearer(token));
  assert.equal(await outcome(of.bearer(token)), "ok");
});

test("the result tells who it is", async () => {
  const result = await accepted(lab().bearer(await sign()));
  assert.equal(result.requestPrincipal, `${ISSUER}/alice`);
  assert.equal(result.claims["aud"], "cart");
  const { sub: _, ...nobody } = CLAIMS;
  assert.equal((await accepted(lab().bearer(await sign(nobody)))).requestPrincipal, "");
});

test("two rules of one issuer: one of them has to accept the token", async () => {
  const rules = [
    { jwks: JWKS, audiences: ["bank"] },
    { jwks: JWKS, audiences: ["cart"] },
  ];
  assert.equal(await outcome(lab(rules).bearer(await sign())), "ok");
  const other = await sign({ ...CLAIMS, aud: "x" });
  assert.equal(await outcome(lab(rules).bearer(other)), "Audiences in Jwt are not allowed");
});

test("an issuer without its JWKS is closed, and the others go on", async () => {
  const uri = "https://down.example/jwks";
  const other = "https://down.example";
  const rules = [{ jwks: JWKS }, { issuer: other, jwksUri: uri }];
  for (const documents of [{}, { [uri]: null }]) {
    const of = lab(rules, documents);
    assert.deepEqual(of.problems, [`issuer ${other}: Jwks remote fetch is failed`]);
    const theirs = await sign({ ...CLAIMS, iss: other });
    assert.equal(await outcome(of.bearer(theirs)), "Jwks remote fetch is failed");
    assert.equal(await outcome(of.bearer(await sign())), "ok");
  }
  const up = lab(rules, { [uri]: JWKS });
  assert.equal(await outcome(up.bearer(await sign({ ...CLAIMS, iss: other }))), "ok");
});

for (const [jwks, reason] of [
  ["no json", "a JWKS that is no JSON"],
  ["[]", "a JWKS without a list of keys"],
  ["null", "a JWKS without a list of keys"],
  [JSON.stringify({ keys: Array(129).fill(0) }), "a JWKS with more than 128 keys"],
  [" ".repeat(1_048_577), "a JWKS of more than 1048576 characters"],
] as const) {
  test(`a document is refused that is ${reason}, and its issuer closed`, async () => {
    const of = lab([{ jwks }]);
    assert.deepEqual(of.problems, [`issuer ${ISSUER}: ${reason}`]);
    assert.equal(await outcome(of.bearer(await sign())), reason);
  });
}

test("keys of no use are passed over, and a broken one does not hide the good one", async () => {
  const broken = { ...RSA.jwk, n: "A" };
  const jwks = JSON.stringify({ keys: [null, 1, {}, { kty: "x" }, broken, RSA.jwk] });
  assert.equal(await outcome(lab([{ jwks }]).bearer(await sign())), "ok");
});

for (const alg of ["RS384", "RS512", "PS256", "PS512", "ES384", "ES512", "EdDSA"]) {
  test(`${alg} is understood`, async () => {
    const key = await keyPair(alg, "k");
    const of = lab([{ jwks: JSON.stringify({ keys: [key.jwk, EC.jwk] }) }]);
    assert.equal(
      await outcome(of.bearer(await sign(CLAIMS, { alg, kid: "k" }, key.privateKey))),
      "ok",
    );
  });
}

test("the token is taken away from where it was, unless it is to be forwarded", async () => {
  const token = await sign();
  const kept = await accepted(lab().bearer(token));
  assert.deepEqual(kept.strip, []);
  const own = {
    headers: [{ name: "x-jwt", prefix: "" }],
    params: ["t"],
    cookies: ["sid"],
  };
  const of = lab([{ jwks: JWKS, places: own, forwardOriginalToken: false }]);
  const stripped = async (line: string, fields: string[] = []) =>
    (await accepted(of.send(line, fields))).strip;
  assert.deepEqual(await stripped(GET, [`X-Jwt: ${token}`]), [{ kind: "header", name: "x-jwt" }]);
  assert.deepEqual(await stripped(`GET /?t=${token} HTTP/1.1`), [{ kind: "param", name: "t" }]);
  assert.deepEqual(await stripped(GET, [`Cookie: sid=${token}`]), [
    { kind: "cookie", name: "sid" },
  ]);
  assert.deepEqual(await stripped(`GET /?t=${token} HTTP/1.1`, [`X-Jwt: ${token}`]), [
    { kind: "header", name: "x-jwt" },
    { kind: "param", name: "t" },
  ]);
});

test("the application is told the payload and single claims", async () => {
  const of = lab([
    {
      jwks: JWKS,
      outputPayloadToHeader: "x-payload",
      outputClaimToHeaders: [
        { header: "x-sub", claim: "sub" },
        { header: "x-role", claim: "nested.role" },
        { header: "x-level", claim: "level" },
        { header: "x-list", claim: "list" },
        { header: "x-none", claim: "missing" },
        { header: "x-name", claim: "name" },
        { header: "x-evil", claim: "evil" },
        { header: "x-dotted", claim: "https://a.b/c" },
      ],
    },
  ]);
  assert.deepEqual(of.authorizer.for(TARGET).tokens?.guardedHeaders, [
    "x-payload",
    "x-sub",
    "x-role",
    "x-level",
    "x-list",
    "x-none",
    "x-name",
    "x-evil",
    "x-dotted",
  ]);
  const token = await sign({
    ...CLAIMS,
    nested: { role: "boss" },
    level: 7,
    list: ["a"],
    name: "Zoë",
    evil: "a\r\nx-admin: yes",
    "https://a.b/c": true,
  });
  const { add } = await accepted(of.bearer(token));
  assert.deepEqual(add, [
    `x-payload: ${token.split(".")[1]}\r\n`,
    "x-sub: alice\r\n",
    "x-role: boss\r\n",
    "x-level: 7\r\n",
    "x-list: WyJhIl0\r\n",
    `x-name: ${Buffer.from("Zoë").toString("latin1")}\r\n`,
    "x-dotted: true\r\n",
  ]);
});

test("policies see what the token says in such a header, and never what the client says", async () => {
  const of = lab();
  const rules = [{ jwks: JWKS, outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }] }];
  const when = [{ key: "request.headers[x-sub]", values: ["alice"], notValues: [] }];
  of.apply([tokens(rules), authorization("allow", [rule(null, null, when)])]);
  const { claims } = await accepted(of.bearer(await sign()));
  const bob = await accepted(of.bearer(await sign({ ...CLAIMS, sub: "bob" })));
  const spoofed = head(GET, ["x-sub: alice"]);
  const decide = (given: object) => of.authorizer.for(TARGET).decide(request(given)).allowed;
  assert.equal(decide({ claims }), true);
  assert.equal(decide({ head: spoofed }), false);
  assert.equal(decide({ head: spoofed, claims: bob.claims }), false);
});

test("a header name that is none closes the issuer", async () => {
  const of = lab([{ jwks: JWKS, outputPayloadToHeader: "x y" }]);
  assert.equal(of.problems.length, 1);
  assert.notEqual(await outcome(of.bearer(await sign())), "ok");
});

test("the cache stays small however many tokens come", async () => {
  const of = lab();
  const filler = "x".repeat(9_000);
  const signed = await Promise.all(
    Array.from({ length: 700 }, (_, jti) => sign({ ...CLAIMS, jti: String(jti), filler })),
  );
  for (const token of signed) assert.equal(await outcome(of.bearer(token)), "ok");
  assert.ok(of.bearer(signed[0]!) instanceof Promise, "the first token is still there");
  assert.ok(!(of.bearer(signed[699]!) instanceof Promise), "the last token is not there");
});

test("parameters are taken out of a path, however they are spelled", () => {
  assert.equal(withoutParams("/a", ["t"]), "/a");
  assert.equal(withoutParams("/a?b=c", ["t"]), "/a?b=c");
  assert.equal(withoutParams("/a?t=x", ["t"]), "/a");
  assert.equal(withoutParams("/a?b=c&t=x&%74=y&d", ["t"]), "/a?b=c&d");
  assert.equal(withoutParams("/a?%zz=1&t", ["t"]), "/a?%zz=1");
});

test("cookies are taken out of a field", () => {
  assert.equal(withoutCookies("a=b; t=x; c=d", ["t"]), "a=b; c=d");
  assert.equal(withoutCookies("t=x; c=d", ["t"]), "c=d");
  assert.equal(withoutCookies("t=x", ["t"]), "");
  assert.equal(withoutCookies("a=b", ["t"]), "a=b");
});
