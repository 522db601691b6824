import { EARLY_TABLE } from "./early-redirect.ts";
import { commentOf, iptables, type Live, type LiveFamily } from "./live.ts";
import type { FamilyPlan, Plan, PlanChain } from "./plan.ts";
import { routingKey } from "./transition.ts";

/** Something that is not as planned. `text` is a full sentence for the operator. */
export interface Difference {
  readonly kind: "missing" | "foreign" | "order" | "stale";
  /** Id of the rule, name of the chain or set. */
  readonly subject: string;
  readonly text: string;
}

/** Compares what is in the kernel with the plan. Empty: everything is as planned. */
export function differences(plan: Plan, live: Live): Difference[] {
  const found: Difference[] = [];
  for (const family of plan.families) {
    const now = live.families.find((candidate) => candidate.family === family.family);
    if (now !== undefined) found.push(...familyDifferences(family, plan.hash, now));
    else found.push(missing(`IPv${family.family}`, `IPv${family.family} tables cannot be read.`));
    for (const set of family.sets) {
      if (live.sets.includes(set.name)) continue;
      found.push(missing(set.name, `The ipset ${set.name} (${set.purpose}) is missing.`));
    }
  }
  for (const now of live.families) {
    const planned = plan.families.some((family) => family.family === now.family);
    if (!planned && now.chains.length + now.jumps.length + now.routingRules.length > 0) {
      found.push(stale(`IPv${now.family}`, `IPv${now.family} rules are left from another spec.`));
    }
  }
  return found;
}

/** The differences of one family, sets left out. */
export function familyDifferences(plan: FamilyPlan, hash: string, now: LiveFamily): Difference[] {
  const found = plan.chains.flatMap((chain) => chainDifferences(chain, hash, now));
  for (const live of now.chains) {
    const planned = plan.chains.some((c) => c.table === live.table && c.name === live.name);
    if (planned) continue;
    const where = `${iptables(now.family)} ${live.table} ${live.name}`;
    found.push(stale(live.name, `The chain ${where} is not part of the plan.`));
  }
  found.push(...jumpDifferences(plan, hash, now));
  found.push(...routingDifferences(plan, now), ...earlyDifferences(plan, now));
  return found;
}

function chainDifferences(chain: PlanChain, hash: string, now: LiveFamily): Difference[] {
  const where = `${iptables(now.family)} ${chain.table} ${chain.name}`;
  const live = now.chains.find((c) => c.table === chain.table && c.name === chain.name);
  if (live === undefined) return [missing(chain.name, `The chain ${where} is missing.`)];
  const liveIds = live.rules.map((rule) => {
    const comment = commentOf(rule);
    return comment !== null && comment.hash === hash ? comment.id : null;
  });
  const found: Difference[] = [];
  for (const rule of chain.rules) {
    if (liveIds.includes(rule.id)) continue;
    found.push(missing(rule.id, `The rule "${rule.id}" of ${where} is missing: ${rule.text}`));
  }
  const planned = chain.rules.map((rule) => rule.id);
  for (const [at, id] of liveIds.entries()) {
    if (id !== null && planned.includes(id)) continue;
    const rule = live.rules[at] ?? "";
    const text = `A rule in ${where} is not from this plan: ${rule}`;
    found.push({ kind: "foreign", subject: chain.name, text });
  }
  if (found.length === 0 && liveIds.join(" ") !== planned.join(" ")) {
    const text = `The rules of ${where} are in another order or doubled: ${liveIds.join(", ")}; planned: ${planned.join(", ")}.`;
    found.push({ kind: "order", subject: chain.name, text });
  }
  return found;
}

function jumpDifferences(plan: FamilyPlan, hash: string, now: LiveFamily): Difference[] {
  const found: Difference[] = [];
  for (const jump of plan.jumps) {
    const where = `${iptables(now.family)} ${jump.table} ${jump.from}`;
    const live = now.jumps.filter((j) => j.table === jump.table && j.from === jump.from);
    const ours = live.filter((j) => commentOf(j.rule)?.hash === hash);
    if (ours.length === 0) {
      found.push(missing(jump.id, `The jump from ${where} to ${jump.to} is missing.`));
    }
    for (const extra of live.filter((j) => !ours.includes(j) || j !== ours[0])) {
      found.push(stale(jump.id, `A jump from ${where} is not from this plan: ${extra.rule}`));
    }
    const position = ours[0]?.position ?? 1;
    if (position === 1) continue;
    const text = `The jump from ${where} to ${jump.to} stands at place ${position}: the rules before it see the packets first.`;
    found.push({ kind: "order", subject: jump.id, text });
  }
  for (const live of now.jumps) {
    if (plan.jumps.some((j) => j.table === live.table && j.from === live.from)) continue;
    const text = `A jump of another spec is left in ${live.table} ${live.from}: ${live.rule}`;
    found.push(stale(live.from, text));
  }
  return found;
}

function routingDifferences(plan: FamilyPlan, now: LiveFamily): Difference[] {
  const wanted = plan.routing === null ? [] : [routingKey(plan.routing)];
  const found: Difference[] = [];
  for (const key of wanted) {
    const table = key.split(" ")[1] ?? "";
    if (!now.routingRules.includes(key)) {
      const text = `The routing rule is missing: ip -${now.family} rule add ${plan.routing?.rule.join(" ")}`;
      found.push(missing("ip-rule", text));
    }
    if (!now.routeTables.includes(table)) {
      const text = `The local route is missing: ip -${now.family} route add ${plan.routing?.route.join(" ")}`;
      found.push(missing("ip-route", text));
    }
  }
  for (const key of now.routingRules) {
    if (!wanted.includes(key)) {
      found.push(stale("ip-rule", `A routing rule of another spec is left: ${key}.`));
    }
  }
  return found;
}

function earlyDifferences(plan: FamilyPlan, now: LiveFamily): Difference[] {
  const wanted = plan.early?.chains ?? [];
  const where = `nft ${now.family === 4 ? "ip" : "ip6"} ${EARLY_TABLE}`;
  return [
    ...wanted
      .filter((chain) => !now.early.includes(chain))
      .map((chain) => missing(chain, `The chain ${where} ${chain} is missing.`)),
    ...now.early
      .filter((chain) => !wanted.includes(chain))
      .map((chain) => stale(chain, `The chain ${where} ${chain} is not part of the plan.`)),
  ];
}

function missing(subject: string, text: string): Difference {
  return { kind: "missing", subject, text };
}

function stale(subject: string, text: string): Difference {
  return { kind: "stale", subject, text };
}
