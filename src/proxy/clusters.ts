import { canonicalAddress, formatHostPort, isLoopback } from "../core/address.ts";
import type { HashOn } from "../core/model.ts";
import type { DataEndpoint, DataService } from "../core/snapshot.ts";
import { NamedDestinations } from "./named-destinations.ts";
import { type Balancer, type BalancerDeps, createBalancer } from "./upstream/balance/balancer.ts";

/** The endpoints of one service port, with the balancer that chooses among them. */
export interface Cluster {
  readonly service: DataService;
  readonly endpoints: readonly DataEndpoint[];
  readonly balancer: Balancer;
  /** Null where the policy does not hash. */
  readonly hashOn: HashOn | null;
  /** True where endpoints were left out because they are this proxy's own ports. */
  readonly loops: boolean;
}

/** A request or connection goes to one endpoint of a cluster. */
export interface ToCluster {
  readonly kind: "cluster";
  readonly cluster: Cluster;
  /** Set where the client dialled this endpoint itself: then nothing is balanced. */
  readonly fixed: DataEndpoint | null;
}

interface Live extends Cluster {
  service: DataService;
  endpoints: readonly DataEndpoint[];
  loops: boolean;
}

/** Places where this proxy itself listens. A request that led there would go round and round. */
export class OwnPlaces {
  readonly #places = new Set<string>();
  readonly #ports: ReadonlySet<number>;
  readonly #addresses: ReadonlySet<string>;

  constructor(addresses: readonly string[], ports: readonly number[]) {
    this.#ports = new Set(ports);
    this.#addresses = new Set(addresses.map(canonicalAddress));
    for (const address of addresses) {
      for (const port of ports) this.#places.add(formatHostPort(canonicalAddress(address), port));
    }
  }

  /** Is this (canonical) address the host's own, loopback included? */
  isHost(address: string): boolean {
    return isLoopback(address) || this.#addresses.has(address);
  }

  hasPort(port: number): boolean {
    return this.#ports.has(port);
  }

  /** The whole of 127.0.0.0/8 leads to a port that listens on all addresses. */
  has(address: string, port: number): boolean {
    if (this.#ports.has(port) && isLoopback(canonicalAddress(address))) return true;
    return this.#places.has(formatHostPort(canonicalAddress(address), port));
  }
}

/**
 * Clusters are made when first asked for, and follow the updates of their service: the balancer keeps what
 * it knows, because an update replaces its endpoints and not itself.
 */
export class Clusters {
  readonly #deps: BalancerDeps;
  readonly #own: OwnPlaces;
  readonly #byService = new Map<string, Map<string, Live>>();
  /** What names led to, as long as the services stay as they are. */
  readonly named = new NamedDestinations();

  constructor(deps: BalancerDeps, own: OwnPlaces) {
    this.#deps = deps;
    this.#own = own;
  }

  get(service: DataService, portName: string): Cluster {
    let ports = this.#byService.get(service.key);
    if (ports === undefined) {
      ports = new Map();
      this.#byService.set(service.key, ports);
    }
    const known = ports.get(portName);
    if (known !== undefined) return known;
    const cluster = this.#make(service, portName);
    ports.set(portName, cluster);
    return cluster;
  }

  #make(service: DataService, portName: string): Live {
    const all = endpointsOf(service, portName);
    const endpoints = all.filter((one) => !this.#own.has(one.address, one.port));
    const { policy, hashOn } = service.balancer;
    const hashes = policy === "ring-hash" || policy === "maglev";
    return {
      service,
      endpoints,
      balancer: createBalancer(service.balancer, endpoints, this.#deps),
      hashOn: hashes ? (hashOn ?? { kind: "source" }) : null,
      loops: endpoints.length < all.length,
    };
  }

  update(before: DataService | undefined, after: DataService): void {
    const ports = this.#byService.get(after.key);
    if (ports === undefined) return;
    const samePolicy = JSON.stringify(before?.balancer ?? null) === JSON.stringify(after.balancer);
    for (const [portName, cluster] of ports) {
      const known = after.ports.length === 0 || after.ports.some((port) => port.name === portName);
      if (!samePolicy || !known) {
        ports.delete(portName);
        continue;
      }
      const all = endpointsOf(after, portName);
      cluster.service = after;
      cluster.endpoints = all.filter((one) => !this.#own.has(one.address, one.port));
      cluster.loops = cluster.endpoints.length < all.length;
      cluster.balancer.update(cluster.endpoints);
    }
  }

  remove(service: DataService): void {
    this.#byService.delete(service.key);
  }
}

/** A service without ports of its own leads to all its endpoints. */
function endpointsOf(service: DataService, portName: string): readonly DataEndpoint[] {
  return service.ports.length === 0
    ? service.endpoints
    : service.endpoints.filter((endpoint) => endpoint.portName === portName);
}
