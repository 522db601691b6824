import type { CompiledPolicy } from "./compiled-policy.ts";
import type { Facts } from "./facts.ts";
import type { Verdict } from "./request.ts";
import { type Entry, RuleIndex } from "./rule-index.ts";

export const ALLOWED: Verdict = Object.freeze({ allowed: true, policy: "" });
/** Some policy allows something, and none allows this. */
const NOT_ALLOWED: Verdict = Object.freeze({ allowed: false, policy: "" });

/** A policy that only reports has matched, or one in dry run would have decided. */
export type OnAudit = (policy: string, dryRun: boolean, wouldDeny: boolean) => void;

/** Consul's intentions: which effect the first rule has that matches. */
interface Intentions {
  readonly policy: CompiledPolicy;
  readonly rules: RuleIndex<"allow" | "deny">;
}

/**
 * Policies of one workload, for one kind of traffic. Istio's order: what a `deny` policy matches is denied; then the
 * first intention that matches decides; then, where there is any `allow` policy, one of them must match. `audit`
 * policies and those in dry run are reported and change nothing.
 */
export class Decision {
  readonly #deny: RuleIndex<CompiledPolicy>;
  readonly #intentions: readonly Intentions[];
  /** Null: no policy allows anything, so that all is allowed that is not denied. */
  readonly #allow: RuleIndex<CompiledPolicy> | null;
  readonly #audit: RuleIndex<CompiledPolicy>;
  readonly #dryDeny: RuleIndex<CompiledPolicy>;
  readonly #dryAllow: RuleIndex<CompiledPolicy>;
  /** The first of the `allow` policies in dry run: it is named where none of them matches. */
  readonly #dryAllower: CompiledPolicy | null;
  readonly #reports: boolean;

  constructor(policies: readonly CompiledPolicy[], traffic: "http" | "tcp") {
    const select = (action: "allow" | "deny" | "audit", dryRun?: boolean) =>
      policies.filter(
        ({ policy }) =>
          policy.kind === "authorization" &&
          policy.action === action &&
          (dryRun === undefined || policy.dryRun === dryRun),
      );
    const index = (of: readonly CompiledPolicy[]) => new RuleIndex(of.flatMap(entriesOf(traffic)));
    const allowers = select("allow", false);
    this.#deny = index(select("deny", false));
    this.#allow = allowers.length === 0 ? null : index(allowers);
    this.#intentions = policies.flatMap((policy) => intentionsOf(policy, traffic));
    this.#audit = index(select("audit"));
    this.#dryDeny = index(select("deny", true));
    this.#dryAllow = index(select("allow", true));
    this.#dryAllower = select("allow", true)[0] ?? null;
    this.#reports = this.#audit.size > 0 || this.#dryDeny.size > 0 || this.#dryAllower !== null;
  }

  decide(facts: Facts, onAudit: OnAudit): Verdict {
    const verdict = this.#verdict(facts);
    if (this.#reports) this.#report(facts, verdict, onAudit);
    return verdict;
  }

  #verdict(facts: Facts): Verdict {
    const denying = this.#deny.size === 0 ? null : this.#deny.find(facts);
    if (denying !== null) return denying.denial;
    const intended = this.#intentions.length === 0 ? null : this.#intended(facts);
    if (intended !== null) return intended;
    if (this.#allow === null) return ALLOWED;
    return this.#allow.find(facts)?.approval ?? NOT_ALLOWED;
  }

  /** One that denies wins over one that allows. */
  #intended(facts: Facts): Verdict | null {
    let verdict: Verdict | null = null;
    for (const { policy, rules } of this.#intentions) {
      const effect = rules.findFirst(facts) ?? policy.otherwise;
      if (effect === "deny") return policy.denial;
      verdict ??= policy.approval;
    }
    return verdict;
  }

  #report(facts: Facts, verdict: Verdict, onAudit: OnAudit): void {
    for (const { policy } of this.#audit.findAll(facts)) {
      onAudit(policy.source, policy.kind === "authorization" && policy.dryRun, false);
    }
    for (const { policy } of this.#dryDeny.findAll(facts)) onAudit(policy.source, true, true);
    if (this.#dryAllower === null) return;
    const allowing = this.#dryAllow.find(facts);
    const isAllowedAnyway = verdict.allowed && verdict !== ALLOWED;
    if (allowing !== null) onAudit(allowing.policy.source, true, false);
    else if (!isAllowedAnyway) onAudit(this.#dryAllower.policy.source, true, true);
  }
}

function entriesOf(traffic: "http" | "tcp"): (policy: CompiledPolicy) => Entry<CompiledPolicy>[] {
  return (policy) => policy[traffic].map(({ rule }) => ({ rule, owner: policy }));
}

function intentionsOf(policy: CompiledPolicy, traffic: "http" | "tcp"): Intentions[] {
  if (policy.policy.kind !== "intentions") return [];
  const entries = policy[traffic].map(({ rule, effect }) => ({ rule, owner: effect }));
  return [{ policy, rules: new RuleIndex(entries) }];
}
