import type { TokenClaims } from "./request.ts";

const NONE: readonly string[] = Object.freeze([]);
const NO_HEADERS: ReadonlyMap<string, string> = new Map();
/** Claims that are lists with spaces between (RFC 8693 section 4.2), which Istio takes apart. */
const SPACED = new Set(["scope", "permission"]);

/** What rules read of a token. Absent values are `""` or empty. */
export interface TokenFacts {
  readonly issuer: string;
  readonly subject: string;
  /** `issuer/subject`; `""` where one is absent. */
  readonly principal: string;
  readonly audiences: readonly string[];
  /** The authorized presenter: `azp`. */
  readonly presenter: readonly string[];
  /** By lower-case name: the headers that the token puts into the request. */
  readonly headers: ReadonlyMap<string, string>;
  claim(path: readonly string[]): readonly string[];
}

export const NO_TOKEN: TokenFacts = {
  issuer: "",
  subject: "",
  principal: "",
  audiences: NONE,
  presenter: NONE,
  headers: NO_HEADERS,
  claim: () => NONE,
};

/** Kept as long as the claims, which are those of a cached token as a rule. */
const known = new WeakMap<TokenClaims, TokenFacts>();

export function tokenFactsOf(claims: TokenClaims): TokenFacts {
  return known.get(claims) ?? rememberToken(claims, NO_HEADERS);
}

export function rememberToken(
  claims: TokenClaims,
  headers: ReadonlyMap<string, string>,
): TokenFacts {
  const issuer = textOf(claims["iss"]);
  const subject = textOf(claims["sub"]);
  const facts: TokenFacts = {
    issuer,
    subject,
    principal: issuer === "" || subject === "" ? "" : `${issuer}/${subject}`,
    audiences: textsOf(claims["aud"]),
    presenter: textsOf(claims["azp"]),
    headers,
    claim: (path) => claimAt(claims, path),
  };
  known.set(claims, facts);
  return facts;
}

/** The value at a path of names; undefined where there is none. Inherited properties and elements of lists are none. */
export function valueAt(claims: TokenClaims, path: readonly string[]): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    if (!Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** Istio matches claims that are a string or a list of strings, and no others. */
function claimAt(claims: TokenClaims, path: readonly string[]): readonly string[] {
  const value = valueAt(claims, path);
  const isSpaced = path.length === 1 && SPACED.has(path[0]!) && typeof value === "string";
  return isSpaced ? value.split(" ") : textsOf(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function textsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return value === "" ? NONE : [value];
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : NONE;
}
