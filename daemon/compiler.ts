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
import { differenceOf, type KnownModel } from "./difference.ts";
import { Directory } from "./directory.ts";
import { LocalWorkloads, type TiedAddress } from "./local-workloads.ts";
import { MetaAnnotations } from "./meta-annotations.ts";
import { type JwksSource, PolicyBook } from "./policy-book.ts";
import { ServiceEntries, type ServiceEntry } from "./service-entries.ts";
import { ServiceSlots } from "./service-slots.ts";
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
  /** Services and subsets, with their limits and budgets. */
  readonly services: { readonly slots: number; readonly state: SlotState };
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

/**
 * Keeps the model and compiles it for the workers. It alone hands out slots in shared memory. The work of
 * a change is in proportion to the services that it names, whatever else exists.
 */
export class Compiler implements KnownModel {
  readonly #deps: CompilerDeps;
  readonly #services: ServiceEntries;
  readonly #workloads = new Map<string, Workload>();
  readonly #hosts = new Map<string, MeshHost>();
  readonly #policies = new PolicyBook();
  readonly traffic = new TrafficBook();
  readonly #annotations: MetaAnnotations;
  readonly #directory: Directory;
  readonly #local: LocalWorkloads;
  readonly #endpointSlots: SlotPool;
  readonly #workloadSlots: SlotPool;
  readonly #servicePool: SlotPool;
  readonly #serviceSlots: ServiceSlots;
  #revision = 0;
  #compiledCount = 0;
  #alarm = false;
  #refused = 0;
  /** Addresses of this host that were left, and belong to nobody. */
  #abandoned: ReadonlySet<string> = new Set();

  constructor(deps: CompilerDeps) {
    this.#deps = deps;
    this.#annotations = new MetaAnnotations(deps.log);
    const { endpoints, workloads, services, clock } = deps;
    this.#endpointSlots = new SlotPool(endpoints.slots, endpoints.state, clock);
    this.#workloadSlots = new SlotPool(workloads.slots, workloads.state, clock);
    this.#services = new ServiceEntries(this.#endpointSlots);
    this.#servicePool = new SlotPool(services.slots, services.state, clock);
    this.#serviceSlots = new ServiceSlots(this.#servicePool);
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
    const changes = batch.full ? differenceOf(this, batch.changes) : batch.changes;
    for (const change of changes) this.#take(change);
    this.#revision = batch.revision;
    return this.#emit();
  }

  /** Every compiled service. */
  *services(): Generator<DataService> {
    for (const [, { compiled }] of this.#services) if (compiled !== null) yield compiled;
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
      scopes: this.traffic.scopes(),
      place: this.#directory.place(),
    };
  }

  /** Takes the newest JWKS documents, by URI; returns what workers must be told. */
  setJwks(jwks: Policies["jwks"]): DataUpdate {
    this.#policies.setJwks(jwks);
    return this.#emit();
  }

  /** See `LocalWorkloads.leave`; returns what workers must be told. */
  leave(tied: TiedAddress): DataUpdate {
    this.#local.leave(tied);
    return this.#emit();
  }

  /** Addresses of local workloads whose lifetime is known, and those that were left while the registry says otherwise. */
  tiedAddresses(): { readonly tied: TiedAddress[]; readonly left: TiedAddress[] } {
    return { tied: this.#local.tied(), left: this.#local.left() };
  }

  /** The JWKS documents that policies need. */
  jwksWanted(): readonly JwksSource[] {
    return this.#policies.jwksWanted();
  }

  /** SPIFFE IDs for which this host needs certificates, its own included; none without identities. */
  localIdentities(): string[] {
    return this.#directory.identities(
      this.#local.all().flatMap(({ identity }) => identity ?? []),
      (endpoint) => !this.#isAbandoned(endpoint),
    );
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
    for (const { endpoints } of this.services()) {
      for (const { target, address } of endpoints) look(target, address);
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
    this.#servicePool.sweep();
    this.#services.readmit();
    if (this.#services.dirty.size === 0 && this.#local.leftOut === 0) return null;
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
      endpoints: this.#services.endpointCount,
      localWorkloads: this.#local.all().length,
      refused: this.#refused,
      endpointsLeftOut: this.#services.leftOut,
      workloadsLeftOut: this.#local.leftOut,
      slotsQuarantined: this.#endpointSlots.quarantined + this.#workloadSlots.quarantined,
    };
  }

  /** Keys of everything that is known, by kind. */
  known(): [Change["kind"], Iterable<string>][] {
    const declared = [...this.#services].filter(([, { record }]) => record !== null);
    return [
      ["service", declared.map(([key]) => key)],
      ["endpoint", [...this.#services.endpointIds()]],
      ["workload", [...this.#workloads.keys()]],
      ["host", [...this.#hosts.keys()]],
      ["policy", [...this.#policies.keys()]],
      ...(["route", "traffic", "scope"] as const).map(
        (kind): [Change["kind"], Iterable<string>] => [kind, [...this.traffic.keys(kind)]],
      ),
    ];
  }

  current(change: Change): unknown {
    switch (change.kind) {
      case "service":
        return this.#services.record(change.key);
      case "workload":
        return this.#workloads.get(change.key);
      case "endpoint":
        return this.#services.endpoint(change.key);
      case "host":
        return this.#hosts.get(change.key);
      case "policy":
        return this.#policies.get(change.key);
      case "route":
      case "traffic":
      case "scope":
        return this.traffic.get(change.kind, change.key);
      case "trust":
        return undefined;
    }
  }

  #take(change: Change): void {
    switch (change.kind) {
      case "service":
        this.#services.setService(change.key, change.value);
        return;
      case "endpoint":
        if (change.value === null) this.#services.removeEndpoint(change.key);
        else this.#services.setEndpoint(change.key, change.value);
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
        for (const ref of this.traffic.set(change)) this.#services.touch(ref);
        return;
      case "trust":
        // Certificates are no part of the snapshot: whoever keeps them sees this record too.
        return;
    }
  }

  #emit(): DataUpdate {
    const services: DataService[] = [];
    const { dirty } = this.#services;
    const removedServices: string[] = [];
    const policies = this.#policies.flush();
    // Once for all that changed together: which endpoints a policy touches is asked of every one of them.
    if (policies !== null) this.#directory.setPeerPolicies(this.#policies.peers());
    for (const key of this.#directory.takeDirty()) {
      if (this.#services.has(key)) dirty.add(key);
    }
    this.#dirtyAbandoned(dirty);
    for (const key of dirty) {
      const existed = this.#services.entry(key).compiled !== null;
      const compiled = this.#recompile(key);
      if (compiled !== null) services.push(compiled);
      else if (existed) removedServices.push(key);
      this.#compiledCount += Number(compiled !== null) - Number(existed);
      this.#services.prune(key);
    }
    dirty.clear();
    const { workloads, removed: removedWorkloads } = this.#local.flush();
    this.#raiseAlarm();
    const scopes = this.traffic.flushScopes();
    const place = this.#directory.takePlace();
    const told = {
      ...(policies === null ? {} : { policies }),
      ...(scopes === null ? {} : { scopes }),
      ...(place === null ? {} : { place }),
    };
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

  /** Endpoints at an address that nobody has any more are none; which addresses those are has seldom changed. */
  #dirtyAbandoned(dirty: Set<string>): void {
    const left = this.#local.left().map(({ address }) => address);
    const now = new Set(left.filter((address) => this.#local.isAbandoned(address)));
    const before = this.#abandoned;
    const all = new Set([...now, ...before]);
    const changed = new Set([...all].filter((address) => now.has(address) !== before.has(address)));
    this.#abandoned = now;
    if (changed.size === 0) return;
    for (const [key, { endpoints }] of this.#services) {
      for (const { record } of endpoints.values()) {
        if (changed.has(canonicalAddress(record.address))) dirty.add(key);
      }
    }
  }

  #isAbandoned({ host, address }: Endpoint): boolean {
    return host === this.#deps.host && this.#abandoned.has(canonicalAddress(address));
  }

  /** Null: it is not there, or not any more. */
  #recompile(key: string): DataService | null {
    const entry = this.#services.entry(key);
    const record = entry.record ?? this.traffic.routedService(key);
    entry.compiled = record === null ? null : this.#compile(key, record, entry);
    if (entry.compiled === null) {
      this.#serviceSlots.give(key);
      this.#annotations.forget(key);
    }
    return entry.compiled;
  }

  #compile(key: string, record: Service, entry: ServiceEntry): DataService {
    const endpoints: DataEndpoint[] = [];
    const { traffic, protocols } = this.traffic.trafficOf(record, this.#annotations.of(key, entry));
    const place = { host: this.#deps.host, ports: record.ports, protocols };
    for (const { record: one, slot } of entry.endpoints.values()) {
      if (slot === null || this.#isAbandoned(one)) continue;
      const base = compileEndpoint(one, slot, place);
      endpoints.push({ ...base, ...this.#directory.describe(one) });
    }
    const routing = this.traffic.routesOf(record);
    const subsets = new Set(traffic.flatMap((each) => each.subsets.map(({ name }) => name)));
    const slots = this.#serviceSlots.take(key, ["", ...subsets]);
    return compileService(key, record, { endpoints, ...routing, traffic, protocols, slots });
  }

  #raiseAlarm(): void {
    const endpoints = this.#services.leftOut;
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
