import assert from "node:assert/strict";
import { createHmac, createPublicKey } from "node:crypto";
import { test } from "node:test";
import { CompactSign } from "jose";
import { authorization, request, rule, TARGET, tokens } from "./fixtures.ts";
import {
  base64url,
  CLAIMS,
  EC,
  ISSUER,
  JWKS,
  keyPair,
  lab,
  NOW,
  outcome,
  RSA,
  sign,
} from "./token-lab.ts";

const NOT_VERIFIED = "Jwt verification fails";
const UNSUPPORTED = "Jwt header [alg] is not supported";
const MALFORMED = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";

async function refused(token: string, reason: string, of = lab()): Promise<void> {
  assert.equal(await outcome(of.bearer(token)), reason);
}

test("a token of the issuer is accepted: otherwise the attacks prove nothing", async () => {
  assert.equal(await outcome(lab().bearer(await sign())), "ok");
  const ec = await sign(CLAIMS, { alg: "ES256", kid: "ec" }, EC.privateKey);
  assert.equal(await outcome(lab().bearer(ec)), "ok");
});

test("alg none is refused, in any spelling and with any signature", async () => {
  const signature = (await sign()).split(".")[2];
  for (const alg of ["none", "None", "NONE", "nOnE", ""]) {
    const unsigned = `${base64url({ alg })}.${base64url(CLAIMS)}.`;
    await refused(unsigned, UNSUPPORTED);
    await refused(unsigned + signature, UNSUPPORTED);
  }
});

test("a MAC with the public key as its secret is refused (RS256 to HS256 confusion)", async () => {
  const pem = createPublicKey({ key: RSA.jwk, format: "jwk" }).export({
    type: "spki",
    format: "pem",
  });
  for (const secret of [pem, JSON.stringify(RSA.jwk), RSA.jwk.n ?? ""]) {
    const signed = `${base64url({ alg: "HS256", kid: "rsa" })}.${base64url(CLAIMS)}`;
    const mac = createHmac("sha256", secret).update(signed).digest("base64url");
    await refused(`${signed}.${mac}`, UNSUPPORTED);
  }
});

test("a symmetric key in the JWKS verifies nothing", async () => {
  const k = base64url("a secret that everybody can read in the document");
  const jwks = JSON.stringify({ keys: [{ kty: "oct", k, kid: "rsa", alg: "HS256" }] });
  const signed = `${base64url({ alg: "HS256", kid: "rsa" })}.${base64url(CLAIMS)}`;
  const mac = createHmac("sha256", Buffer.from(k, "base64url")).update(signed).digest("base64url");
  await refused(`${signed}.${mac}`, UNSUPPORTED, lab([{ jwks }]));
});

test("a key is used only for the algorithm that its JWK names, and never for encryption", async () => {
  const missing = "Jwks doesn't have key to match kid or alg from Jwt";
  const only = (key: object) => lab([{ jwks: JSON.stringify({ keys: [{ ...RSA.jwk, ...key }] }) }]);
  await refused(await sign(), missing, only({ alg: "PS256" }));
  await refused(await sign(), missing, only({ use: "enc" }));
  await refused(await sign(), missing, only({ key_ops: ["encrypt"] }));
  assert.equal(
    await outcome(only({ alg: "RS256", key_ops: ["verify"] }).bearer(await sign())),
    "ok",
  );
});

test("an expired token is refused, with a minute of leeway for the clocks", async () => {
  await refused(await sign({ ...CLAIMS, exp: NOW - 60 }), "Jwt is expired");
  assert.equal(await outcome(lab().bearer(await sign({ ...CLAIMS, exp: NOW - 59 }))), "ok");
});

test("a token that expires while it is in the cache is refused from then on", async () => {
  const of = lab();
  const token = await sign({ ...CLAIMS, exp: NOW + 10 });
  assert.equal(await outcome(of.bearer(token)), "ok");
  of.clock.advance(69_999);
  assert.equal(await outcome(of.bearer(token)), "ok");
  of.clock.advance(1);
  await refused(token, "Jwt is expired", of);
});

test("a token of the future (nbf) is refused, with a minute of leeway", async () => {
  await refused(await sign({ ...CLAIMS, nbf: NOW + 61 }), "Jwt not yet valid");
  assert.equal(await outcome(lab().bearer(await sign({ ...CLAIMS, nbf: NOW + 60 }))), "ok");
});

test("times that are no numbers are refused", async () => {
  for (const name of ["exp", "nbf"]) {
    const payload = JSON.stringify({ ...CLAIMS, [name]: "soon" });
    const token = await new CompactSign(Buffer.from(payload))
      .setProtectedHeader({ alg: "RS256" })
      .sign(RSA.privateKey);
    assert.notEqual(await outcome(lab().bearer(token)), "ok");
  }
});

test("a token for another audience is refused", async () => {
  const of = () => lab([{ jwks: JWKS, audiences: ["cart", "orders"] }]);
  const reason = "Audiences in Jwt are not allowed";
  await refused(await sign({ ...CLAIMS, aud: "bank" }), reason, of());
  await refused(await sign({ ...CLAIMS, aud: [] }), reason, of());
  assert.equal(await outcome(of().bearer(await sign({ ...CLAIMS, aud: ["x", "orders"] }))), "ok");
  const { aud: _, ...without } = CLAIMS;
  assert.notEqual(await outcome(of().bearer(await sign(without))), "ok");
});

test("a token of an unknown issuer, or of none, is refused", async () => {
  await refused(
    await sign({ ...CLAIMS, iss: "https://evil.example" }),
    "Jwt issuer is not configured",
  );
  await refused(await sign({ ...CLAIMS, iss: `${ISSUER}/` }), "Jwt issuer is not configured");
  const { iss: _, ...without } = CLAIMS;
  await refused(await sign(without), "Jwt issuer is not configured");
});

test("one issuer's key does not sign for another", async () => {
  const other = "https://other.example";
  const rules = [
    { jwks: JSON.stringify({ keys: [RSA.jwk] }) },
    { issuer: other, jwks: JSON.stringify({ keys: [EC.jwk] }) },
  ];
  const forged = await sign({ ...CLAIMS, iss: other }, { alg: "RS256" });
  assert.notEqual(await outcome(lab(rules).bearer(forged)), "ok");
  const own = await sign({ ...CLAIMS, iss: other }, { alg: "ES256", kid: "ec" }, EC.privateKey);
  assert.equal(await outcome(lab(rules).bearer(own)), "ok");
});

test("a token with an unknown kid is refused, and one without is tried with every key", async () => {
  const missing = "Jwks doesn't have key to match kid or alg from Jwt";
  await refused(await sign(CLAIMS, { kid: "other" }), missing);
  await refused(await sign(CLAIMS, { kid: "ec" }), missing);
  assert.equal(await outcome(lab().bearer(await sign(CLAIMS, { kid: undefined }))), "ok");
});

test("a kid is only a name: paths and queries in it lead nowhere", async () => {
  for (const kid of ["../../dev/null", "x' UNION SELECT 'a", "__proto__"]) {
    const missing = "Jwks doesn't have key to match kid or alg from Jwt";
    await refused(await sign(CLAIMS, { kid }), missing);
  }
  await refused(await sign(CLAIMS, { kid: 7 }), "Jwt header [kid] is not a string");
});

test("a tampered token is refused: payload, header and signature", async () => {
  const [header = "", payload = "", signature = ""] = (await sign()).split(".");
  const admin = base64url({ ...CLAIMS, sub: "admin" });
  await refused(`${header}.${admin}.${signature}`, NOT_VERIFIED);
  await refused(`${base64url({ alg: "RS256" })}.${payload}.${signature}`, NOT_VERIFIED);
  const flipped = (signature.startsWith("A") ? "B" : "A") + signature.slice(1);
  await refused(`${header}.${payload}.${flipped}`, NOT_VERIFIED);
  await refused(`${header}.${payload}.`, NOT_VERIFIED);
});

test("a token signed by somebody else's key of the same kid is refused", async () => {
  const evil = await keyPair("RS256", "rsa");
  await refused(await sign(CLAIMS, {}, evil.privateKey), NOT_VERIFIED);
});

test("a token that brings its own key or points to one is judged by the issuer's", async () => {
  const evil = await keyPair("RS256", "rsa");
  for (const header of [
    { jwk: evil.jwk },
    { jku: "https://evil.example/jwks" },
    { x5u: "https://evil.example/chain" },
    { x5c: ["MIIB"] },
  ]) {
    await refused(await sign(CLAIMS, header, evil.privateKey), NOT_VERIFIED);
  }
});

test("critical extensions are refused, known to the library or not", async () => {
  const b64 = await new CompactSign(Buffer.from(JSON.stringify(CLAIMS)))
    .setProtectedHeader({ alg: "RS256", b64: true, crit: ["b64"] })
    .sign(RSA.privateKey);
  await refused(b64, "Jwt header [crit] is not supported");
  const [, payload, signature] = b64.split(".");
  const made = base64url({ alg: "RS256", crit: ["exp"], exp: 1 });
  await refused(`${made}.${payload}.${signature}`, "Jwt header [crit] is not supported");
});

test("a token is not accepted any more once its key is gone (replay after key removal)", async () => {
  const of = lab();
  const token = await sign();
  assert.equal(await outcome(of.bearer(token)), "ok");
  of.apply([tokens([{ jwks: JSON.stringify({ keys: [EC.jwk] }) }])]);
  assert.notEqual(await outcome(of.bearer(token)), "ok");
  of.apply([tokens([{ jwks: JWKS }])]);
  assert.equal(await outcome(of.bearer(token)), "ok");
});

test("a verification that was under way while its key went leaves nothing in the cache", async () => {
  const of = lab();
  const token = await sign();
  const underWay = of.bearer(token);
  of.apply([tokens([{ jwks: JSON.stringify({ keys: [EC.jwk] }) }])]);
  await underWay;
  assert.notEqual(await outcome(of.bearer(token)), "ok");
});

test("a private key in the document is used for its public half only", async () => {
  const d = "AQAB";
  const jwks = JSON.stringify({ keys: [{ ...RSA.jwk, d, p: d, q: d, dp: d, dq: d, qi: d }] });
  assert.equal(await outcome(lab([{ jwks }]).bearer(await sign())), "ok");
});

for (const garbage of [
  "a",
  "a.b",
  "a.b.c",
  "a.b.c.d",
  "a.b.c.d.e",
  "..",
  "ey.ey.ey",
  `${base64url({ alg: "RS256" })}.${base64url("[]")}.AAAA`,
  `${base64url({ alg: "RS256" })}.${base64url("null")}.AAAA`,
  `${base64url("null")}.${base64url({})}.AAAA`,
  `${base64url({ alg: "RS256" })}.${"\u00ff".repeat(5)}.AAAA`,
]) {
  test(`${JSON.stringify(garbage)} is no token`, async () => {
    await refused(garbage, MALFORMED);
  });
}

test("a payload with a type where a text belongs is refused", async () => {
  const signed = `${base64url({ alg: ["RS256"] })}.${base64url(CLAIMS)}.AAAA`;
  assert.notEqual(await outcome(lab().bearer(signed)), "ok");
  const issuers = `${base64url({ alg: "RS256" })}.${base64url({ iss: [ISSUER] })}.AAAA`;
  assert.notEqual(await outcome(lab().bearer(issuers)), "ok");
});

test("a token of more than 16 KiB is refused before anything is decoded", async () => {
  const huge = `${base64url({ alg: "RS256" })}.${"A".repeat(17_000)}.AAAA`;
  await refused(huge, "a Jwt of more than 16384 characters");
});

test("more than four tokens in one request are refused", () => {
  const query = Array.from({ length: 5 }, () => "access_token=a.b.c").join("&");
  const result = lab().send(`GET /?${query} HTTP/1.1`);
  assert.deepEqual(result, { ok: false, reason: "more than 4 Jwts" });
});

test("a valid token does not cover for an invalid one beside it", async () => {
  const [token, forged] = [await sign(), `${(await sign()).slice(0, -4)}AAAA`];
  const fields = [`Authorization: Bearer ${token}`];
  const line = (text: string) => `GET /?access_token=${text} HTTP/1.1`;
  assert.equal(await outcome(lab().send(line(forged), fields)), NOT_VERIFIED);
  assert.equal(await outcome(lab().send(line(token), fields)), "ok");
  const twice = [...fields, `Authorization: Bearer ${forged}`];
  assert.equal(await outcome(lab().send("GET / HTTP/1.1", twice)), NOT_VERIFIED);
});

test("claims named like members of objects are claims like others", async () => {
  const payload = `{"iss":"${ISSUER}","sub":"a","__proto__":{"role":"admin"}}`;
  const token = await new CompactSign(Buffer.from(payload))
    .setProtectedHeader({ alg: "RS256" })
    .sign(RSA.privateKey);
  const of = lab();
  const result = await of.bearer(token);
  assert.ok(result?.ok);
  const when = [{ key: "request.auth.claims[role]", values: ["admin"], notValues: [] }];
  of.apply([tokens([{ jwks: JWKS }]), authorization("allow", [rule(null, null, when)])]);
  const verdict = of.authorizer.for(TARGET).decide(request({ claims: result.claims }));
  assert.equal(verdict.allowed, false);
});
