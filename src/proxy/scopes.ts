import { hostNamesOf, isWithinHost } from "../core/host-names.ts";
import type { DataService, DataWorkload } from "../core/snapshot.ts";
import type { ClientScope } from "../core/traffic.ts";
import { type Origin, sourceNamespace } from "./context.ts";

/** What one workload sees of the mesh. */
export interface Scope {
  sees(service: DataService): boolean;
  readonly source: string;
  /** May it leave the mesh? Null: it is not said. */
  readonly outside: "allow" | "refuse" | null;
}

/** Which services each workload sees: Istio's Sidecar resources, of which the narrowest for a workload counts. */
export class ScopeBook {
  #scopes: readonly ClientScope[] = [];
  #byWorkload = new WeakMap<DataWorkload, Scope | "all">();

  apply(scopes: readonly ClientScope[]): void {
    this.#scopes = scopes;
    this.#byWorkload = new WeakMap();
  }

  /** Null: it sees everything. */
  of({ workload }: Origin): Scope | null {
    if (workload === null || this.#scopes.length === 0) return null;
    let scope = this.#byWorkload.get(workload);
    if (scope === undefined) {
      const found = this.#narrowest(workload);
      scope = found === undefined ? "all" : compile(found, workload.namespace);
      this.#byWorkload.set(workload, scope);
    }
    return scope === "all" ? null : scope;
  }

  /** Is the service one that this caller sees, by its own export and by the caller's scope? */
  isVisible(origin: Origin, service: DataService): boolean {
    const { exportTo } = service;
    if (exportTo !== undefined && origin.peer === null) {
      if (!exportTo.includes(sourceNamespace(origin))) return false;
    }
    return this.of(origin)?.sees(service) ?? true;
  }

  #narrowest({ namespace, labels = {} }: DataWorkload): ClientScope | undefined {
    const own = this.#scopes.filter((scope) => scope.namespace === namespace);
    const has = (scope: ClientScope) => Object.keys(scope.labels).length > 0;
    const fits = (scope: ClientScope) =>
      Object.entries(scope.labels).every(([name, value]) => labels[name] === value);
    return (
      own.find((scope) => has(scope) && fits(scope)) ??
      own.find((scope) => !has(scope)) ??
      this.#scopes.find((scope) => scope.namespace === null && fits(scope))
    );
  }
}

function compile({ egress, outside, source }: ClientScope, namespace: string): Scope {
  if (egress === null) return { sees: () => true, source, outside };
  const patterns = egress.map((text) => {
    const slash = text.indexOf("/");
    return { namespace: text.slice(0, slash), host: text.slice(slash + 1).toLowerCase() };
  });
  const known = new Map<string, boolean>();
  const look = (service: DataService): boolean =>
    patterns.some(
      (pattern) =>
        isNamespace(pattern.namespace, service.namespace, namespace) &&
        hostNamesOf(service).some((host) => isWithinHost(host, pattern.host)),
    );
  return {
    source,
    outside,
    sees(service) {
      let seen = known.get(service.key);
      if (seen === undefined) {
        seen = look(service);
        known.set(service.key, seen);
      }
      return seen;
    },
  };
}

/** `*`: any, `.`: the workload's own, `~`: none. */
function isNamespace(pattern: string, namespace: string, own: string): boolean {
  if (pattern === "*") return true;
  return pattern === "." ? namespace === own : pattern === namespace;
}
