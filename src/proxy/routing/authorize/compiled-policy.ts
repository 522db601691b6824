import type { AuthorizationPolicy, IntentionsPolicy } from "../../../core/policy.ts";
import type { Verdict } from "./request.ts";
import { type Rule, type RuleCompiler, ruleOfTcp, ruleVaries } from "./rule.ts";

/** Matches everything. */
const ANYTHING: Rule = { from: [], to: [], when: [] };

interface EffectiveRule {
  readonly effect: "allow" | "deny";
  readonly rule: Rule;
}

/** A policy of rules, made ready for HTTP requests and for opaque TCP. */
export interface CompiledPolicy {
  readonly policy: AuthorizationPolicy | IntentionsPolicy;
  readonly http: readonly EffectiveRule[];
  readonly tcp: readonly EffectiveRule[];
  /** What happens where no rule matches, in intentions. */
  readonly otherwise: "allow" | "deny";
  readonly approval: Verdict;
  readonly denial: Verdict;
  /** Can two requests of one connection be judged differently? */
  readonly varies: boolean;
  /** Why it cannot be used; `""`: it can. */
  readonly problem: string;
}

/**
 * A policy that cannot be used fails closed: one that denies, and intentions, deny everything; one that allows allows
 * nothing; one that audits reports nothing.
 */
export function compilePolicy(
  policy: AuthorizationPolicy | IntentionsPolicy,
  compiler: RuleCompiler,
): CompiledPolicy {
  const { rules, problem } = compileRules(policy, compiler);
  return {
    policy,
    http: rules,
    tcp: rules.flatMap(({ effect, rule }) => {
      const rest = ruleOfTcp(rule, effect);
      return rest === null ? [] : [{ effect, rule: rest }];
    }),
    otherwise: policy.kind === "intentions" && problem === "" ? policy.otherwise : "deny",
    approval: Object.freeze({ allowed: true, policy: policy.source }),
    denial: Object.freeze({ allowed: false, policy: policy.source }),
    varies: rules.some(({ rule }) => ruleVaries(rule)),
    problem,
  };
}

function compileRules(
  policy: AuthorizationPolicy | IntentionsPolicy,
  compiler: RuleCompiler,
): { readonly rules: readonly EffectiveRule[]; readonly problem: string } {
  try {
    const rules =
      policy.kind === "intentions"
        ? policy.rules.map((rule) => ({ effect: rule.effect, rule: compiler.compile(rule) }))
        : policy.rules.map((rule) => ({
            effect: effectOf(policy.action),
            rule: compiler.compile(rule),
          }));
    return { rules, problem: "" };
  } catch (error) {
    const denies = policy.kind === "authorization" && policy.action === "deny";
    const rules = denies ? [{ effect: "deny", rule: ANYTHING } as const] : [];
    return { rules, problem: error instanceof Error ? error.message : String(error) };
  }
}

/** Audit policies lose what opaque TCP does not have, as those that deny do (Istio's `checkError`). */
function effectOf(action: AuthorizationPolicy["action"]): "allow" | "deny" {
  return action === "allow" ? "allow" : "deny";
}
