import { isDeepStrictEqual } from "node:util";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../../core/clock.ts";
import {
  type AuthorizationPolicy,
  covers,
  type IntentionsPolicy,
  type PeerPolicy,
  type Policies,
  type Policy,
  type PolicyTarget,
  type RequestAuthenticationPolicy,
} from "../../../core/policy.ts";
import { type CompiledPolicy, compilePolicy } from "./compiled-policy.ts";
import { Facts } from "./facts.ts";
import type { AuthorizationRequest, Verdict } from "./request.ts";
import { RuleCompiler } from "./rule.ts";
import { RuleTokenChecker, type TokenCache } from "./token-checker.ts";
import type { TokenChecker } from "./token-result.ts";
import { compileTokenRules, type KnownKeys, type TokenRule } from "./token-rules.ts";
import { CompiledAuthorizer, type OnTargetAudit, type PolicyTrial } from "./workload-authorizer.ts";

export type { AuthorizationRequest, TokenClaims, Verdict } from "./request.ts";
export type { TokenChecker, TokenPlace, TokenResult } from "./token-result.ts";

/** Workloads whose compiled policies are kept. */
const KEPT_TARGETS = 4_096;
/** Characters of tokens that are kept in the cache, plus what each entry needs besides. */
const CACHE_CHARACTERS = 8_388_608;
const ENTRY_CHARACTERS = 2_048;

/** All that policies say about one workload. */
export interface WorkloadAuthorizer {
  /** Nothing is to be checked: no policy covers the workload, mutual TLS is up to the caller, tokens are not read. */
  readonly open: boolean;
  /** Does a rule read what differs from request to request: HTTP attributes, tokens, X-Forwarded-For? */
  readonly ofHttp: boolean;
  /** Null: tokens are not read. */
  readonly tokens: TokenChecker | null;
  /** What callers of that port of the workload must do. */
  mtls(port: number): "strict" | "permissive" | "disable";
  decide(request: AuthorizationRequest): Verdict;
  /** For people: what each policy of rules makes of a request, and the policies on mutual TLS. */
  trials(request: AuthorizationRequest): readonly PolicyTrial[];
  readonly peers: readonly PeerPolicy[];
}

export interface AuthorizerDeps {
  /** Wall-clock time, ms since the epoch: tokens expire by it. */
  readonly clock: Clock;
  /** Trust domain of the mesh, which `cluster.local` in a policy stands for too. Default: `cluster.local`. */
  readonly trustDomain?: string;
  /** An `audit` policy has matched, or one in dry run would have decided. The request lasts for the call only. */
  readonly onAudit: OnTargetAudit;
  /** A policy cannot be used as it is, and fails closed. Told with each `apply` that changes something. */
  onProblem?(policy: string, reason: string): void;
}

interface Compiled<Source, Result> {
  readonly policy: Source;
  readonly result: Result;
}

interface CoveredTarget {
  readonly target: PolicyTarget;
  readonly authorizer: WorkloadAuthorizer;
}

/**
 * Decides who may do what with the workloads of this host: Istio's AuthorizationPolicy, PeerAuthentication and
 * RequestAuthentication, compiled once and indexed, so that a decision costs the same with few and with many policies.
 */
export class Authorizer {
  readonly #deps: AuthorizerDeps;
  readonly #compiler: RuleCompiler;
  readonly #facts = new Facts();
  readonly #targets = new LRUCache<string, CoveredTarget>({ max: KEPT_TARGETS });
  readonly #cache: TokenCache = new LRUCache({
    maxSize: CACHE_CHARACTERS,
    sizeCalculation: (accepted, token) => (token.length + ENTRY_CHARACTERS) * accepted.length,
  });
  #policies: Policies = { byKey: {}, jwks: {} };
  #peers: readonly PeerPolicy[] = [];
  #rules = new Map<string, CompiledPolicy>();
  #tokens: readonly Compiled<RequestAuthenticationPolicy, readonly TokenRule[]>[] = [];
  #keys: KnownKeys = new Map();
  #version = 0;

  constructor(deps: AuthorizerDeps) {
    this.#deps = deps;
    this.#compiler = new RuleCompiler(deps.trustDomain ?? "cluster.local");
  }

  /** Rises with each `apply` that changed something: what `for` gave before is out of date then. */
  get version(): number {
    return this.#version;
  }

  /** Replaces all policies. Tokens that were accepted before are checked again. */
  apply(policies: Policies): void {
    if (isDeepStrictEqual(policies, this.#policies)) return;
    this.#policies = policies;
    this.#version += 1;
    this.#targets.clear();
    this.#cache.clear();
    const entries = Object.entries(policies.byKey).sort(([a], [b]) => (a < b ? -1 : 1));
    this.#peers = entries.flatMap(([, policy]) => (policy.kind === "peer" ? [policy] : []));
    this.#rules = this.#compileRules(entries);
    this.#tokens = this.#compileTokens(entries);
    this.#reportProblems();
  }

  /** Compiled when first asked for, and kept until the policies or the target change. */
  for(target: PolicyTarget): WorkloadAuthorizer {
    const known = this.#targets.get(target.key);
    if (
      known !== undefined &&
      (known.target === target || isDeepStrictEqual(known.target, target))
    ) {
      return known.authorizer;
    }
    const authorizer = this.#compile(target);
    this.#targets.set(target.key, { target, authorizer });
    return authorizer;
  }

  #compile(target: PolicyTarget): WorkloadAuthorizer {
    const tokenRules = this.#tokens
      .filter(({ policy }) => covers(policy.scope, target))
      .flatMap(({ result }) => result);
    const covering = {
      target,
      peers: this.#peers.filter(({ scope }) => covers(scope, target)),
      rules: [...this.#rules.values()].filter(({ policy }) => covers(policy.scope, target)),
      tokens:
        tokenRules.length === 0
          ? null
          : new RuleTokenChecker(tokenRules, this.#cache, this.#deps.clock),
    };
    return new CompiledAuthorizer(covering, this.#facts, this.#deps.onAudit);
  }

  /** A policy that is as it was keeps its compiled form. */
  #compileRules(entries: readonly [string, Policy][]): Map<string, CompiledPolicy> {
    return new Map(
      entries.flatMap(([key, policy]) => {
        if (!hasRules(policy)) return [];
        const before = this.#rules.get(key);
        const isSame = before !== undefined && isDeepStrictEqual(before.policy, policy);
        return [[key, isSame ? before : compilePolicy(policy, this.#compiler)]];
      }),
    );
  }

  #compileTokens(entries: readonly [string, Policy][]) {
    const keys: KnownKeys = new Map();
    const compiled = entries.flatMap(([, policy]) => {
      if (policy.kind !== "request-authentication") return [];
      const result = compileTokenRules(policy, this.#policies.jwks, this.#keys, keys);
      return [{ policy, result }];
    });
    this.#keys = keys;
    return compiled;
  }

  #reportProblems(): void {
    for (const { policy, problem } of this.#rules.values()) {
      if (problem !== "") this.#deps.onProblem?.(policy.source, problem);
    }
    for (const { policy, result } of this.#tokens) {
      for (const { rule, problem } of result) {
        if (problem !== "") {
          this.#deps.onProblem?.(policy.source, `issuer ${rule.issuer}: ${problem}`);
        }
      }
    }
  }
}

function hasRules(policy: Policy): policy is AuthorizationPolicy | IntentionsPolicy {
  return policy.kind === "authorization" || policy.kind === "intentions";
}
