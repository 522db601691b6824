import { type Backend, ROUTE_RANKS, type RouteRule, type RouteTable } from "../../core/traffic.ts";
import type { Work } from "../translator.ts";
import type { ConfigEntry } from "./config-entry.ts";
import { ChainError, DiscoveryChain, type Target } from "./discovery-chain.ts";

/** What the resources of one chain say about it in the documentation. */
export const CHAIN_NOTE =
  "Router, splitter and resolver of a service, and those of the services that they lead to, are joined into one table when they are applied, and anew when one of them changes. One that would make them go in a circle is refused.";

/** Runs with a chain that warns of what is missing, and refuses the resource where the chain leads nowhere. */
export function inChain<T>(
  work: Work<unknown>,
  path: readonly PropertyKey[],
  run: (chain: DiscoveryChain) => T,
): T {
  const told = new Set<string>();
  const warn = (message: string) => {
    if (!told.has(message)) work.warn(path, message);
    told.add(message);
  };
  try {
    return run(new DiscoveryChain(work.context, warn));
  } catch (error) {
    if (error instanceof ChainError) return work.refuse(path, error.message);
    throw error;
  }
}

export function targetOf({ namespace, name }: ConfigEntry<unknown>): Target {
  return { namespace, service: name, subset: "" };
}

/** Do requests go where they would go without a table? */
export function isPlain(
  backends: readonly Omit<Backend, "weight">[],
  { namespace, service }: Target,
): boolean {
  const [only, ...more] = backends;
  if (only === undefined || more.length > 0) return false;
  const added = Object.keys(only).filter((name) => name !== "service" && name !== "weight");
  return only.service === `${namespace}/${service}` && added.length === 0;
}

/** A rule for every request that no rule before it took. */
export function ruleForAll(backends: readonly Backend[]): RouteRule {
  return { name: "", matches: [], action: { kind: "forward", backends } };
}

export function tableOf(
  entry: ConfigEntry<unknown>,
  protocol: RouteTable["protocol"],
  rules: readonly RouteRule[],
): RouteTable {
  return {
    source: entry.source,
    createdMs: entry.createdMs,
    ...{ protocol, role: "route" },
    services: [`${entry.namespace}/${entry.name}`],
    clients: null,
    rank: ROUTE_RANKS.consul,
    ...{ order: "listed", otherwise: "service" },
    rules,
  };
}
