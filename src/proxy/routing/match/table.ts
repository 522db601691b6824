import { canonicalAddress, formatHostPort } from "../../../core/address.ts";
import type { ServicePort } from "../../../core/model.ts";
import type { PolicyTarget } from "../../../core/policy.ts";
import type { DataEndpoint, DataService, DataUpdate } from "../../../core/snapshot.ts";
import type { ServiceRef } from "../../../core/traffic.ts";
import { HostTable } from "./host-table.ts";

const HOST = "host:";

/** Where a connection or request leads inside the mesh. */
export interface Match {
  readonly service: DataService;
  /** Null where the service takes every port. */
  readonly port: ServicePort | null;
  /** Set where the client dialled this endpoint itself: then nothing is balanced. */
  readonly endpoint: DataEndpoint | null;
}

/** `none`: not of the mesh. `bad-port`: the service is known and has no such port. */
export type Lookup = Match | "none" | "bad-port";

/** An endpoint with its service. */
export interface Owned {
  readonly service: DataService;
  readonly endpoint: DataEndpoint;
}

/** What one update changed, for those who keep state per service. */
export interface TableChange {
  readonly changed: readonly {
    readonly before: DataService | undefined;
    readonly after: DataService;
  }[];
  readonly removed: readonly DataService[];
}

/**
 * Every service by key, by virtual address and by endpoint address. An update is applied in one go between
 * two events, so no lookup ever sees half of it.
 */
export class ServiceTable {
  readonly #services = new Map<string, DataService>();
  /** By key in lower case, as names in an authority are compared. */
  readonly #byName = new Map<string, DataService>();
  readonly #byAddress = new Map<string, DataService>();
  /** Services that answer to host names of their own. */
  readonly #hosts = new HostTable();
  /** Several services may have an endpoint at one place; the last one answers for it. */
  readonly #byEndpoint = new Map<string, Owned[]>();
  #revision = 0;
  #version = 0;

  get revision(): number {
    return this.#revision;
  }

  /** Grows with every update, so that a lookup can be kept until the next one. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#services.size;
  }

  /** What lookups lead to has changed without them. */
  touch(): void {
    this.#version += 1;
  }

  /** What a reference means to callers of a namespace, if it is there: `namespace/name`, or `host:NAME`. */
  byRef(ref: ServiceRef, namespace: string): DataService | undefined {
    if (!ref.startsWith(HOST)) return this.#services.get(ref);
    const host = ref.slice(HOST.length);
    return this.#hosts.get(host, namespace) ?? this.#byClusterName(host);
  }

  /** By a host name that is none of the mesh's own forms, for callers of a namespace. `port` 0: none was given. */
  byHost(host: string, port: number, namespace: string): Lookup {
    const service = this.#hosts.get(host, namespace);
    return service === undefined ? "none" : matchPort(service, port);
  }

  /** Is there a service with a host name of its own whose HTTP is called at this port? */
  hasHostAt(port: number): boolean {
    return this.#hosts.hasPort(port);
  }

  #byClusterName(host: string): DataService | undefined {
    const [name = "", namespace = "", ...rest] = host.split(".");
    return rest.join(".") === "svc.cluster.local"
      ? this.#byName.get(`${namespace}/${name}`)
      : undefined;
  }

  apply(update: DataUpdate): TableChange {
    const removed: DataService[] = [];
    const kept = new Set(update.services.map((service) => service.key));
    const gone = update.full
      ? [...this.#services.keys()].filter((key) => !kept.has(key))
      : update.removedServices;
    for (const key of gone) {
      const service = this.#services.get(key);
      if (service === undefined) continue;
      this.#forget(service);
      removed.push(service);
    }
    const changed = update.services.map((after) => {
      const before = this.#services.get(after.key);
      if (before !== undefined) this.#forget(before);
      this.#remember(after);
      return { before, after };
    });
    this.#revision = update.revision;
    this.#version += 1;
    return { changed, removed };
  }

  #remember(service: DataService): void {
    this.#services.set(service.key, service);
    this.#byName.set(service.key.toLowerCase(), service);
    this.#hosts.add(service);
    for (const address of service.addresses) {
      this.#byAddress.set(canonicalAddress(address), service);
    }
    for (const endpoint of service.endpoints) {
      const place = formatHostPort(canonicalAddress(endpoint.address), endpoint.port);
      const there = this.#byEndpoint.get(place);
      if (there === undefined) this.#byEndpoint.set(place, [{ service, endpoint }]);
      else there.push({ service, endpoint });
    }
  }

  #forget(service: DataService): void {
    this.#services.delete(service.key);
    this.#hosts.delete(service);
    const name = service.key.toLowerCase();
    if (this.#byName.get(name) === service) this.#byName.delete(name);
    for (const address of service.addresses) {
      const key = canonicalAddress(address);
      if (this.#byAddress.get(key) === service) this.#byAddress.delete(key);
    }
    for (const endpoint of service.endpoints) {
      const place = formatHostPort(canonicalAddress(endpoint.address), endpoint.port);
      const left = this.#byEndpoint.get(place)?.filter((owned) => owned.service !== service) ?? [];
      if (left.length === 0) this.#byEndpoint.delete(place);
      else this.#byEndpoint.set(place, left);
    }
  }

  /** By original destination; `address` in canonical form. */
  byAddress(address: string, port: number): Lookup {
    const service = this.#byAddress.get(address);
    if (service !== undefined) return matchPort(service, port);
    const there = this.#byEndpoint.get(formatHostPort(address, port));
    // Hosts may use the same addresses for their containers: here that of this host is meant.
    const direct = there?.findLast(({ endpoint }) => endpoint.local) ?? there?.at(-1);
    if (direct === undefined) return "none";
    const { service: owner, endpoint } = direct;
    return { service: owner, port: namedPort(owner, endpoint.portName), endpoint };
  }

  /** The workload behind a place of this host, as policies select it; undefined where nobody has registered it. */
  targetAt(address: string, port: number): PolicyTarget | undefined {
    const there = this.#byEndpoint.get(formatHostPort(address, port));
    return there?.findLast(({ endpoint }) => endpoint.target !== undefined)?.endpoint.target;
  }

  /**
   * The endpoint of this host at a place that has this identity, or null. One place may be the endpoint of several
   * services, each with an identity of its own.
   */
  localAt(address: string, port: number, identity: string): Owned | null {
    const found = this.#at(address, port, identity);
    return found?.endpoint.local === true ? found : null;
  }

  /** Is a place an endpoint of somebody, and of nobody with this identity? */
  isTakenOver(address: string, port: number, identity: string): boolean {
    const place = formatHostPort(canonicalAddress(address), port);
    return this.#byEndpoint.has(place) && this.#at(address, port, identity) === null;
  }

  #at(address: string, port: number, identity: string): Owned | null {
    const place = formatHostPort(canonicalAddress(address), port);
    const there = this.#byEndpoint.get(place) ?? [];
    return there.find(({ endpoint }) => endpoint.identity === identity) ?? null;
  }

  /** By name, as `parseAuthority` reads it: in lower case. `port` 0: none was given. */
  byName(namespace: string, name: string, port: number): Lookup {
    const service = this.#byName.get(`${namespace}/${name}`);
    return service === undefined ? "none" : matchPort(service, port);
  }
}

function matchPort(service: DataService, port: number): Lookup {
  if (service.ports.length === 0) return { service, port: null, endpoint: null };
  const found =
    port === 0
      ? (service.ports.find((candidate) => candidate.port === 80) ?? onlyPort(service))
      : service.ports.find((candidate) => candidate.port === port);
  return found === undefined ? "bad-port" : { service, port: found, endpoint: null };
}

/** A name without a port is understood where it cannot mean two things. */
function onlyPort(service: DataService): ServicePort | undefined {
  return service.ports.length === 1 ? service.ports[0] : undefined;
}

function namedPort(service: DataService, name: string): ServicePort | null {
  return service.ports.find((port) => port.name === name) ?? null;
}
