import { EARLY_TABLE } from "./early-redirect.ts";
import { CHAIN_PREFIX, type Family, ROUTE_PROTOCOL, type Table } from "./plan.ts";
import type { Surroundings } from "./rules.ts";
import { CommandError, type Runner } from "./runner.ts";

/** All tables in which chains of ours may be found, in the order in which they are written. */
export const TABLES: readonly Table[] = ["filter", "mangle", "nat", "raw"];

export interface OwnChain {
  readonly table: Table;
  readonly name: string;
  /** As `iptables-save` prints them: `-A NAME ...`. */
  readonly rules: readonly string[];
}

/** A rule in a chain that is not ours and that jumps to one of ours. */
export interface OwnJump {
  readonly table: Table;
  readonly from: string;
  /** As `iptables-save` prints it: `-A PREROUTING ...`. */
  readonly rule: string;
  /** Place among the rules of that chain, from 1. */
  readonly position: number;
}

/** What of ours is in the kernel for one family, and which tables exist at all. */
export interface LiveFamily {
  readonly family: Family;
  readonly tables: readonly Table[];
  readonly chains: readonly OwnChain[];
  readonly jumps: readonly OwnJump[];
  /** `table` or `table chain` of everything with foreign rules, chains or a policy other than ACCEPT. */
  readonly foreign: ReadonlySet<string>;
  /** `table chain` of each base chain that exists; null where the backend cannot tell (iptables-legacy). */
  readonly baseChains: ReadonlySet<string> | null;
  /** Routing rules of ours, `fwmark/mask table`. */
  readonly routingRules: readonly string[];
  /** Routing tables in which routes of ours are. */
  readonly routeTables: readonly string[];
  /** Base chains in our own table of nft. */
  readonly early: readonly string[];
  /** kube-proxy's chains of its mode nftables are there. */
  readonly hasNftKubeProxy: boolean;
}

export interface Live {
  readonly families: readonly LiveFamily[];
  /** Names of the ipsets of ours. */
  readonly sets: readonly string[];
}

/** A host on which nothing of ours exists; what a dry run assumes when it may not look. */
export const BARE_HOST: Live = {
  families: ([4, 6] as const).map((family) => ({
    family,
    tables: TABLES,
    chains: [],
    jumps: [],
    foreign: new Set(),
    baseChains: null,
    routingRules: [],
    routeTables: [],
    early: [],
    hasNftKubeProxy: false,
  })),
  sets: [],
};

/**
 * Reads the state of the kernel; changes nothing. A host whose IPv6 tables cannot be read is an error only
 * where IPv6 is `required`: else nothing of ours can be there.
 */
export async function readLive(runner: Runner, ipv6: "required" | "if-any"): Promise<Live> {
  const families: LiveFamily[] = [await readFamily(runner, 4)];
  try {
    families.push(await readFamily(runner, 6));
  } catch (error) {
    if (ipv6 === "required" || !(error instanceof CommandError)) throw error;
  }
  const names = (await runner.run("ipset", ["list", "-n"])).split("\n");
  return { families, sets: names.filter((name) => /^hostmesh(-\w+)?[46](-\d+)?$/.test(name)) };
}

/** What of it a plan depends on. */
export function surroundingsOf({ families }: Live): Surroundings {
  return { hasNftKubeProxy: families.some((family) => family.hasNftKubeProxy) };
}

/** `iptables` or `ip6tables`. */
export function iptables(family: Family): "iptables" | "ip6tables" {
  return family === 4 ? "iptables" : "ip6tables";
}

async function readFamily(runner: Runner, family: Family): Promise<LiveFamily> {
  const saved = parseSave(await runner.run(`${iptables(family)}-save`, []));
  const nft = (await runner.run(iptables(family), ["-V"])).includes("nf_tables");
  const baseChains = nft
    ? parseBaseChains(await runner.run("nft", ["list", "chains"]), family)
    : null;
  const routingRules = await readRoutingRules(runner, family);
  const routes = parseJson(await runner.run("ip", [`-${family}`, "-j", ...OWN_ROUTES]));
  const routeTables = [...new Set(routes.map((route) => String(route["table"])))];
  const chainsOf = (table: string) =>
    [...(baseChains ?? [])].filter((key) => key.startsWith(`${table} `));
  const early = chainsOf(EARLY_TABLE).map((key) => key.slice(EARLY_TABLE.length + 1));
  const hasNftKubeProxy = chainsOf("kube-proxy").length > 0;
  const routing = { routingRules, routeTables };
  return { family, ...saved, baseChains, ...routing, early, hasNftKubeProxy };
}

const OWN_ROUTES = ["route", "show", "table", "all", "proto", String(ROUTE_PROTOCOL)];

async function readRoutingRules(runner: Runner, family: Family): Promise<string[]> {
  const rules = parseJson(await runner.run("ip", [`-${family}`, "-j", "rule", "show"]));
  return rules
    .filter((rule) => rule["protocol"] === String(ROUTE_PROTOCOL))
    .map((rule) => `${rule["fwmark"]}/${rule["fwmask"] ?? "0xffffffff"} ${rule["table"]}`);
}

type Saved = Pick<LiveFamily, "tables" | "chains" | "jumps" | "foreign">;

/** Picks out of `iptables-save` what is ours, and notes what is not. */
export function parseSave(text: string): Saved {
  const sections = text.split(/^\*/m).slice(1);
  const known = sections.flatMap((section) => {
    const lines = section.split("\n");
    const table = TABLES.find((name) => name === lines[0]?.trim());
    return table === undefined ? [] : [{ table, ...parseTable(table, lines) }];
  });
  return {
    tables: known.map((section) => section.table),
    chains: known.flatMap((section) => section.chains),
    jumps: known.flatMap((section) => section.jumps),
    foreign: new Set(known.flatMap((section) => section.foreign)),
  };
}

interface SavedTable {
  readonly chains: readonly OwnChain[];
  readonly jumps: readonly OwnJump[];
  readonly foreign: readonly string[];
}

function parseTable(table: Table, lines: readonly string[]): SavedTable {
  const own = new Map<string, string[]>();
  const jumps: OwnJump[] = [];
  const foreign: string[] = [];
  const counts = new Map<string, number>();
  for (const line of lines) {
    const [, name = "", policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
    if (name.startsWith(CHAIN_PREFIX)) own.set(name, []);
    else if (name !== "" && policy !== "ACCEPT") foreign.push(table, `${table} ${name}`);
    const from = /^-A (\S+) /.exec(line)?.[1];
    if (from === undefined) continue;
    const position = (counts.get(from) ?? 0) + 1;
    counts.set(from, position);
    const rules = own.get(from);
    if (rules !== undefined) rules.push(line);
    else if (isOwnJump(line)) jumps.push({ table, from, rule: line, position });
    else foreign.push(table, `${table} ${from}`);
  }
  return { chains: [...own].map(([name, rules]) => ({ table, name, rules })), jumps, foreign };
}

function isOwnJump(line: string): boolean {
  return / -[jg] HOSTMESH_\w+/.test(line);
}

/** Base chains of the iptables tables of one family, from `nft list chains`. */
export function parseBaseChains(text: string, family: Family): Set<string> {
  const wanted = family === 4 ? "ip" : "ip6";
  const found = new Set<string>();
  let table = "";
  let chain = "";
  for (const line of text.split("\n")) {
    const opened = /^table (\S+) (\S+) \{/.exec(line);
    if (opened !== null) table = opened[1] === wanted ? (opened[2] ?? "") : "";
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (table !== "" && /^\s+type \S+ hook /.test(line)) found.add(`${table} ${chain}`);
  }
  return found;
}

/** Parses what `ip -j` prints: a list of objects, or nothing at all. */
export function parseJson(text: string): Record<string, unknown>[] {
  if (text.trim() === "") return [];
  const parsed: unknown = JSON.parse(text);
  return Array.isArray(parsed) ? parsed.filter(isRecord) : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** `hash` and `id` that a rule carries in its comment, and the marks of what installation created. */
export function commentOf(rule: string): { hash: string; id: string; created: string[] } | null {
  const match = /hostmesh:([0-9a-f]{8}):(\S+?)((?: \+\w+)*)(?:[" ]|$)/.exec(rule);
  if (match === null) return null;
  return { hash: match[1]!, id: match[2]!, created: match[3]!.split(" ").filter((m) => m !== "") };
}
