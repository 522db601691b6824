import type { DataService } from "../core/snapshot.ts";
import type {
  Backend,
  MirrorRule,
  RateLimitRule,
  RetryRule,
  Rewrite,
  RouteMatch,
  RouteRule,
} from "../core/traffic.ts";
import type { CompiledRule } from "./routing/match/compiled-rule.ts";
import { RequestMatcher } from "./routing/match/request-matcher.ts";
import type { RouteRequest } from "./routing/match/route-request.ts";
import { RouteSet } from "./routing/match/route-set.ts";
import { Faults } from "./routing/policy/faults.ts";
import { RateLimiter } from "./routing/policy/rate-limiter.ts";
import type { RateLimits } from "./routing/policy/rate-limits.ts";
import { RetryPolicy } from "./routing/policy/retry-policy.ts";
import { Cors } from "./routing/transform/cors.ts";
import { HeadEdits } from "./routing/transform/head-edits.ts";

/** One place where a rule sends requests, with what is changed of them on the way. */
export interface BackendParts {
  readonly backend: Omit<Backend, "weight" | "failover">;
  readonly failover: readonly BackendParts[];
  /** The backend's own says something else of the path, or of the authority, than its rule does. */
  readonly rewrite: Rewrite | null;
  readonly requestEdits: HeadEdits | null;
  readonly responseEdits: HeadEdits | null;
}

/** A rule with all that is made of it once. */
export interface RouteParts {
  readonly compiled: CompiledRule;
  readonly rule: RouteRule;
  /** Null: the rule says nothing of it. */
  readonly retry: RetryPolicy | null;
  readonly faults: Faults | null;
  readonly cors: Cors | null;
  readonly limiter: RateLimiter<RouteRequest> | null;
  readonly backends: readonly BackendParts[];
  /** Edits where the rule names no backend. */
  readonly own: BackendParts | null;
  readonly mirrors: readonly MirrorRule[];
}

/** What rules of services are compiled to, kept until the rules change. */
export class RouteBook {
  readonly #buckets: RateLimits;
  readonly #onProblem: (source: string, reason: string) => void;
  readonly #sets = new Map<string, { readonly stamp: string; readonly set: RouteSet }>();
  readonly #parts = new WeakMap<CompiledRule, RouteParts>();
  readonly #retries = new WeakMap<RetryRule, RetryPolicy>();
  readonly #limiters = new WeakMap<readonly RateLimitRule[], RateLimiter<RouteRequest>>();
  readonly #matchers = new WeakMap<readonly RouteMatch[], RequestMatcher>();

  constructor(buckets: RateLimits, onProblem: (source: string, reason: string) => void) {
    this.#buckets = buckets;
    this.#onProblem = onProblem;
  }

  /** The rules for calls of a service; null: it has none. */
  setOf(service: DataService): RouteSet | null {
    const { routes, routeStamp = "", key } = service;
    if (routes === undefined) return null;
    const known = this.#sets.get(key);
    if (known !== undefined && known.stamp === routeStamp) return known.set;
    const set = new RouteSet(routes, this.#onProblem);
    this.#sets.set(key, { stamp: routeStamp, set });
    return set;
  }

  forget(service: DataService): void {
    this.#sets.delete(service.key);
  }

  partsOf(compiled: CompiledRule): RouteParts {
    let parts = this.#parts.get(compiled);
    if (parts === undefined) {
      parts = this.#compile(compiled);
      this.#parts.set(compiled, parts);
    }
    return parts;
  }

  /** A policy by the rule that it is made of; null for none. */
  retryOf(rule: RetryRule | undefined): RetryPolicy | null {
    if (rule === undefined) return null;
    let policy = this.#retries.get(rule);
    if (policy === undefined) {
      policy = new RetryPolicy(rule);
      this.#retries.set(rule, policy);
    }
    return policy;
  }

  /** Limits by the list that holds them. */
  limiterOf(rules: readonly RateLimitRule[]): RateLimiter<RouteRequest> {
    let limiter = this.#limiters.get(rules);
    if (limiter === undefined) {
      limiter = new RateLimiter(rules, this.#buckets, (matches, request) =>
        this.#matches(matches, request),
      );
      this.#limiters.set(rules, limiter);
    }
    return limiter;
  }

  #matches(matches: readonly RouteMatch[], request: RouteRequest): boolean {
    let matcher = this.#matchers.get(matches);
    if (matcher === undefined) {
      matcher = new RequestMatcher(matches, (reason) => this.#onProblem("a rate limit", reason));
      this.#matchers.set(matches, matcher);
    }
    return matcher.matches(request);
  }

  #compile(compiled: CompiledRule): RouteParts {
    const { rule } = compiled;
    const { action, rateLimits = [] } = rule;
    const problem = (reason: string) => this.#onProblem(compiled.source, reason);
    const backends = action.kind === "forward" ? action.backends : [];
    return {
      compiled,
      rule,
      retry: rule.retry === undefined ? null : new RetryPolicy(rule.retry),
      faults: rule.fault === undefined ? null : new Faults(rule.fault),
      cors: rule.cors === undefined ? null : new Cors(rule.cors, problem),
      limiter: rateLimits.length === 0 ? null : this.limiterOf(rateLimits),
      backends: backends.map((backend) => backendParts(rule, backend, backend.failover)),
      own: hasEdits(rule) ? backendParts(rule, { service: null }) : null,
      mirrors: rule.mirrors ?? [],
    };
  }
}

function hasEdits({ requestHeaders, responseHeaders, rewrite }: RouteRule): boolean {
  return [requestHeaders, responseHeaders, rewrite].some((edit) => edit !== undefined);
}

function backendParts(
  rule: RouteRule,
  backend: Omit<Backend, "weight" | "failover">,
  failover: Backend["failover"] = [],
): BackendParts {
  const hasRewrite = rule.rewrite !== undefined || backend.rewrite !== undefined;
  return {
    backend,
    rewrite: hasRewrite ? { ...rule.rewrite, ...backend.rewrite } : null,
    failover: failover.map((one) => backendParts(rule, one)),
    requestEdits: HeadEdits.of([rule.requestHeaders, backend.requestHeaders]),
    responseEdits: HeadEdits.of([rule.responseHeaders, backend.responseHeaders]),
  };
}
