import { RefIndex } from "../../../daemon/ref-index.ts";
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
  readonly #services: readonly Service[];
  readonly #endpoints: ReadonlyMap<string, readonly Endpoint[]>;

  /** `registered` null: the registry is not known, and what files do not bring may stand there. */
  constructor(analyzed: readonly Analyzed[], registered: Registered | null) {
    this.tables = ownedOf(analyzed, "route");
    this.policies = ownedOf(analyzed, "traffic");
    this.brought = ownedOf(analyzed, "endpoint");
    this.isComplete = registered !== null;
    const own = ownedOf(analyzed, "service").map(({ value }) => value);
    this.knowsServices = this.isComplete || own.length > 0;
    const named = new Set(own.map(keyOf));
    const others = (registered?.services ?? []).filter((each) => !named.has(keyOf(each)));
    this.#services = [...own, ...others];
    const endpoints = new Map<string, Endpoint[]>();
    for (const each of [
      ...this.brought.map(({ value }) => value),
      ...(registered?.endpoints ?? []),
    ]) {
      const key = serviceOf(each);
      const there = endpoints.get(key);
      if (there === undefined) endpoints.set(key, [each]);
      else there.push(each);
    }
    this.#endpoints = endpoints;
  }

  /** The services that a reference means. */
  servicesOf(ref: ServiceRef): readonly Service[] {
    return this.#services.filter((each) => RefIndex.means(ref, each));
  }

  endpointsOf(service: Service): readonly Endpoint[] {
    return this.#endpoints.get(keyOf(service)) ?? [];
  }

  isService(key: string): boolean {
    return this.#services.some((each) => keyOf(each) === key);
  }

  /** Could both mean the same service? */
  meet(one: ServiceRef, other: ServiceRef): boolean {
    if (one === other) return true;
    const theirs = new Set(this.servicesOf(other));
    return this.servicesOf(one).some((each) => theirs.has(each));
  }
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
