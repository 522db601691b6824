import type { RouteTable } from "../../../core/traffic.ts";
import { keyOfResource } from "../../../dialects/translator.ts";
import type { Catalog } from "../../../registry/catalog.ts";
import { newSplit } from "./new-split.ts";
import { isSplitKind, type WeightedList, weightedListOf } from "./weighted-list.ts";

export interface SplitResource {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** The split of a service's traffic, as a resource writes it or would. */
export interface FoundSplit {
  readonly resource: SplitResource;
  readonly key: string;
  /** Counts the changes of the resource's content; 0: it does not exist yet. */
  readonly revision: number;
  readonly list: WeightedList;
  /** Why it is this resource; empty: it exists. */
  readonly because: string;
}

/** Finds what decides over the HTTP requests to a service. A text: why there is nothing to change. */
export function findSplit(catalog: Catalog, namespace: string, name: string): FoundSplit | string {
  const tables = tablesFor(catalog, `${namespace}/${name}`);
  if (tables.length === 0) return plannedSplit(catalog, namespace, name);
  let reason = "";
  for (const { key, table } of tables) {
    const found = splitIn(catalog, key) ?? splitterBehind(catalog, table, namespace, name);
    if (typeof found === "object" && found !== null) return found;
    reason ||= `${table.source}: ${found ?? "it is gone"}`;
  }
  return reason;
}

/** The tables that count for callers at large, those that go before others first. */
function tablesFor(catalog: Catalog, service: string): { key: string; table: RouteTable }[] {
  const all = catalog
    .all("route")
    .map(({ key, value }) => ({ key: key.replace(/#\d+$/, ""), table: value }))
    .filter(({ table }) => table.role === "route" && table.protocol === "http")
    .filter(({ table }) => table.clients === null && table.services.includes(service));
  const rank = Math.max(...all.map(({ table }) => table.rank));
  const counting = all
    .filter(({ table }) => table.rank === rank)
    .sort((a, b) => a.table.createdMs - b.table.createdMs || (a.key < b.key ? -1 : 1));
  // Of listed tables the oldest counts alone.
  return counting[0]?.table.order === "listed" ? counting.slice(0, 1) : counting;
}

/** Null: there is no such resource. */
function splitIn(catalog: Catalog, key: string): FoundSplit | string | null {
  const stored = catalog.get("resource", key);
  if (stored === undefined || !isSplitKind(stored.kind)) return null;
  const { group, kind, namespace, name, content, generation } = stored;
  const list = weightedListOf(kind, content);
  if (typeof list === "string") return list;
  const resource = { group, kind, namespace, name };
  return { resource, key, revision: generation, list, because: "" };
}

/** Consul's router leads to the service's splitter, which has the weights. */
function splitterBehind(
  catalog: Catalog,
  { source }: RouteTable,
  namespace: string,
  name: string,
): FoundSplit | string {
  if (!/^(service-|Service)/.test(source)) return "it has no weights that can be changed here";
  for (const [group, kind] of [
    ["consul", "service-splitter"],
    ["consul.hashicorp.com", "ServiceSplitter"],
  ] as const) {
    const found = splitIn(catalog, keyOfResource({ group, kind, namespace, name }));
    if (found !== null) return found;
  }
  return "no service-splitter belongs to it";
}

function plannedSplit(catalog: Catalog, namespace: string, name: string): FoundSplit | string {
  const planned = newSplit(catalog, namespace, name);
  if (planned === null) {
    return "nothing to split between: a DestinationRule with two subsets, or another version of the service (its name with -v2 or -canary), is needed";
  }
  const { group, kind, content, because } = planned;
  const resource = { group, kind, namespace, name };
  const key = keyOfResource(resource);
  const list = weightedListOf(kind, content);
  if (typeof list === "string") return list;
  const taken = catalog.get("resource", key);
  if (taken !== undefined) return `${kind} ${namespace}/${name} is there, but does not route it`;
  return { resource, key, revision: 0, list, because };
}
