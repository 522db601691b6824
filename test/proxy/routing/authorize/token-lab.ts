import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { FakeClock } from "../../../../src/core/clock.ts";
import type { JwtRule, Policy } from "../../../../src/core/policy.ts";
import {
  Authorizer,
  type TokenResult,
} from "../../../../src/proxy/routing/authorize/authorizer.ts";
import { authorization, head, policies, TARGET, tokens } from "./fixtures.ts";

export const ISSUER = "https://issuer.example";
const NOW_MS = 1_800_000_000_000;
export const NOW = NOW_MS / 1000;

/** A real key pair, and its public half as a JWK. */
export async function keyPair(alg: string, kid: string) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, use: "sig" };
  return { publicKey, privateKey, jwk, alg, kid };
}

export const RSA = await keyPair("RS256", "rsa");
export const EC = await keyPair("ES256", "ec");
export const JWKS = JSON.stringify({ keys: [RSA.jwk, EC.jwk] });

export const CLAIMS: JWTPayload = { iss: ISSUER, sub: "alice", aud: "cart", exp: NOW + 3_600 };

export function sign(
  claims: JWTPayload = CLAIMS,
  header: Record<string, unknown> = {},
  key: CryptoKey = RSA.privateKey,
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "rsa", ...header }).sign(key);
}

export function base64url(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString(
    "base64url",
  );
}

/** A workload whose requests are checked by one policy with these rules. */
export function lab(
  rules: readonly Partial<JwtRule>[] = [{ jwks: JWKS }],
  jwks: Readonly<Record<string, string | null>> = {},
) {
  const clock = new FakeClock(NOW_MS);
  const problems: string[] = [];
  const authorizer = new Authorizer({
    clock,
    onAudit: () => {},
    onProblem: (_policy, reason) => problems.push(reason),
  });
  const apply = (of: readonly Policy[], documents = jwks) =>
    authorizer.apply(policies(of, documents));
  apply([tokens(rules)]);
  const send = (line: string, fields: readonly string[] = []) => {
    const checker = authorizer.for(TARGET).tokens;
    if (checker === null) throw new Error("tokens are not read");
    return checker.check(head(line, fields));
  };
  const bearer = (token: string) => send("GET / HTTP/1.1", [`Authorization: Bearer ${token}`]);
  return { authorizer, clock, problems, apply, send, bearer };
}

/** `ok`, `none`, or why it is refused. */
export async function outcome(result: TokenResult | null | Promise<TokenResult>): Promise<string> {
  const settled = await result;
  if (settled === null) return "none";
  return settled.ok ? "ok" : settled.reason;
}

/** A policy that changes nothing for tokens. */
export const UNRELATED = authorization("deny", []);
