import { RefIndex } from "../../../daemon/ref-index.ts";
import { hostNamesOf } from "../../core/host-names.ts";
import { type Endpoint, keyOf, type Service } from "../../core/model.ts";
import type { RouteTable, ServiceRef, TrafficPolicy } from "../../core/traffic.ts";
import type { Analyzed } from "./analyzed.ts";

/** A record and the resource that it comes from. */
export interface Owned<T> {
  readonly by: Analyzed;
  readonly value: T;
}

/** What the registry holds besides resources. */
export interface Registered {
  readonly services: readonly Service[];
  readonly endpoints: readonly Endpoint[];
}

/** Everything that resources can refer to. */
export class World {
  readonly tables: readonly Owned<RouteTable>[];
  readonly policies: readonly Owned<TrafficPolicy>[];
  readonly brought: readonly Owned<Endpoint>[];
  /** Is the registry known, so that what is missing is missing indeed? */
  readonly isComplete: boolean;
  /** Or do the files bring services at all, so that those of a mesh that registers its own are not missed? */
  readonly knowsServices: boolean;
  readonly #services: ReadonlyMap<string, Service>;
  /** By the exact host names that they answer to. */
  readonly #byHost: ReadonlyMap<string, readonly Service[]>;
  readonly #endpoints: ReadonlyMap<string, readonly Endpoint[]>;
  /** What every reference that was asked for means: the same few are asked for again and again. */
  readonly #meanings = new Map<ServiceRef, readonly Service[]>();
  readonly #tableIndex: Meetings<RouteTable>;
  readonly #policyIndex: Meetings<TrafficPolicy>;

  /** `registered` null: the registry is not known, and what files do not bring may stand there. */
  constructor(analyzed: readonly Analyzed[], registered: Registered | null) {
    this.tables = ownedOf(analyzed, "route");
    this.policies = ownedOf(analyzed, "traffic");
    this.brought = ownedOf(analyzed, "endpoint");
    this.isComplete = registered !== null;
    const own = ownedOf(analyzed, "service").map(({ value }) => value);
    this.knowsServices = this.isComplete || own.length > 0;
    // What a resource brings stands in place of what is registered.
    const all = [...(registered?.services ?? []), ...own];
    this.#services = new Map(all.map((each) => [keyOf(each), each]));
    this.#byHost = grouped([...this.#services.values()], hostNamesOf);
    const endpoints = [...this.brought.map(({ value }) => value), ...(registered?.endpoints ?? [])];
    this.#endpoints = grouped(endpoints, (each) => [serviceOf(each)]);
    const meaningOf = (ref: ServiceRef) => this.servicesOf(ref);
    this.#tableIndex = new Meetings(this.tables, ({ services }) => services, meaningOf);
    this.#policyIndex = new Meetings(this.policies, ({ service }) => [service], meaningOf);
  }

  /** The services that a reference means. */
  servicesOf(ref: ServiceRef): readonly Service[] {
    const known = this.#meanings.get(ref);
    if (known !== undefined) return known;
    const found = this.#lookUp(ref);
    this.#meanings.set(ref, found);
    return found;
  }

  #lookUp(ref: ServiceRef): readonly Service[] {
    if (ref.startsWith("host:*")) {
      return [...this.#services.values()].filter((each) => RefIndex.means(ref, each));
    }
    if (ref.startsWith("host:")) return this.#byHost.get(ref.slice("host:".length)) ?? [];
    const found = this.#services.get(ref);
    return found === undefined ? [] : [found];
  }

  endpointsOf(service: Service): readonly Endpoint[] {
    return this.#endpoints.get(keyOf(service)) ?? [];
  }

  isService(key: string): boolean {
    return this.#services.has(key);
  }

  /** Could both mean the same service? */
  meet(one: ServiceRef, other: ServiceRef): boolean {
    if (one === other) return true;
    const theirs = new Set(this.servicesOf(other));
    return this.servicesOf(one).some((each) => theirs.has(each));
  }

  /** The tables for a service that one of these references may mean too, in their order. */
  tablesMeeting(refs: readonly ServiceRef[]): readonly Owned<RouteTable>[] {
    return this.#tableIndex.of(refs);
  }

  /** The policies for a service that the reference may mean too, in their order. */
  policiesMeeting(ref: ServiceRef): readonly Owned<TrafficPolicy>[] {
    return this.#policyIndex.of([ref]);
  }
}

/** Records by the services that they refer to, so that thousands of them are not all compared with each other. */
class Meetings<T> {
  readonly #records: readonly Owned<T>[];
  readonly #meaningOf: (ref: ServiceRef) => readonly Service[];
  readonly #byRef = new Map<ServiceRef, Set<number>>();
  readonly #byService = new Map<Service, Set<number>>();

  constructor(
    records: readonly Owned<T>[],
    refsOf: (value: T) => readonly ServiceRef[],
    meaningOf: (ref: ServiceRef) => readonly Service[],
  ) {
    this.#records = records;
    this.#meaningOf = meaningOf;
    for (const [index, { value }] of records.entries()) {
      for (const ref of refsOf(value)) {
        add(this.#byRef, ref, index);
        for (const service of meaningOf(ref)) add(this.#byService, service, index);
      }
    }
  }

  of(refs: readonly ServiceRef[]): readonly Owned<T>[] {
    const found = new Set<number>();
    for (const ref of refs) {
      for (const index of this.#byRef.get(ref) ?? []) found.add(index);
      for (const service of this.#meaningOf(ref)) {
        for (const index of this.#byService.get(service) ?? []) found.add(index);
      }
    }
    return [...found].sort((a, b) => a - b).flatMap((index) => this.#records[index] ?? []);
  }
}

function add<K>(sets: Map<K, Set<number>>, key: K, index: number): void {
  const there = sets.get(key);
  if (there === undefined) sets.set(key, new Set([index]));
  else there.add(index);
}

function grouped<T>(
  items: readonly T[],
  namesOf: (item: T) => readonly string[],
): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    for (const name of new Set(namesOf(item))) {
      const there = groups.get(name);
      if (there === undefined) groups.set(name, [item]);
      else there.push(item);
    }
  }
  return groups;
}

/** Key of the service that an endpoint serves. */
export function serviceOf({ namespace, service: name }: Endpoint): string {
  return keyOf({ namespace, name });
}

type Kinds = { route: RouteTable; traffic: TrafficPolicy; endpoint: Endpoint; service: Service };

function ownedOf<K extends keyof Kinds>(analyzed: readonly Analyzed[], kind: K): Owned<Kinds[K]>[] {
  return analyzed.flatMap((by) =>
    by.records
      .filter((record) => record.kind === kind)
      .map(({ value }) => ({ by, value: value as Kinds[K] })),
  );
}
