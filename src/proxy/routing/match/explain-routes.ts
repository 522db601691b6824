import type { FieldMatch, RouteMatch, RouteTable, TextMatch } from "../../../core/traffic.ts";
import { CompiledRule } from "./compiled-rule.ts";
import { Condition } from "./condition.ts";
import { RequestFacts } from "./request-facts.ts";
import type { RouteConnection, RouteRequest } from "./route-request.ts";
import { candidatesOf, inForce, type RouteCandidate } from "./route-set.ts";
import { isForCaller, isForPort } from "./table-scopes.ts";

/** A table of rules, and whether it counts for a request. */
export interface TableTrial {
  readonly source: string;
  /** Why it does not count; null: it does. */
  readonly left: string | null;
}

/** One match of one rule, tried. */
export interface RuleTrial {
  readonly source: string;
  /** Name of the rule, or `#N` by its place in its table. */
  readonly rule: string;
  /** What the match asks for and the request does not have; empty: it matches. */
  readonly failed: readonly string[];
  /** What it asks for, all of it. */
  readonly asks: readonly string[];
}

export interface RouteTrial {
  readonly tables: readonly TableTrial[];
  /** In the order in which they count, up to the first that matches. */
  readonly rules: readonly RuleTrial[];
  /** Of the rules that were tried the last one matches. */
  readonly found: boolean;
  /** What becomes of a request that no rule matches. */
  readonly otherwise: "refuse" | "service";
}

/** What is tried: a request of HTTP, or a connection. */
export type RouteSubject =
  | { readonly protocol: "http"; readonly request: RouteRequest }
  | { readonly protocol: "tcp"; readonly request: RouteConnection };

const NOBODY_MINDS = () => undefined;

/**
 * How the rule for a request is found among the tables of one role: which of them count and why others do not, and what
 * each rule asks for that the request lacks. It goes by the selection, order and conditions of `RouteSet`, one by one
 * instead of through its index.
 */
export function explainRoutes(
  tables: readonly RouteTable[],
  role: RouteTable["role"],
  subject: RouteSubject,
): RouteTrial {
  const { namespace } = subject.request.source;
  const { port } = subject.request;
  const compiled = tables.map((table) => ({
    table,
    candidates: table.rules.flatMap((rule, index) =>
      candidatesOf(rule, new CompiledRule(rule, index, table, Math.random), table, NOBODY_MINDS),
    ),
  }));
  const fitting = compiled.filter(
    ({ table }) =>
      table.role === role &&
      table.protocol === subject.protocol &&
      isForCaller(table, namespace) &&
      isForPort(table, port),
  );
  const { together, candidates, refuses } = inForce(fitting);
  const counting = new Set(together.map(({ table }) => table));
  const rank = together[0]?.table.rank ?? 0;
  const shown = tables.filter((table) => table.role === role);
  const rules = trialsOf(candidates ?? [], subject);
  return {
    tables: shown.map((table) => ({
      source: table.source,
      left: counting.has(table) ? null : reasonOf(table, subject, rank),
    })),
    rules,
    found: rules.at(-1)?.failed.length === 0,
    otherwise: refuses ? "refuse" : "service",
  };
}

function reasonOf(table: RouteTable, { protocol, request }: RouteSubject, rank: number): string {
  const { namespace } = request.source;
  if (table.protocol !== protocol) return `is for ${table.protocol}, and this is ${protocol}`;
  if (!isForCaller(table, namespace)) {
    return `is for callers in ${table.clients?.join(", ")}, and this one is in ${namespace}`;
  }
  if (!isForPort(table, request.port)) return `is for port ${table.port}, not ${request.port}`;
  if (table.rank < rank) return `has rank ${table.rank}; another table has ${rank}`;
  return "an older table of the same rank counts alone";
}

function trialsOf(candidates: readonly RouteCandidate[], subject: RouteSubject): RuleTrial[] {
  const trials: RuleTrial[] = [];
  const facts = new RequestFacts();
  for (const { condition } of candidates) {
    for (const name of condition?.params ?? []) facts.paramNames.add(name);
  }
  for (const { found, match, source, condition } of candidates) {
    load(facts, subject);
    const parts = match === null ? [] : partsOf(match);
    const holds = condition === null || condition.matches(facts);
    const failed = holds ? [] : failing(parts, subject, facts);
    const rule = found.rule.rule.name || found.rule.label.slice(source.length);
    trials.push({ source, rule, failed, asks: parts.map(({ text }) => text) });
    facts.release();
    if (holds) break;
  }
  return trials;
}

function load(facts: RequestFacts, subject: RouteSubject): void {
  if (subject.protocol === "http") facts.load(subject.request);
  else facts.loadConnection(subject.request);
}

interface Part {
  readonly match: RouteMatch;
  readonly text: string;
}

function failing(
  parts: readonly Part[],
  { protocol }: RouteSubject,
  facts: RequestFacts,
): string[] {
  const missed = parts.filter(({ match }) => !new Condition(match, protocol).matches(facts));
  return missed.map(({ text }) => text);
}

/** The match, cut into matches that each ask for one thing. */
function partsOf(match: RouteMatch): Part[] {
  const parts: Part[] = [];
  for (const name of ["method", "path", "scheme", "authority"] as const) {
    const text = match[name];
    if (text !== undefined)
      parts.push({ match: { [name]: text }, text: `${name} ${textOf(text)}` });
  }
  for (const field of match.headers ?? []) {
    parts.push({ match: { headers: [field] }, text: `header ${fieldText(field)}` });
  }
  for (const field of match.query ?? []) {
    parts.push({ match: { query: [field] }, text: `parameter ${fieldText(field)}` });
  }
  const { port, sourceNamespace, sourceLabels = {}, destinationSubnets } = match;
  if (port !== undefined) parts.push({ match: { port }, text: `port ${port}` });
  if (sourceNamespace !== undefined) {
    parts.push({ match: { sourceNamespace }, text: `caller in namespace ${sourceNamespace}` });
  }
  for (const [name, value] of Object.entries(sourceLabels)) {
    parts.push({
      match: { sourceLabels: { [name]: value } },
      text: `caller with ${name}=${value}`,
    });
  }
  if (destinationSubnets !== undefined) {
    parts.push({ match: { destinationSubnets }, text: `address in ${destinationSubnets.join()}` });
  }
  return parts;
}

function fieldText({ name, match, invert }: FieldMatch): string {
  return `${name} ${invert ? "not " : ""}${textOf(match)}`;
}

function textOf(match: TextMatch): string {
  if (match.kind === "present") return "is there";
  const fold = "ignoreCase" in match && match.ignoreCase ? " (any case)" : "";
  return `${match.kind} ${JSON.stringify(match.value)}${fold}`;
}
