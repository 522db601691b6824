import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from "jose";
import { TOKEN_ALGORITHMS } from "./token-keys.ts";
import type { TokenRule } from "./token-rules.ts";

/** How far the clocks of issuer and host may be apart: Envoy's default. */
export const CLOCK_SKEW_MS = 60_000;

/** Texts are Envoy's where Envoy has one. */
const MALFORMED = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
const NOT_VERIFIED = "Jwt verification fails";
export const EXPIRED = "Jwt is expired";

/** A token that says what must be known before its signature is checked. Nothing of it is to be believed yet. */
export interface UnverifiedToken {
  readonly text: string;
  readonly issuer: string;
  readonly algorithm: string;
  readonly kid: string;
}

/**
 * Reads a compact JWS (RFC 7515 section 3.1) without checking its signature; the reason where it is out of the
 * question: `alg` none or symmetric, critical extensions. Keys that the token itself brings or points to (`jwk`,
 * `jku`, `x5u`, `x5c`) are never looked at.
 */
export function readToken(text: string): UnverifiedToken | string {
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) return MALFORMED;
  try {
    const { alg = "", kid = "", crit } = decodeProtectedHeader(text);
    if (!TOKEN_ALGORITHMS.includes(alg)) return "Jwt header [alg] is not supported";
    if (crit !== undefined) return "Jwt header [crit] is not supported";
    if (typeof kid !== "string") return "Jwt header [kid] is not a string";
    const { iss = "" } = decodeJwt(text);
    if (typeof iss !== "string") return "Jwt payload [iss] is not a string";
    return { text, issuer: iss, algorithm: alg, kid };
  } catch {
    return MALFORMED;
  }
}

/** Claims of a token that the rule's issuer has signed and that is valid now, or why it is not. Never rejects. */
export async function verifyToken(
  { text, algorithm, kid }: UnverifiedToken,
  { rule, keys, problem }: TokenRule,
  nowMs: number,
): Promise<JWTPayload | string> {
  if (keys === null) return problem;
  const candidates = keys.candidates(algorithm, kid);
  if (candidates.length === 0) return "Jwks doesn't have key to match kid or alg from Jwt";
  const { issuer, audiences } = rule;
  const options = {
    algorithms: [algorithm],
    issuer,
    clockTolerance: CLOCK_SKEW_MS / 1000,
    currentDate: new Date(nowMs),
    ...(audiences.length === 0 ? {} : { audience: [...audiences] }),
  };
  let reason = NOT_VERIFIED;
  for (const candidate of candidates) {
    try {
      return (await jwtVerify(text, await candidate, options)).payload;
    } catch (error) {
      reason = reasonOf(error);
      // The signature fits: another key cannot make the claims any better.
      if (reason !== NOT_VERIFIED) return reason;
    }
  }
  return reason;
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return EXPIRED;
  if (!(error instanceof errors.JWTClaimValidationFailed)) return NOT_VERIFIED;
  if (error.claim === "nbf") return "Jwt not yet valid";
  if (error.claim === "aud") return "Audiences in Jwt are not allowed";
  return `Jwt payload [${error.claim}] is not valid`;
}
