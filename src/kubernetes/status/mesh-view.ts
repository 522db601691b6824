import type { ServicePort } from "../../core/model.ts";
import { ROUTE_RANKS, type RouteTable } from "../../core/traffic.ts";
import { CORE_GROUP } from "../../dialects/envelope.ts";
import { formOfService, type ServiceForm } from "../../dialects/kubernetes/known-service.ts";
import { keyOfResource } from "../../dialects/translator.ts";
import type { Catalog } from "../../registry/catalog.ts";

/** A Service as routes see it. */
export interface SeenService {
  /** Of TCP. */
  readonly ports: readonly ServicePort[];
  readonly form: ServiceForm | null;
}

const GATEWAY_RANKS: ReadonlySet<number> = new Set(
  Object.entries(ROUTE_RANKS)
    .filter(([name]) => name.includes("route-"))
    .map(([, rank]) => rank),
);

/** The mesh at one moment, as far as conditions speak of it. */
export class MeshView {
  readonly #catalog: Pick<Catalog, "get" | "all">;
  readonly #tables = new Map<string, RouteTable[]>();

  constructor(catalog: Pick<Catalog, "get" | "all">) {
    this.#catalog = catalog;
    for (const { value } of catalog.all("route")) {
      if (!GATEWAY_RANKS.has(value.rank)) continue;
      for (const service of value.services) {
        const known = this.#tables.get(service);
        if (known === undefined) this.#tables.set(service, [value]);
        else known.push(value);
      }
    }
  }

  /** By `namespace/name`; null: there is none. */
  service(key: string): SeenService | null {
    const [namespace = "", name = ""] = key.split("/");
    const found = this.#catalog.get("service", key);
    const named = keyOfResource({ group: CORE_GROUP, kind: "Service", namespace, name });
    const content = this.#catalog.get("resource", named)?.content;
    if (found === undefined && content === undefined) return null;
    return { ports: found?.service.ports ?? [], form: formOfService(content?.["spec"]) };
  }

  /** Gateway API's routes that are in force for calls of a service. */
  tablesOf(service: string): readonly RouteTable[] {
    return this.#tables.get(service) ?? [];
  }
}
