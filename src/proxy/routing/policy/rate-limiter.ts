import { MeshError } from "../../../core/errors.ts";
import type { RateKey, RateLimitRule, RouteMatch } from "../../../core/traffic.ts";
import type { RequestHead } from "../../../http/message.ts";
import { fieldOf } from "./field.ts";
import type { RateDecision, RateLimit, RateLimits } from "./rate-limits.ts";

/** Who calls. */
export interface RateSource {
  /** SPIFFE ID; "" where none was proved. */
  readonly identity: string;
  /** `namespace/account`; "" where it is not known. */
  readonly account: string;
  /** What tells callers apart where a limit is `per` source; all of the same key share a bucket. */
  readonly key: string;
}

/** Anything with the head of a request; more of it is for the matcher only. */
export interface LimitedRequest {
  readonly head: RequestHead;
}

/** What the limits say to one request. */
export interface RateVerdict {
  readonly allowed: boolean;
  readonly rule: RateLimitRule;
  /** As it holds for this caller. */
  readonly limit: RateLimit;
  readonly decision: RateDecision;
}

/** Cannot be part of a header's value, so that no caller can make a key of two out of one. */
const SEPARATOR = "\0";

interface CompiledRule {
  readonly rule: RateLimitRule;
  readonly limit: RateLimit;
  readonly overrides: ReadonlyMap<string, Override>;
  /** Do callers choose what is counted apart? */
  readonly chosen: boolean;
}

interface Override {
  readonly key: string;
  readonly limit: RateLimit;
}

/**
 * The limits of one service or route. Those that count apart are asked before those of all requests together: what a
 * caller is refused on its own account must not be taken from the others. (Linkerd asks for the total first.) A caller
 * that an override names gets the override's limit in a bucket of the override, in place of the rule's, as in Linkerd.
 */
export class RateLimiter<R extends LimitedRequest> {
  readonly #rules: readonly CompiledRule[];
  readonly #buckets: RateLimits;
  readonly #matches: (matches: readonly RouteMatch[], request: R) => boolean;

  /** `matches`: does one of the matches hold for the request? */
  constructor(
    rules: readonly RateLimitRule[],
    buckets: RateLimits,
    matches: (matches: readonly RouteMatch[], request: R) => boolean,
  ) {
    const apart = rules.filter(({ per }) => per.length > 0);
    const together = rules.filter(({ per }) => per.length === 0);
    this.#rules = [...apart, ...together].map(compile);
    this.#buckets = buckets;
    this.#matches = matches;
  }

  /**
   * Takes the request from every limit that applies to it, up to the first that refuses. Returns that one's verdict,
   * else the one with the least left; null where none applies.
   */
  check(request: R, source: RateSource): RateVerdict | null {
    let tightest: RateVerdict | null = null;
    for (const compiled of this.#rules) {
      const { rule } = compiled;
      if (rule.matches !== undefined && !this.#matches(rule.matches, request)) continue;
      const override =
        compiled.overrides.size === 0
          ? undefined
          : (compiled.overrides.get(source.identity) ?? compiled.overrides.get(source.account));
      const limit = override?.limit ?? compiled.limit;
      const key = override?.key ?? keyOf(rule, request.head, source);
      const chosen = compiled.chosen && override === undefined;
      const decision = this.#buckets.take(key, limit, chosen);
      const { allowed } = decision;
      if (!allowed) return { allowed, rule, limit, decision };
      if (tightest === null || decision.remaining < tightest.decision.remaining) {
        tightest = { allowed, rule, limit, decision };
      }
    }
    return tightest;
  }
}

function compile(rule: RateLimitRule): CompiledRule {
  const { name, requests, periodMs, burst } = rule;
  const overrides = new Map<string, Override>();
  for (const [index, one] of (rule.overrides ?? []).entries()) {
    // As much of the period at once as the rule itself allows.
    const share = requests > 0 ? (burst * one.requests) / requests : one.requests;
    const limit = { requests: one.requests, periodMs, burst: Math.max(1, Math.floor(share)) };
    const key = `${name}${SEPARATOR}override${SEPARATOR}${index}`;
    // Of two that name the same caller the first counts. A caller without a name has none.
    for (const source of one.sources) {
      if (source !== "" && !overrides.has(source)) overrides.set(source, { key, limit });
    }
  }
  const chosen = rule.per.some(({ kind }) => kind === "header");
  return { rule, limit: { requests, periodMs, burst }, overrides, chosen };
}

function keyOf(rule: RateLimitRule, head: RequestHead, source: RateSource): string {
  let key = rule.name;
  for (const part of rule.per) key += SEPARATOR + partOf(part, head, source);
  return key;
}

/** Requests without the header share a bucket of their own, else leaving it out would lift the limit. */
function partOf(part: RateKey, head: RequestHead, source: RateSource): string {
  if (part.kind === "source") return source.key;
  const value = fieldOf(head.fields, part.name.toLowerCase());
  return value === null ? "" : `=${value}`;
}

/** The failure of a refused request. */
export function rateLimitError({ rule, limit }: RateVerdict): MeshError {
  const { requests, periodMs } = limit;
  return new MeshError("RATE_LIMITED", `${rule.name} allows ${requests} in ${periodMs} ms`);
}

/**
 * Fields of the answer to a refused request, flat (name, value): `Retry-After`; `RateLimit-Policy` and `RateLimit` of
 * draft-ietf-httpapi-ratelimit-headers (since 08); `RateLimit-Limit`, `-Remaining` and `-Reset` of its earlier versions,
 * which more clients know; and `x-envoy-ratelimited`, at which an Envoy that calls does not try again.
 */
export function rateLimitFields({ rule, limit, decision }: RateVerdict): string[] {
  const name = quoted(rule.name);
  const { remaining } = decision;
  // The window is given in whole seconds.
  const window = Math.max(1, Math.ceil(limit.periodMs / 1_000));
  const quota = Math.floor((limit.requests * window * 1_000) / limit.periodMs);
  const reset = Math.ceil(decision.resetMs / 1_000);
  const fields = [
    "RateLimit-Policy",
    `${name};q=${quota};w=${window}`,
    "RateLimit",
    `${name};r=${remaining};t=${reset}`,
    "RateLimit-Limit",
    String(quota),
    "RateLimit-Remaining",
    String(remaining),
    "RateLimit-Reset",
    String(reset),
  ];
  if (!decision.allowed) {
    const seconds = Math.max(1, Math.ceil(decision.retryAfterMs / 1_000));
    fields.push("Retry-After", String(seconds), "x-envoy-ratelimited", "true");
  }
  return fields;
}

/** A String of RFC 9651: printable ASCII; what is none becomes a question mark. */
function quoted(text: string): string {
  return `"${text.replace(/[^ -~]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}
