import { canonicalAddress, type HostPort } from "../src/core/address.ts";
import { formatSpiffeId, hostSpiffeId } from "../src/core/identity.ts";
import type { Endpoint, MeshHost, Workload } from "../src/core/model.ts";
import { mtlsModeOf, type PeerPolicy, type PolicyTarget } from "../src/core/policy.ts";
import type { DataEndpoint, Place } from "../src/core/snapshot.ts";
import { Buckets } from "../src/registry/buckets.ts";

export interface DirectoryDeps {
  /** Name of this host. */
  readonly host: string;
  /** Null: the mesh has no identities. */
  readonly trustDomain: string | null;
}

/**
 * Who lives behind each endpoint, and how its host is reached: the part of an endpoint's compiled form that other
 * records decide. It tells which services must be compiled again when one of those changes.
 */
export class Directory {
  readonly #deps: DirectoryDeps;
  readonly #endpoints = new Map<string, Endpoint>();
  /** Ids of endpoints, by host and by place (host and address). */
  readonly #byHost = new Buckets();
  readonly #byPlace = new Buckets();
  readonly #workloads = new Map<string, Workload>();
  /** Keys of the workloads that claim a place. */
  readonly #claims = new Buckets();
  readonly #hosts = new Map<string, MeshHost>();
  #hasMoved = false;
  #peers: readonly PeerPolicy[] = [];
  #dirty = new Set<string>();

  constructor(deps: DirectoryDeps) {
    this.#deps = deps;
  }

  setEndpoint(id: string, value: Endpoint | null): void {
    const before = this.#endpoints.get(id) ?? null;
    if (before !== null) {
      this.#byHost.delete(before.host, id);
      this.#byPlace.delete(placeOf(before.host, before.address), id);
      this.#endpoints.delete(id);
    }
    if (value !== null) {
      this.#endpoints.set(id, value);
      this.#byHost.add(value.host, id);
      this.#byPlace.add(placeOf(value.host, value.address), id);
    }
    if (before !== null && value !== null && servesSame(before, value)) return;
    for (const one of [before, value]) if (one !== null) this.#touchNeighbours(one);
  }

  setWorkload(key: string, value: Workload | null): void {
    const before = this.#workloads.get(key);
    for (const record of [before, value]) {
      for (const address of record?.addresses ?? []) {
        const place = placeOf(record?.host ?? "", address);
        if (record === before) this.#claims.delete(place, key);
        else this.#claims.add(place, key);
        this.#touch(this.#byPlace.members(place));
      }
    }
    if (value === null) this.#workloads.delete(key);
    else this.#workloads.set(key, value);
  }

  setHost(name: string, value: MeshHost | null): void {
    if (value === null) this.#hosts.delete(name);
    else this.#hosts.set(name, value);
    if (name === this.#deps.host) this.#hasMoved = true;
    else this.#touch(this.#byHost.members(name));
  }

  /** Where this host is, as the registry knows it. */
  place(): Place {
    const { zone = "", region = "" } = this.#hosts.get(this.#deps.host) ?? {};
    return { zone, region };
  }

  /** Where it is, if something was said about that since the last call. */
  takePlace(): Place | null {
    if (!this.#hasMoved) return null;
    this.#hasMoved = false;
    return this.place();
  }

  setPeerPolicies(policies: readonly PeerPolicy[]): void {
    if (disables(policies) || disables(this.#peers)) this.#touch(this.#endpoints.keys());
    this.#peers = policies;
  }

  /** Keys of the services whose endpoints must be compiled again, since the last call. */
  takeDirty(): Set<string> {
    const dirty = this.#dirty;
    this.#dirty = new Set();
    return dirty;
  }

  /** What is known of the workload behind an endpoint; nothing where that is outside of the mesh. */
  describe(endpoint: Endpoint): Pick<DataEndpoint, "identity" | "mesh" | "away" | "target"> {
    const { trustDomain, host } = this.#deps;
    if (endpoint.outside) return {};
    const target = this.#targetOf(endpoint, trustDomain);
    const identity = target.identity === "" ? {} : { identity: target.identity };
    if (endpoint.host === host) return { ...identity, target };
    const mesh = this.#route(endpoint, target);
    if (mesh === null) return identity;
    const { away } = this.#hosts.get(endpoint.host) ?? {};
    return { ...identity, mesh, ...(away === undefined ? {} : { away }) };
  }

  /** Identities for which this host needs certificates: its own, those of its live endpoints, and those that are given. */
  identities(further: Iterable<string>, isLive: (endpoint: Endpoint) => boolean): string[] {
    const { trustDomain, host } = this.#deps;
    if (trustDomain === null) return [];
    const found = new Set([hostSpiffeId(trustDomain, host), ...further]);
    for (const id of this.#byHost.members(host)) {
      const endpoint = this.#endpoints.get(id);
      if (endpoint === undefined || endpoint.outside || !isLive(endpoint)) continue;
      found.add(this.#targetOf(endpoint, trustDomain).identity);
    }
    return [...found].sort();
  }

  /** A host without a daemon, or with one that has no identity, takes plaintext; so does who asks for it. */
  #route(endpoint: Endpoint, target: PolicyTarget): HostPort | null {
    const at = this.#hosts.get(endpoint.host);
    if (at === undefined || this.#deps.trustDomain === null) return null;
    if (mtlsModeOf(this.#peers, target, endpoint.port) === "disable") return null;
    return { host: canonicalAddress(at.address), port: at.meshPort };
  }

  #targetOf(endpoint: Endpoint, trustDomain: string | null): PolicyTarget {
    const { namespace, service, meta } = endpoint;
    const place = placeOf(endpoint.host, endpoint.address);
    const workload = this.#ownerOf(place);
    const serviceAccount = workload?.serviceAccount ?? service;
    const home = workload?.namespace ?? namespace;
    const name = workload === null ? `${namespace}/${service}@${endpoint.address}` : workload.name;
    return {
      key: `${home}/${name}#${namespace}/${service} ${JSON.stringify(meta)}`,
      namespace: home,
      serviceAccount,
      labels: { ...meta, ...workload?.labels },
      services: workload === null ? [service] : this.#servicesAt(place, namespace),
      identity:
        trustDomain === null
          ? ""
          : formatSpiffeId({ trustDomain, namespace: home, serviceAccount }),
    };
  }

  /** Of several records that claim one address, the first by key has it, as with captured traffic. */
  #ownerOf(place: string): Workload | null {
    const [first] = [...this.#claims.members(place)].sort();
    return first === undefined ? null : (this.#workloads.get(first) ?? null);
  }

  #servicesAt(place: string, namespace: string): string[] {
    const names = new Set<string>();
    for (const id of this.#byPlace.members(place)) {
      const one = this.#endpoints.get(id);
      if (one?.namespace === namespace) names.add(one.service);
    }
    return [...names].sort();
  }

  /** Endpoints of one registered container name, for policies, all services that it serves. */
  #touchNeighbours({ host, address }: Endpoint): void {
    const place = placeOf(host, address);
    if (host === this.#deps.host && this.#claims.has(place))
      this.#touch(this.#byPlace.members(place));
  }

  #touch(ids: Iterable<string>): void {
    for (const id of ids) {
      const endpoint = this.#endpoints.get(id);
      if (endpoint !== undefined) this.#dirty.add(`${endpoint.namespace}/${endpoint.service}`);
    }
  }
}

function placeOf(host: string, address: string): string {
  return `${host} ${canonicalAddress(address)}`;
}

function servesSame(a: Endpoint, b: Endpoint): boolean {
  return (
    a.service === b.service &&
    a.namespace === b.namespace &&
    placeOf(a.host, a.address) === placeOf(b.host, b.address)
  );
}

function disables(policies: readonly PeerPolicy[]): boolean {
  return policies.some(
    ({ mode, ports }) => mode === "disable" || Object.values(ports).includes("disable"),
  );
}
