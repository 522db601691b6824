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
import {
  above,
  type BasePolicy,
  breadthOf,
  protocolsOf,
  type SaidProtocols,
  saysSomething,
  withoutProtocols,
} from "./base-policies.ts";
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
  /** Those that hold beneath others. */
  readonly #bases = new RefIndex<TrafficPolicy>((policy) => [policy.service]);
  readonly #scopes = new Map<string, ClientScope>();
  #scopesDirty = false;

  /** The references whose services must be compiled again. */
  set(change: TrafficChange): readonly ServiceRef[] {
    if (change.kind === "route") return this.#routes.set(change.key, change.value);
    if (change.kind === "traffic") {
      const { key, value } = change;
      const isBase = value?.base === true;
      const touched = this.#bases.set(key, isBase ? value : null);
      return [...touched, ...this.#policies.set(key, isBase ? null : value)];
    }
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
    if (kind === "scope") return this.#scopes.get(key);
    return this.#policies.get(key) ?? this.#bases.get(key);
  }

  keys(kind: TrafficChange["kind"]): Iterable<string> {
    if (kind === "route") return this.#routes.keys();
    return kind === "scope"
      ? this.#scopes.keys()
      : [...this.#policies.keys(), ...this.#bases.keys()];
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

  /**
   * A service that nobody registered, or that has lost its last instance, is there as long as its calls are routed
   * somewhere: to another version, or in failover. For other callers than the rules are for it is not. Null: they are not.
   */
  routedService(key: string): Service | null {
    const tables = [...this.#routes.at(key)].filter(({ role }) => role === "route");
    if (tables.length === 0) return null;
    const isForAll = tables.some(({ clients }) => clients === null);
    const callers = new Set(tables.flatMap(({ clients }) => clients ?? []));
    return { ...unregistered(key), ...(isForAll ? {} : { exportTo: [...callers] }) };
  }

  /** The tables for calls of a service, oldest first, and a stamp that changes with them. */
  routesOf(service: Service): { routes: readonly RouteTable[]; routeStamp: string } {
    const found = this.#routes.of(service);
    return {
      routes: found.map(({ record }) => narrowed(record, service)).sort(byAge),
      routeStamp: found.map(({ serial }) => serial).join(),
    };
  }

  /** Every policy that speaks of a service, for people. */
  policiesOf(service: Service): readonly TrafficPolicy[] {
    return [...this.#policies.of(service), ...this.#bases.of(service)].map(({ record }) => record);
  }

  /**
   * What holds for the callers of a service: first what some namespaces say, at last what holds for all others. `own` is
   * what its registrations say of it, beneath everything else.
   */
  trafficOf(
    service: Service,
    own: BasePolicy | null = null,
  ): { traffic: readonly DataTraffic[]; protocols: SaidProtocols } {
    const said = this.#policies
      .of(service)
      .map(({ record }) => record)
      .sort(byAge);
    const named = this.#bases
      .of(service)
      .map(({ record }) => record)
      .sort((a, b) => breadthOf(a.service) - breadthOf(b.service) || byAge(a, b));
    const bases = own === null ? named : [...named, own];
    const views = viewsOf(service, said.map(withoutProtocols));
    return {
      traffic: above(bases.map(withoutProtocols).filter(saysSomething), views),
      protocols: protocolsOf([...said, ...bases]),
    };
  }
}

/**
 * A table that means the service by a pattern only stands behind those of its rank that name it, and the shorter the
 * pattern the further (Istio).
 */
function narrowed(table: RouteTable, service: Service): RouteTable {
  const refs = table.services.filter((ref) => RefIndex.means(ref, service));
  const breadth = Math.min(...refs.map(breadthOf));
  return breadth === 0 ? table : { ...table, rank: table.rank - breadth };
}

function unregistered(key: string): Service {
  const slash = key.indexOf("/");
  return {
    ...{ name: key.slice(slash + 1), namespace: key.slice(0, slash) },
    ...{ addresses: [], ports: [], meta: {} },
    // It has no endpoints to choose from.
    balancer: { policy: "random", slowStartMs: 0 },
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
    const ranked = those.filter((policy) => rankOf(policy) === best);
    const narrowest = Math.min(...ranked.map(({ service: ref }) => breadthOf(ref)));
    const chosen = ranked.filter(({ service: ref }) => breadthOf(ref) === narrowest);
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
