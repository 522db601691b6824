import type { JwtRule, Policies, RequestAuthenticationPolicy } from "../../../core/policy.ts";
import { fieldLine } from "../../../http/headers.ts";
import type { TokenClaims } from "./request.ts";
import { valueAt } from "./token-facts.ts";
import { TokenKeys } from "./token-keys.ts";

/** One issuer of a policy, with the keys to check its tokens. */
export interface TokenRule {
  readonly rule: JwtRule;
  readonly keys: TokenKeys | null;
  /** Why no token of this issuer can be accepted; `""`: they can. */
  readonly problem: string;
  /** Lower-case names of the headers that a token puts into the request. */
  readonly outputs: readonly string[];
}

const FETCH_FAILED = "Jwks remote fetch is failed";

/** Documents that were read before, by their text. */
export type KnownKeys = Map<string, TokenKeys>;

/** An issuer whose keys are missing or unusable is closed; the others of the policy are not affected. */
export function compileTokenRules(
  { rules }: RequestAuthenticationPolicy,
  jwks: Policies["jwks"],
  before: KnownKeys,
  known: KnownKeys,
): readonly TokenRule[] {
  return rules.map((rule) => {
    const outputs = outputsOf(rule);
    const text = rule.jwks ?? (Object.hasOwn(jwks, rule.jwksUri) ? jwks[rule.jwksUri] : null);
    if (text === null || text === undefined) {
      return { rule, keys: null, problem: FETCH_FAILED, outputs };
    }
    try {
      // Refuses a name that is none.
      for (const name of outputs) fieldLine(name, "");
      const keys = before.get(text) ?? known.get(text) ?? new TokenKeys(text);
      known.set(text, keys);
      return { rule, keys, problem: "", outputs };
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      return { rule, keys: null, problem, outputs };
    }
  });
}

function outputsOf({ outputPayloadToHeader, outputClaimToHeaders }: JwtRule): readonly string[] {
  const payload = outputPayloadToHeader === "" ? [] : [outputPayloadToHeader];
  const claims = outputClaimToHeaders.map(({ header }) => header);
  return [...payload, ...claims].map((name) => name.toLowerCase());
}

/** By lower-case name, the headers that a valid token puts into the request. */
export function outputHeaders(
  { rule }: TokenRule,
  claims: TokenClaims,
  token: string,
): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  if (rule.outputPayloadToHeader !== "") {
    headers.set(rule.outputPayloadToHeader.toLowerCase(), token.split(".")[1] ?? "");
  }
  for (const { header, claim } of rule.outputClaimToHeaders) {
    const value = headerText(claimNamed(claims, claim));
    if (value !== null) headers.set(header.toLowerCase(), value);
  }
  return headers;
}

/** A claim by its name, or nested by names with dots between (Envoy's `claim_to_headers`). */
function claimNamed(claims: TokenClaims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : valueAt(claims, name.split("."));
}

/** What one may not write into a field line, which the text of a token may well contain. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/**
 * A claim as a header's value: text in UTF-8, lists and objects as JSON in base64url like Envoy. Null: there is none,
 * or it cannot be one.
 */
function headerText(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "object") return Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = String(value);
  return text === "" || CONTROL.test(text) ? null : Buffer.from(text).toString("latin1");
}
