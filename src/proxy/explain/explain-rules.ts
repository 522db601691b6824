import type { RetryRule, RouteRule } from "../../core/traffic.ts";
import type { Cluster } from "../clusters.ts";
import type { Plane } from "../plane.ts";
import type { RouteParts } from "../route-parts.ts";
import {
  explainRoutes,
  type RouteSubject,
  type RouteTrial,
} from "../routing/match/explain-routes.ts";
import type { StepList } from "./step-list.ts";

/** Which rule of the called service holds and why, and of a ServiceProfile besides. */
export function explainRules(
  { service }: Cluster,
  subject: RouteSubject,
  parts: RouteParts | null,
  list: StepList,
): void {
  const tables = service.routes ?? [];
  if (tables.length === 0) {
    list.add("route", `to ${service.key} itself`, "no resource routes its calls");
    return;
  }
  const trial = explainRoutes(tables, "route", subject);
  const winner = trial.found ? trial.rules.at(-1) : undefined;
  const details = [...tableLines(trial), ...ruleLines(trial)];
  if (winner !== undefined && parts !== null) {
    list.add("route", `rule ${winner.rule}: ${actionText(parts.rule)}`, matchText(winner), {
      resource: winner.source,
      details,
    });
  } else if (trial.tables.every(({ left }) => left !== null)) {
    list.add("route", `to ${service.key} itself`, "no table of rules is for this call", {
      details,
    });
  } else {
    const resource = trial.tables.find(({ left }) => left === null)?.source ?? null;
    list.add(
      "route",
      trial.otherwise === "refuse" ? "refused: ROUTE_NOT_FOUND" : `to ${service.key} itself`,
      "no rule matches",
      { resource, details },
    );
  }
  const profile = explainRoutes(tables, "profile", subject);
  const last = profile.found ? profile.rules.at(-1) : undefined;
  if (last !== undefined) {
    list.add("route", `profile rule ${last.rule} adds retries and timeouts`, matchText(last), {
      resource: last.source,
      details: ruleLines(profile),
    });
  }
}

function tableLines({ tables }: RouteTrial): string[] {
  return tables.map(({ source, left }) => `${source} ${left === null ? "counts" : left}`);
}

function ruleLines({ rules }: RouteTrial): string[] {
  return rules.map(
    ({ source, rule, failed }) =>
      `${source} rule ${rule} ${failed.length === 0 ? "matches" : `does not match: ${failed.join(", ")}`}`,
  );
}

function matchText({ asks }: { readonly asks: readonly string[] }): string {
  return asks.length === 0 ? "it matches everything" : `matches ${asks.join(", ")}`;
}

function actionText({ action }: RouteRule): string {
  switch (action.kind) {
    case "redirect":
      return `redirect with ${action.redirect.status}`;
    case "respond":
      return `answer ${action.status}`;
    case "forward":
      return action.backends.length === 0
        ? "to the service itself"
        : `to ${action.backends.length === 1 ? "one backend" : `${action.backends.length} backends by weight`}`;
  }
}

/** Chances of faults, rates, copies: what a rule does besides routing. */
export function explainEffects({ rule, compiled }: RouteParts, list: StepList): void {
  const { fault, mirrors = [], action } = rule;
  const resource = compiled.source;
  if (fault?.delay !== undefined) {
    const { ms, percent } = fault.delay;
    list.add("fault", `${percent} % are delayed by ${ms} ms`, "the rule asks for it", { resource });
  }
  if (fault?.abort !== undefined) {
    const { status, percent } = fault.abort;
    list.add("fault", `${percent} % are answered with ${status}`, "the rule asks for it", {
      resource,
    });
  }
  for (const { backend, percent } of mirrors) {
    const subset = backend.subset === undefined ? "" : ` subset ${backend.subset}`;
    list.add(
      "mirror",
      `${percent} % are copied to ${backend.service}${subset}`,
      "fire and forget",
      {
        resource,
      },
    );
  }
  if (action.kind !== "forward" || action.backends.length === 0) return;
  const total = action.backends.reduce((sum, { weight }) => sum + weight, 0);
  const details = action.backends.map(({ service, subset, port, weight }) => {
    const share = action.backends.length === 1 ? 100 : total === 0 ? 0 : (100 * weight) / total;
    const place = `${service ?? "an invalid reference"}${subset === undefined ? "" : ` subset ${subset}`}${port === undefined ? "" : ` port ${port}`}`;
    return `${Math.round(share * 10) / 10} % to ${place} (weight ${weight})`;
  });
  list.add("backend", details[0] ?? "none", "by weight, in turn", { resource, details });
}

/** Fields of a cluster's settings that say how it is called, with the resources that say so. */
export type SaysSo = (cluster: Cluster, field: string) => string | null;

export interface TriesPlan {
  readonly retry: { readonly rule: RetryRule } | null;
  readonly requestMs: number;
  readonly perTryMs: number;
  readonly idleMs: number;
  readonly parts: RouteParts | null;
}

/** How often and how long it is tried, and who says so: the rule, the service's policy or the daemon's settings. */
export function explainTries(
  { config }: Plane,
  plan: TriesPlan,
  cluster: Cluster,
  says: SaysSo,
  list: StepList,
): void {
  const { retry, parts, requestMs, perTryMs, idleMs } = plan;
  const retries = sayer(retry !== null, parts?.rule.retry, "retry", parts, cluster, says);
  const { budgetPercent } = config.retries;
  list.add(
    "retries",
    retry === null
      ? `as the error table says, within ${budgetPercent} % of the service's requests`
      : `${retry.rule.attempts} more tries on ${retry.rule.on.join(", ") || "nothing"}`,
    retries.because,
    retries,
  );
  const isSaid = requestMs > 0 || perTryMs > 0 || idleMs >= 0;
  const times = sayer(isSaid, parts?.rule.timeouts, "timeouts", parts, cluster, says);
  const limits = [
    requestMs > 0 ? `whole request ${requestMs} ms` : "no limit of the whole request",
    ...(perTryMs > 0 ? [`each try ${perTryMs} ms`] : []),
    `idle ${idleMs >= 0 ? idleMs : config.timeouts.streamIdleMs} ms`,
  ];
  list.add("timeouts", limits.join(", "), times.because, times);
}

function sayer(
  isSaid: boolean,
  own: object | undefined,
  field: string,
  parts: RouteParts | null,
  cluster: Cluster,
  says: SaysSo,
): { readonly because: string; readonly resource: string | null } {
  if (!isSaid) return { because: "the daemon's settings", resource: null };
  if (own !== undefined) {
    return { because: "the rule says so", resource: parts?.compiled.source ?? null };
  }
  return {
    because: "the service's policy, or the request itself",
    resource: says(cluster, field),
  };
}
