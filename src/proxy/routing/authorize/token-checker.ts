import type { LRUCache } from "lru-cache";
import type { Clock } from "../../../core/clock.ts";
import { fieldLine } from "../../../http/headers.ts";
import type { RequestHead } from "../../../http/message.ts";
import type { TokenClaims } from "./request.ts";
import { rememberToken } from "./token-facts.ts";
import { type Place, TokenFinder } from "./token-places.ts";
import type { TokenChecker, TokenPlace, TokenResult } from "./token-result.ts";
import { outputHeaders, type TokenRule } from "./token-rules.ts";
import {
  CLOCK_SKEW_MS,
  EXPIRED,
  readToken,
  type UnverifiedToken,
  verifyToken,
} from "./verify-token.ts";

const MAX_TOKEN_LENGTH = 16_384;
/** In one request. */
const MAX_TOKENS = 4;

/** A token that one rule has accepted. */
interface Accepted {
  readonly rule: TokenRule;
  readonly claims: TokenClaims;
  readonly requestPrincipal: string;
  readonly add: readonly string[];
  readonly expiresMs: number;
  /** By the place where it was found, so that a repeated token allocates nothing. */
  readonly results: Map<Place, TokenResult>;
}

/** Accepted tokens by their text, of all workloads. */
export type TokenCache = LRUCache<string, Accepted[]>;

/** Checks tokens against the rules of one workload: every token must be valid, of an issuer that may put it there. */
export class RuleTokenChecker implements TokenChecker {
  readonly guardedHeaders: readonly string[];
  readonly #rules: readonly TokenRule[];
  readonly #finder: TokenFinder;
  readonly #cache: TokenCache;
  readonly #clock: Clock;
  /** Under way, by place and text: a burst of requests with a new token verifies it once. */
  readonly #pending = new Map<Place, Map<string, Promise<TokenResult>>>();

  constructor(rules: readonly TokenRule[], cache: TokenCache, clock: Clock) {
    this.#rules = rules;
    this.#finder = new TokenFinder(rules.map(({ rule }) => rule));
    this.#cache = cache;
    this.#clock = clock;
    this.guardedHeaders = [...new Set(rules.flatMap(({ outputs }) => outputs))];
  }

  check(head: RequestHead): TokenResult | null | Promise<TokenResult> {
    const found = this.#finder.find(head);
    if (found === null) return null;
    if (found.length > MAX_TOKENS) return refusal(`more than ${MAX_TOKENS} Jwts`);
    const results = found.map(({ text, place }) => this.#checkOne(text, place));
    if (results.length === 1) return results[0]!;
    return Promise.all(results).then(combined);
  }

  #checkOne(text: string, place: Place): TokenResult | Promise<TokenResult> {
    if (text.length > MAX_TOKEN_LENGTH) {
      return refusal(`a Jwt of more than ${MAX_TOKEN_LENGTH} characters`);
    }
    for (const accepted of this.#cache.get(text) ?? []) {
      if (!this.#takes(place, accepted.rule)) continue;
      if (accepted.expiresMs <= this.#clock.now()) return refusal(EXPIRED);
      return resultOf(accepted, place);
    }
    const token = readToken(text);
    if (typeof token === "string") return refusal(token);
    const rules = this.#rules.filter(
      (rule) => rule.rule.issuer === token.issuer && this.#takes(place, rule),
    );
    if (rules.length === 0) return refusal("Jwt issuer is not configured");
    return this.#pendingOf(token, place, rules);
  }

  #takes(place: Place, rule: TokenRule): boolean {
    const index = this.#rules.indexOf(rule);
    return index !== -1 && place.rules.has(index);
  }

  #pendingOf(
    token: UnverifiedToken,
    place: Place,
    rules: readonly TokenRule[],
  ): Promise<TokenResult> {
    const ofPlace = this.#pending.get(place) ?? new Map<string, Promise<TokenResult>>();
    this.#pending.set(place, ofPlace);
    const underWay = ofPlace.get(token.text);
    if (underWay !== undefined) return underWay;
    const started = this.#verify(token, place, rules).finally(() => ofPlace.delete(token.text));
    ofPlace.set(token.text, started);
    return started;
  }

  /** Several rules may name the same issuer: one of them has to accept the token. */
  async #verify(
    token: UnverifiedToken,
    place: Place,
    rules: readonly TokenRule[],
  ): Promise<TokenResult> {
    let reason = "";
    for (const rule of rules) {
      const claims = await verifyToken(token, rule, this.#clock.now());
      if (typeof claims !== "string") return this.#accept(token.text, rule, claims, place);
      reason = claims;
    }
    return refusal(reason);
  }

  #accept(text: string, rule: TokenRule, claims: TokenClaims, place: Place): TokenResult {
    const headers = outputHeaders(rule, claims, text);
    const { principal } = rememberToken(claims, headers);
    const exp = claims["exp"];
    const accepted: Accepted = {
      rule,
      claims,
      requestPrincipal: principal,
      add: [...headers].map(([name, value]) => fieldLine(name, value)),
      expiresMs: typeof exp === "number" ? exp * 1000 + CLOCK_SKEW_MS : Number.POSITIVE_INFINITY,
      results: new Map(),
    };
    // A copy of its own: the text is a part of the head, all of which it would keep in memory.
    const key = Buffer.from(text, "latin1").toString("latin1");
    this.#cache.set(key, [...(this.#cache.get(text) ?? []), accepted]);
    return resultOf(accepted, place);
  }
}

function refusal(reason: string): TokenResult {
  return { ok: false, reason };
}

function resultOf(accepted: Accepted, place: Place): TokenResult {
  const known = accepted.results.get(place);
  if (known !== undefined) return known;
  const { rule, claims, requestPrincipal, add } = accepted;
  const { kind, name } = place;
  const strip: TokenPlace[] = rule.rule.forwardOriginalToken ? [] : [{ kind, name }];
  const result: TokenResult = Object.freeze({ ok: true, claims, requestPrincipal, strip, add });
  accepted.results.set(place, result);
  return result;
}

/** All must be valid; policies read the first (Istio leaves it open which one). */
function combined(results: readonly TokenResult[]): TokenResult {
  const valid = results.filter((result) => result.ok);
  const [first] = valid;
  const invalid = results.find((result) => !result.ok);
  if (invalid !== undefined || first === undefined) return invalid ?? refusal("no Jwt");
  return {
    ...first,
    strip: valid.flatMap(({ strip }) => strip),
    add: [...new Set(valid.flatMap(({ add }) => add))],
  };
}
