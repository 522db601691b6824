import { hostNamesOf } from "../src/core/host-names.ts";
import type { Endpoint, Service } from "../src/core/model.ts";
import type { DataService } from "../src/core/snapshot.ts";
import type { ServiceRef } from "../src/core/traffic.ts";
import { RefIndex } from "./ref-index.ts";
import type { SlotPool } from "./slots.ts";

interface EndpointEntry {
  readonly record: Endpoint;
  /** null: no slot was left for it. */
  readonly slot: number | null;
}

export interface ServiceEntry {
  record: Service | null;
  readonly endpoints: Map<string, EndpointEntry>;
  compiled: DataService | null;
}

/** Services with their endpoints as they are known, the slots of the endpoints, and which must be compiled again. */
export class ServiceEntries {
  readonly #slots: SlotPool;
  readonly #byKey = new Map<string, ServiceEntry>();
  /** Service key of each endpoint. */
  readonly #homes = new Map<string, string>();
  readonly #leftOut = new Set<string>();
  /** Keys of the services that answer to each host name. */
  readonly #byHost = new Map<string, Set<string>>();
  readonly dirty = new Set<string>();

  constructor(slots: SlotPool) {
    this.#slots = slots;
  }

  [Symbol.iterator](): MapIterator<[string, ServiceEntry]> {
    return this.#byKey[Symbol.iterator]();
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  record(key: string): Service | null | undefined {
    return this.#byKey.get(key)?.record;
  }

  endpoint(id: string): Endpoint | undefined {
    return this.#known(id)?.record;
  }

  endpointIds(): Iterable<string> {
    return this.#homes.keys();
  }

  get endpointCount(): number {
    return this.#homes.size;
  }

  /** Endpoints that found no slot. */
  get leftOut(): number {
    return this.#leftOut.size;
  }

  entry(key: string): ServiceEntry {
    let entry = this.#byKey.get(key);
    if (entry === undefined) {
      entry = { record: null, endpoints: new Map(), compiled: null };
      this.#byKey.set(key, entry);
    }
    return entry;
  }

  /** Forgets an entry of which nothing is left. */
  prune(key: string): void {
    const entry = this.#byKey.get(key);
    if (entry === undefined || entry.record !== null || entry.compiled !== null) return;
    if (entry.endpoints.size === 0) this.#byKey.delete(key);
  }

  setService(key: string, record: Service | null): void {
    const entry = this.entry(key);
    if (entry.record !== null) this.#forgetHosts(key, entry.record);
    if (record !== null) this.#rememberHosts(key, record);
    entry.record = record;
    this.dirty.add(key);
  }

  #rememberHosts(key: string, record: Service): void {
    for (const host of hostNamesOf(record)) {
      const keys = this.#byHost.get(host);
      if (keys === undefined) this.#byHost.set(host, new Set([key]));
      else keys.add(key);
    }
  }

  #forgetHosts(key: string, record: Service): void {
    for (const host of hostNamesOf(record)) {
      const keys = this.#byHost.get(host);
      keys?.delete(key);
      if (keys?.size === 0) this.#byHost.delete(host);
    }
  }

  /** Services that a reference may mean are compiled again. */
  touch(ref: ServiceRef): void {
    if (!ref.startsWith("host:")) {
      this.dirty.add(ref);
      return;
    }
    if (!ref.startsWith("host:*")) {
      for (const key of this.#byHost.get(ref.slice("host:".length)) ?? []) this.dirty.add(key);
      return;
    }
    for (const [key, { record }] of this.#byKey) {
      if (record !== null && RefIndex.means(ref, record)) this.dirty.add(key);
    }
  }

  setEndpoint(id: string, record: Endpoint): void {
    const key = `${record.namespace}/${record.service}`;
    const known = this.#known(id);
    const before = known?.slot ?? null;
    // What was measured belongs to the address: another address is another endpoint with the same name.
    const same =
      before !== null &&
      this.#homes.get(id) === key &&
      known?.record.address === record.address &&
      known.record.port === record.port;
    if (!same) this.removeEndpoint(id);
    // What made callers eject it is over, as its checks say.
    else if (known.record.health === "critical" && record.health !== "critical") {
      this.#slots.readmit(before);
    }
    const slot = same ? before : this.#slots.take();
    if (slot === null) this.#leftOut.add(id);
    else this.#leftOut.delete(id);
    this.entry(key).endpoints.set(id, { record, slot });
    this.#homes.set(id, key);
    this.dirty.add(key);
  }

  removeEndpoint(id: string): void {
    const home = this.#homes.get(id);
    if (home === undefined) return;
    const entry = this.entry(home);
    const slot = entry.endpoints.get(id)?.slot ?? null;
    if (slot !== null) this.#slots.give(slot);
    entry.endpoints.delete(id);
    this.#homes.delete(id);
    this.#leftOut.delete(id);
    this.dirty.add(home);
  }

  /** Gives slots to those that were left out, as far as there are any. */
  readmit(): void {
    for (const id of this.#leftOut) {
      if (this.#slots.available === 0) return;
      const known = this.#known(id);
      if (known !== undefined) this.setEndpoint(id, known.record);
    }
  }

  #known(id: string): EndpointEntry | undefined {
    const home = this.#homes.get(id);
    return home === undefined ? undefined : this.#byKey.get(home)?.endpoints.get(id);
  }
}
