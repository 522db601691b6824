import { canonicalAddress } from "../src/core/address.ts";
import type { Clock } from "../src/core/clock.ts";
import type { Change, Endpoint, MeshHost, Service, Workload } from "../src/core/model.ts";
import type { Policies, PolicyTarget } from "../src/core/policy.ts";
import {
  type DataEndpoint,
  type DataService,
  type DataUpdate,
  targetOfWorkload,
} from "../src/core/snapshot.ts";
import type { Log } from "../src/telemetry/log.ts";
import { compileEndpoint, compileService } from "./compile-service.ts";
import { Directory } from "./directory.ts";
import { LocalWorkloads } from "./local-workloads.ts";
import { type JwksSource, PolicyBook } from "./policy-book.ts";
import type { SlotState } from "./slots.ts";
import { SlotPool } from "./slots.ts";
import { TrafficBook } from "./traffic-book.ts";
import { validateChange } from "./validate-change.ts";

/** One step of the model. `full` names everything that exists; else it is a delta. */
export interface ModelBatch {
  readonly revision: number;
  readonly full: boolean;
  readonly changes: readonly Change[];
}

export interface CompilerDeps {
  /** Name of this host; endpoints that carry it are local. */
  readonly host: string;
  /** Addresses of this host: an endpoint there is a process of the host, not a container. */
  readonly ownAddresses: readonly string[];
  /** Of all identities; null: the mesh has none. */
  readonly trustDomain: string | null;
  readonly endpoints: { readonly slots: number; readonly state: SlotState };
  readonly workloads: { readonly slots: number; readonly state: SlotState };
  readonly clock: Clock;
  readonly log: Log;
}

export interface CompilerStats {
  readonly services: number;
  readonly endpoints: number;
  readonly localWorkloads: number;
  /** Batches refused by {@link Compiler.apply}. */
  readonly refused: number;
  /** Alarm: endpoints that found no slot and take no traffic. */
  readonly endpointsLeftOut: number;
  /** Alarm: local workloads that found no slot and are not captured. */
  readonly workloadsLeftOut: number;
  readonly slotsQuarantined: number;
}

interface EndpointEntry {
  readonly record: Endpoint;
  /** null: no slot was left for it. */
  readonly slot: number | null;
}

interface ServiceEntry {
  record: Service | null;
  readonly endpoints: Map<string, EndpointEntry>;
  compiled: DataService | null;
}

/**
 * Keeps the model and compiles it for the workers. It alone hands out slots in shared memory. The work of
 * a change is in proportion to the services that it names, whatever else exists.
 */
export class Compiler {
  readonly #deps: CompilerDeps;
  readonly #services = new Map<string, ServiceEntry>();
  /** Service key of each endpoint. */
  readonly #homes = new Map<string, string>();
  readonly #workloads = new Map<string, Workload>();
  readonly #hosts = new Map<string, MeshHost>();
  readonly #policies = new PolicyBook();
  readonly #traffic = new TrafficBook();
  readonly #directory: Directory;
  readonly #local: LocalWorkloads;
  readonly #endpointSlots: SlotPool;
  readonly #workloadSlots: SlotPool;
  readonly #leftOut = new Set<string>();
  readonly #dirty = new Set<string>();
  #revision = 0;
  #compiledCount = 0;
  #alarm = false;
  #refused = 0;

  constructor(deps: CompilerDeps) {
    this.#deps = deps;
    const { endpoints, workloads, clock } = deps;
    this.#endpointSlots = new SlotPool(endpoints.slots, endpoints.state, clock);
    this.#workloadSlots = new SlotPool(workloads.slots, workloads.state, clock);
    const ownAddresses = new Set(deps.ownAddresses.map(canonicalAddress));
    const { host, trustDomain } = deps;
    const slots = this.#workloadSlots;
    this.#directory = new Directory({ host, trustDomain });
    this.#local = new LocalWorkloads({ host, ownAddresses, trustDomain, slots });
  }

  get revision(): number {
    return this.#revision;
  }

  /**
   * Takes one revision and returns what workers must be told. Throws `InvalidChange` before anything is
   * changed. A full batch is compared with what is known, so that a resync disturbs nothing.
   */
  apply(batch: ModelBatch): DataUpdate {
    try {
      for (const change of batch.changes) validateChange(change);
    } catch (error) {
      this.#refused++;
      throw error;
    }
    const changes = batch.full ? this.#difference(batch.changes) : batch.changes;
    for (const change of changes) this.#take(change);
    this.#revision = batch.revision;
    return this.#emit();
  }

  /** Every compiled service. */
  *services(): Generator<DataService> {
    for (const { compiled } of this.#services.values()) if (compiled !== null) yield compiled;
  }

  /** Everything, for a worker that begins. */
  full(): DataUpdate {
    return {
      revision: this.#revision,
      full: true,
      services: [...this.services()],
      removedServices: [],
      workloads: this.#local.all(),
      removedWorkloads: [],
      policies: this.#policies.all(),
    };
  }

  /** Takes the newest JWKS documents, by URI; returns what workers must be told. */
  setJwks(jwks: Policies["jwks"]): DataUpdate {
    this.#policies.setJwks(jwks);
    return this.#emit();
  }

  /** The JWKS documents that policies need. */
  jwksWanted(): readonly JwksSource[] {
    return this.#policies.jwksWanted();
  }

  /** SPIFFE IDs for which this host needs certificates, its own included; none without identities. */
  localIdentities(): string[] {
    return this.#directory.identities(this.#local.all().flatMap(({ identity }) => identity ?? []));
  }

  /** Addresses of local workloads that some policy guards: plaintext to them must be captured, sorted. */
  guardedAddresses(): string[] {
    const own = new Set(this.localAddresses());
    const found = new Set<string>();
    const look = (target: PolicyTarget | undefined, address: string) => {
      if (target !== undefined && own.has(address) && this.#policies.guards(target)) {
        found.add(address);
      }
    };
    for (const workload of this.#local.all()) {
      for (const address of workload.addresses) look(targetOfWorkload(workload), address);
    }
    for (const { compiled } of this.#services.values()) {
      for (const { target, address } of compiled?.endpoints ?? []) look(target, address);
    }
    return [...found].sort();
  }

  /**
   * Called once a second: ends quarantines and gives the slots to those that were left out. Returns an
   * update when that changed anything.
   */
  sweep(): DataUpdate | null {
    this.#endpointSlots.sweep();
    this.#workloadSlots.sweep();
    for (const id of this.#leftOut) {
      if (this.#endpointSlots.available === 0) break;
      const home = this.#homes.get(id);
      const record = home === undefined ? undefined : this.#services.get(home)?.endpoints.get(id);
      if (record !== undefined) this.#setEndpoint(id, record.record);
    }
    if (this.#dirty.size === 0 && this.#local.leftOut === 0) return null;
    const update = this.#emit();
    return update.services.length + update.workloads.length === 0 ? null : update;
  }

  /** Addresses of the containers on this host, sorted. */
  localAddresses(): string[] {
    return this.#local.addresses();
  }

  stats(): CompilerStats {
    return {
      services: this.#compiledCount,
      endpoints: this.#homes.size,
      localWorkloads: this.#local.all().length,
      refused: this.#refused,
      endpointsLeftOut: this.#leftOut.size,
      workloadsLeftOut: this.#local.leftOut,
      slotsQuarantined: this.#endpointSlots.quarantined + this.#workloadSlots.quarantined,
    };
  }

  /** A full batch as a delta: what differs, and a removal for what it does not name. */
  #difference(changes: readonly Change[]): Change[] {
    const named = new Set<string>();
    const delta: Change[] = [];
    for (const change of changes) {
      if (change.value === null) continue;
      named.add(`${change.kind} ${change.key}`);
      // Equal texts mean equal records, and cost much less than a deep comparison; a record whose fields come
      // in another order is only told again.
      if (JSON.stringify(this.#current(change)) !== JSON.stringify(change.value))
        delta.push(change);
    }
    const removed: Change[] = [];
    for (const [kind, keys] of this.#known()) {
      for (const key of keys) {
        if (!named.has(`${kind} ${key}`)) removed.push({ kind, key, value: null });
      }
    }
    return [...removed, ...delta];
  }

  /** Keys of everything that is known, by kind. */
  #known(): [Change["kind"], Iterable<string>][] {
    const declared = [...this.#services].filter(([, { record }]) => record !== null);
    return [
      ["service", declared.map(([key]) => key)],
      ["endpoint", [...this.#homes.keys()]],
      ["workload", [...this.#workloads.keys()]],
      ["host", [...this.#hosts.keys()]],
      ["policy", [...this.#policies.keys()]],
      ...(["route", "traffic", "scope"] as const).map(
        (kind): [Change["kind"], Iterable<string>] => [kind, [...this.#traffic.keys(kind)]],
      ),
    ];
  }

  #current(change: Change): unknown {
    switch (change.kind) {
      case "service":
        return this.#services.get(change.key)?.record;
      case "workload":
        return this.#workloads.get(change.key);
      case "endpoint": {
        const home = this.#homes.get(change.key);
        if (home === undefined) return undefined;
        return this.#services.get(home)?.endpoints.get(change.key)?.record;
      }
      case "host":
        return this.#hosts.get(change.key);
      case "policy":
        return this.#policies.get(change.key);
      case "route":
      case "traffic":
      case "scope":
        return this.#traffic.get(change.kind, change.key);
      case "trust":
        return undefined;
    }
  }

  #take(change: Change): void {
    switch (change.kind) {
      case "service":
        this.#entry(change.key).record = change.value;
        this.#dirty.add(change.key);
        return;
      case "endpoint":
        if (change.value === null) this.#removeEndpoint(change.key);
        else this.#setEndpoint(change.key, change.value);
        this.#directory.setEndpoint(change.key, change.value);
        this.#local.setEndpoint(change.key, change.value);
        return;
      case "workload":
        if (change.value === null) this.#workloads.delete(change.key);
        else this.#workloads.set(change.key, change.value);
        this.#directory.setWorkload(change.key, change.value);
        this.#local.setWorkload(change.key, change.value);
        return;
      case "host":
        if (change.value === null) this.#hosts.delete(change.key);
        else this.#hosts.set(change.key, change.value);
        this.#directory.setHost(change.key, change.value);
        return;
      case "policy":
        this.#policies.set(change.key, change.value);
        return;
      case "route":
      case "traffic":
      case "scope":
        this.#traffic.set(change);
        return;
      case "trust":
        // Certificates are no part of the snapshot: whoever keeps them sees this record too.
        return;
    }
  }

  #entry(key: string): ServiceEntry {
    let entry = this.#services.get(key);
    if (entry === undefined) {
      entry = { record: null, endpoints: new Map(), compiled: null };
      this.#services.set(key, entry);
    }
    return entry;
  }

  #setEndpoint(id: string, record: Endpoint): void {
    const key = `${record.namespace}/${record.service}`;
    const home = this.#homes.get(id);
    const known = home === undefined ? undefined : this.#services.get(home)?.endpoints.get(id);
    const before = known?.slot ?? null;
    // What was measured belongs to the address: another address is another endpoint with the same name.
    const same =
      before !== null &&
      home === key &&
      known?.record.address === record.address &&
      known.record.port === record.port;
    if (!same) this.#removeEndpoint(id);
    const slot = same ? before : this.#endpointSlots.take();
    if (slot === null) this.#leftOut.add(id);
    else this.#leftOut.delete(id);
    this.#entry(key).endpoints.set(id, { record, slot });
    this.#homes.set(id, key);
    this.#dirty.add(key);
  }

  #removeEndpoint(id: string): void {
    const home = this.#homes.get(id);
    if (home === undefined) return;
    const entry = this.#entry(home);
    const slot = entry.endpoints.get(id)?.slot ?? null;
    if (slot !== null) this.#endpointSlots.give(slot);
    entry.endpoints.delete(id);
    this.#homes.delete(id);
    this.#leftOut.delete(id);
    this.#dirty.add(home);
  }

  #emit(): DataUpdate {
    const services: DataService[] = [];
    const removedServices: string[] = [];
    const policies = this.#policies.flush();
    // Once for all that changed together: which endpoints a policy touches is asked of every one of them.
    if (policies !== null) this.#directory.setPeerPolicies(this.#policies.peers());
    for (const key of this.#directory.takeDirty()) {
      if (this.#services.has(key)) this.#dirty.add(key);
    }
    for (const key of this.#dirty) {
      const entry = this.#entry(key);
      const existed = entry.compiled !== null;
      entry.compiled = entry.record === null ? null : this.#compile(key, entry.record, entry);
      if (entry.compiled !== null) services.push(entry.compiled);
      else if (existed) removedServices.push(key);
      this.#compiledCount += Number(entry.compiled !== null) - Number(existed);
      if (entry.record === null && entry.endpoints.size === 0) this.#services.delete(key);
    }
    this.#dirty.clear();
    const { workloads, removed: removedWorkloads } = this.#local.flush();
    this.#raiseAlarm();
    const told = policies === null ? {} : { policies };
    const revision = this.#revision;
    return {
      revision,
      full: false,
      services,
      removedServices,
      workloads,
      removedWorkloads,
      ...told,
    };
  }

  #compile(key: string, record: Service, entry: ServiceEntry): DataService {
    const endpoints: DataEndpoint[] = [];
    for (const { record: one, slot } of entry.endpoints.values()) {
      if (slot === null) continue;
      const base = compileEndpoint(one, slot, this.#deps.host);
      endpoints.push({ ...base, ...this.#directory.describe(one) });
    }
    return compileService(key, record, endpoints);
  }

  #raiseAlarm(): void {
    const endpoints = this.#leftOut.size;
    const workloads = this.#local.leftOut;
    const alarm = endpoints + workloads > 0;
    if (alarm && !this.#alarm) {
      const hint = "raise limits.endpoints or limits.workloads";
      this.#deps.log.error("shared memory is full: some records take no traffic", {
        endpoints,
        workloads,
        hint,
      });
    }
    this.#alarm = alarm;
  }
}
