import { EARLY_TABLE } from "./early-redirect.ts";
import { commentOf, iptables, type LiveFamily, type OwnJump, TABLES } from "./live.ts";
import {
  type EarlyPlan,
  type Family,
  type FamilyPlan,
  ROUTE_PROTOCOL,
  type RoutingPlan,
  RULE_PRIORITY,
  type Table,
} from "./plan.ts";

/** One command that changes something. Printed by a dry run, run by an installation. */
export interface Step {
  readonly command: string;
  readonly args: readonly string[];
  readonly stdin?: string;
}

/** What shall exist of ours for one family. */
export interface Wanted {
  readonly chains: readonly {
    readonly table: Table;
    readonly name: string;
    /** Without `-A NAME`. */
    readonly rules: readonly string[];
  }[];
  readonly jumps: readonly {
    readonly table: Table;
    readonly from: string;
    readonly rule: string;
  }[];
  /** `fwmark/mask table` of each routing rule; its table gets the local route. */
  readonly routing: readonly string[];
  readonly early: EarlyPlan;
}

const NOTHING_EARLY: EarlyPlan = { chains: [], lines: [] };

/** Nothing of ours. */
export const NOTHING: Wanted = { chains: [], jumps: [], routing: [], early: NOTHING_EARLY };

/**
 * The plan as text. A jump's comment also records whether its base chain (`+chain`) or table (`+table`) was
 * created for it, because nft creates them on first use: only so can a later process remove them again.
 */
export function wantedOf(plan: FamilyPlan, hash: string, now: LiveFamily): Wanted {
  const jumps = plan.jumps.map((jump) => {
    const created = createdMarks(jump, now);
    const comment = [`hostmesh:${hash}:${jump.id}`, ...created].join(" ");
    const rule = `${jump.match} -m comment --comment "${comment}" -j ${jump.to}`;
    return { table: jump.table, from: jump.from, rule };
  });
  const chains = plan.chains.map(({ table, name, rules }) => ({
    table,
    name,
    rules: rules.map((rule) => rule.text),
  }));
  const routing = plan.routing === null ? [] : [routingKey(plan.routing)];
  return { chains, jumps, routing, early: plan.early ?? NOTHING_EARLY };
}

/** What exists now, as something to go back to. */
export function wantedFromLive(live: LiveFamily): Wanted {
  const body = (rule: string): string => rule.replace(/^-A \S+ /, "");
  return {
    chains: live.chains.map((chain) => ({ ...chain, rules: chain.rules.map(body) })),
    jumps: live.jumps.map(({ table, from, rule }) => ({ table, from, rule: body(rule) })),
    routing: live.routingRules,
    // Those chains go last: they are still there, and need not be made again.
    early: { chains: live.early, lines: [] },
  };
}

/** `fwmark/mask table`, the form in which live rules are read. */
export function routingKey(routing: RoutingPlan): string {
  const after = (word: string): string => routing.rule[routing.rule.indexOf(word) + 1] ?? "";
  return `${after("fwmark")} ${after("lookup")}`;
}

/**
 * The commands that lead from what is there to what is wanted, in an order in which no packet is captured
 * before everything that it needs is in place, and none is still captured after that is gone.
 */
export function transition(now: LiveFamily, wanted: Wanted): Step[] {
  const { family } = now;
  const text = restoreText(now, wanted);
  const restore: Step[] =
    text === ""
      ? []
      : [{ command: `${iptables(family)}-restore`, args: ["--noflush", "-w", "5"], stdin: text }];
  return [
    ...routingAdditions(now, wanted),
    ...earlyAdditions(now, wanted),
    ...restore,
    ...earlyRemovals(now, wanted),
    ...routingRemovals(now, wanted),
    ...emptyTableRemoval(now, wanted),
  ];
}

/** Each table is one transaction; tables that go are written first, from the one that captures on. */
function restoreText(now: LiveFamily, wanted: Wanted): string {
  const isWanted = (table: Table): boolean => wanted.chains.some((chain) => chain.table === table);
  const isLive = (table: Table): boolean =>
    now.chains.some((chain) => chain.table === table) ||
    now.jumps.some((jump) => jump.table === table);
  const going = [...TABLES].reverse().filter((table) => isLive(table) && !isWanted(table));
  const coming = TABLES.filter(isWanted);
  return [...going, ...coming].map((table) => tableText(table, now, wanted)).join("");
}

function tableText(table: Table, now: LiveFamily, wanted: Wanted): string {
  const chains = wanted.chains.filter((chain) => chain.table === table);
  const names = new Set(chains.map((chain) => chain.name));
  const stale = now.chains.filter((chain) => chain.table === table && !names.has(chain.name));
  const lines = [`*${table}`];
  // Declaring a chain of one's own empties it (iptables-restore(8) with --noflush).
  for (const chain of [...chains, ...stale]) lines.push(`:${chain.name} - [0:0]`);
  for (const jump of now.jumps) {
    if (jump.table === table) lines.push(jump.rule.replace(/^-A /, "-D "));
  }
  for (const chain of chains) {
    for (const rule of chain.rules) lines.push(`-A ${chain.name} ${rule}`);
  }
  for (const jump of wanted.jumps) {
    if (jump.table === table) lines.push(`-I ${jump.from} 1 ${jump.rule}`);
  }
  for (const chain of stale) lines.push(`-X ${chain.name}`);
  return `${lines.join("\n")}\nCOMMIT\n`;
}

function routingAdditions(now: LiveFamily, wanted: Wanted): Step[] {
  const steps: Step[] = [];
  for (const key of wanted.routing) {
    const [, table = ""] = key.split(" ");
    if (!now.routeTables.includes(table))
      steps.push(ip(now.family, "route", "add", ...route(now.family, table)));
    if (!now.routingRules.includes(key))
      steps.push(ip(now.family, "rule", "add", ...ruleArgs(key)));
  }
  return steps;
}

function routingRemovals(now: LiveFamily, wanted: Wanted): Step[] {
  const steps: Step[] = [];
  for (const key of now.routingRules) {
    if (!wanted.routing.includes(key)) steps.push(ip(now.family, "rule", "del", ...ruleArgs(key)));
  }
  const tables = wanted.routing.map((key) => key.split(" ")[1]);
  for (const table of now.routeTables) {
    if (!tables.includes(table)) {
      steps.push(ip(now.family, "route", "del", ...route(now.family, table)));
    }
  }
  return steps;
}

/** They do nothing before the iptables rules set marks. */
function earlyAdditions(now: LiveFamily, { early }: Wanted): Step[] {
  const isThere = early.chains.every((chain) => now.early.includes(chain));
  if (isThere || early.lines.length === 0) return [];
  return [nft(early.lines)];
}

function earlyRemovals(now: LiveFamily, { early }: Wanted): Step[] {
  const stale = now.early.filter((chain) => !early.chains.includes(chain));
  if (stale.length === 0) return [];
  const table = `${now.family === 4 ? "ip" : "ip6"} ${EARLY_TABLE}`;
  if (early.chains.length === 0) return [nft([`delete table ${table}`])];
  return [
    nft(
      stale.flatMap((chain) => [`flush chain ${table} ${chain}`, `delete chain ${table} ${chain}`]),
    ),
  ];
}

function nft(lines: readonly string[]): Step {
  return { command: "nft", args: ["-f", "-"], stdin: `${lines.join("\n")}\n` };
}

function ip(family: Family, ...args: string[]): Step {
  return { command: "ip", args: [`-${family}`, ...args] };
}

function ruleArgs(key: string): string[] {
  const [mark = "", table = ""] = key.split(" ");
  const protocol = String(ROUTE_PROTOCOL);
  const priority = String(RULE_PRIORITY);
  return ["priority", priority, "fwmark", mark, "lookup", table, "protocol", protocol];
}

function route(family: Family, table: string): string[] {
  const everything = family === 4 ? "0.0.0.0/0" : "::/0";
  return ["local", everything, "dev", "lo", "table", table, "proto", String(ROUTE_PROTOCOL)];
}

/**
 * nft makes a table and its base chain when the first rule needs them, and leaves them when the last one
 * goes. Those that an installation of ours made are removed, unless something foreign moved in meanwhile.
 */
function emptyTableRemoval(now: LiveFamily, wanted: Wanted): Step[] {
  if (now.baseChains === null) return [];
  const inet = now.family === 4 ? "ip" : "ip6";
  const lines: string[] = [];
  for (const table of TABLES) {
    const jumps = now.jumps.filter((jump) => jump.table === table);
    const made = new Set(jumps.filter((jump) => has(jump, "+chain")).map((jump) => jump.from));
    const kept = (from: string): boolean =>
      wanted.jumps.some((jump) => jump.table === table && jump.from === from) ||
      now.foreign.has(`${table} ${from}`);
    const goes = [...made].filter((from) => !kept(from));
    for (const from of goes) lines.push(`delete chain ${inet} ${table} ${from}`);
    const chains = [...now.baseChains].filter((key) => key.startsWith(`${table} `));
    const empty = !now.foreign.has(table) && chains.length === goes.length;
    if (empty && jumps.some((jump) => has(jump, "+table"))) {
      lines.push(`delete table ${inet} ${table}`);
    }
  }
  if (lines.length === 0) return [];
  return [nft(lines)];
}

function createdMarks(jump: { table: Table; from: string }, now: LiveFamily): string[] {
  const inTable = now.jumps.filter((live) => live.table === jump.table);
  const same = inTable.find((live) => live.from === jump.from);
  if (same !== undefined) return commentOf(same.rule)?.created ?? [];
  if (now.baseChains === null) return [];
  const marks: string[] = [];
  if (!now.baseChains.has(`${jump.table} ${jump.from}`)) marks.push("+chain");
  const tableIsOurs =
    !now.tables.includes(jump.table) || inTable.some((live) => has(live, "+table"));
  if (tableIsOurs) marks.push("+table");
  return marks;
}

function has(jump: OwnJump, mark: string): boolean {
  return commentOf(jump.rule)?.created.includes(mark) ?? false;
}
