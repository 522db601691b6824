import type { Change, Service } from "../src/core/model.ts";
import type { DataSubset, DataTraffic } from "../src/core/snapshot.ts";
import type {
  ClientScope,
  RouteTable,
  ServiceRef,
  SubsetPolicy,
  TrafficPolicy,
  TrafficSettings,
} from "../src/core/traffic.ts";
import { RefIndex } from "./ref-index.ts";

/** A change of how traffic is treated. */
export type TrafficChange = Extract<Change, { kind: "route" | "traffic" | "scope" }>;

interface Aged {
  readonly createdMs: number;
  readonly source: string;
}

/** Where the callers of a policy may be: their namespace decides which of several counts (Istio's order). */
const OF_CLIENT = 0;
const OF_SERVICE = 1;
const OF_ROOT = 2;

/**
 * All routes, traffic policies and scopes of the mesh, as the main thread keeps them to compile services with. Work is in
 * proportion to what refers to the service at hand.
 */
export class TrafficBook {
  readonly #routes = new RefIndex<RouteTable>((table) => table.services);
  readonly #policies = new RefIndex<TrafficPolicy>((policy) => [policy.service]);
  readonly #scopes = new Map<string, ClientScope>();
  #scopesDirty = false;

  /** The references whose services must be compiled again. */
  set(change: TrafficChange): readonly ServiceRef[] {
    if (change.kind === "route") return this.#routes.set(change.key, change.value);
    if (change.kind === "traffic") return this.#policies.set(change.key, change.value);
    this.#scopesDirty = true;
    if (change.value === null) this.#scopes.delete(change.key);
    else this.#scopes.set(change.key, change.value);
    return [];
  }

  get(
    kind: TrafficChange["kind"],
    key: string,
  ): RouteTable | TrafficPolicy | ClientScope | undefined {
    if (kind === "route") return this.#routes.get(key);
    return kind === "traffic" ? this.#policies.get(key) : this.#scopes.get(key);
  }

  keys(kind: TrafficChange["kind"]): Iterable<string> {
    if (kind === "route") return this.#routes.keys();
    return kind === "traffic" ? this.#policies.keys() : this.#scopes.keys();
  }

  scopes(): readonly ClientScope[] {
    return [...this.#scopes.values()].sort(byAge);
  }

  /** All scopes, if any changed since the last call. */
  flushScopes(): readonly ClientScope[] | null {
    if (!this.#scopesDirty) return null;
    this.#scopesDirty = false;
    return this.scopes();
  }

  /** The tables for calls of a service, oldest first, and a stamp that changes with them. */
  routesOf(service: Service): { routes: readonly RouteTable[]; routeStamp: string } {
    const found = this.#routes.of(service);
    return {
      routes: found.map(({ record }) => record).sort(byAge),
      routeStamp: found.map(({ serial }) => serial).join(),
    };
  }

  /** What holds for the callers of a service: first what some namespaces say, at last what holds for all others. */
  trafficOf(service: Service): readonly DataTraffic[] {
    const all = this.#policies
      .of(service)
      .map(({ record }) => record)
      .sort(byAge);
    const base = baseOf(all);
    const views = viewsOf(
      service,
      all.filter((policy) => policy.base === undefined),
    );
    if (base === null) return views;
    const isComplete = views.at(-1)?.clients === null;
    return [...views, ...(isComplete ? [] : [NOTHING])].map((view) => above(base, view));
  }
}

/** What holds for everybody of whom nothing is said. */
const NOTHING: DataTraffic = { clients: null, settings: {}, ports: {}, subsets: [] };

/** What the service says of itself; null: nothing. */
function baseOf(policies: readonly TrafficPolicy[]): TrafficSettings | null {
  const own = policies.filter(({ base }) => base === true);
  if (own.length === 0) return null;
  return Object.assign({}, ...own.reverse().map(({ settings }) => settings));
}

/** Field by field beneath what a policy says. */
function above(base: TrafficSettings, view: DataTraffic): DataTraffic {
  const over = (settings: TrafficSettings) => ({ ...base, ...settings });
  const allOver = (ports: Readonly<Record<string, TrafficSettings>>) =>
    Object.fromEntries(Object.entries(ports).map(([port, own]) => [port, over(own)]));
  return {
    ...view,
    settings: over(view.settings),
    ports: allOver(view.ports),
    subsets: view.subsets.map((subset) => ({
      ...subset,
      settings: over(subset.settings),
      ports: allOver(subset.ports),
    })),
  };
}

function viewsOf(service: Service, policies: readonly TrafficPolicy[]): readonly DataTraffic[] {
  if (policies.length === 0) return [];
  const rankOf = (policy: TrafficPolicy): number => {
    if (policy.namespace === service.namespace) return OF_SERVICE;
    return policy.root ? OF_ROOT : OF_CLIENT;
  };
  const common = policies.filter((policy) => rankOf(policy) !== OF_CLIENT);
  const special = new Set<string>();
  for (const policy of policies) {
    if (rankOf(policy) === OF_CLIENT) special.add(policy.namespace);
    for (const namespace of policy.clients ?? []) special.add(namespace);
  }
  const found: DataTraffic[] = [];
  const add = (clients: readonly string[] | null, those: readonly TrafficPolicy[]): void => {
    const best = Math.min(...those.map(rankOf));
    const chosen = those.filter((policy) => rankOf(policy) === best);
    if (chosen.length > 0) found.push(joined(clients, chosen));
  };
  for (const namespace of special) {
    const visible = policies.filter(
      (policy) =>
        (policy.clients === null || policy.clients.includes(namespace)) &&
        (policy.namespace === namespace || rankOf(policy) !== OF_CLIENT),
    );
    const own = visible.filter((policy) => rankOf(policy) === OF_CLIENT);
    // A namespace that may see nothing of it is treated as if nothing were said, and not as the others are.
    if (visible.length === 0)
      found.push({ clients: [namespace], settings: {}, ports: {}, subsets: [] });
    else add([namespace], own.length > 0 ? own : visible);
  }
  add(
    null,
    common.filter(({ clients }) => clients === null),
  );
  return found;
}

/** Of several that speak of one service the oldest counts; subsets are taken from all. */
function joined(
  clients: readonly string[] | null,
  policies: readonly TrafficPolicy[],
): DataTraffic {
  const [oldest] = policies;
  const { settings = {}, ports = {} } = oldest ?? {};
  const subsets = new Map<string, DataSubset>();
  for (const policy of policies) {
    for (const subset of policy.subsets) {
      if (!subsets.has(subset.name))
        subsets.set(subset.name, compileSubset(subset, settings, ports));
    }
  }
  return { clients, settings, ports, subsets: [...subsets.values()] };
}

function compileSubset(
  { name, labels, settings = {}, ports = {} }: SubsetPolicy,
  above: TrafficSettings,
  portsAbove: Readonly<Record<string, TrafficSettings>>,
): DataSubset {
  const merged: Record<string, TrafficSettings> = {};
  for (const [port, own] of Object.entries(portsAbove)) merged[port] = { ...own, ...settings };
  for (const [port, own] of Object.entries(ports)) merged[port] = own;
  return { name, labels, settings: { ...above, ...settings }, ports: merged };
}

function byAge(a: Aged, b: Aged): number {
  return a.createdMs - b.createdMs || (a.source < b.source ? -1 : Number(a.source > b.source));
}
