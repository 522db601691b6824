import { keyOf } from "../core/model.ts";
import { Buckets, bucketsOf } from "./buckets.ts";
import { Digest } from "./digest.ts";
import type { RecordView } from "./record-view.ts";
import {
  isPublished,
  publish,
  type RecordKind,
  type RecordValues,
  type StoredRecord,
  type Tombstone,
  type VersionedChange,
} from "./records.ts";
import type { Commit, Store } from "./store.ts";

/** What a commit changed, for those who wait for it. */
export interface CatalogChange {
  readonly revision: number;
  /** What daemons are told. */
  readonly published: readonly VersionedChange[];
  /** Services of which the record, an endpoint or a check changed. */
  readonly services: ReadonlySet<string>;
  /** Hosts whose probes (http and tcp checks) changed. */
  readonly probeHosts: ReadonlySet<string>;
  readonly changes: Commit["changes"];
}

type AnyMap = Map<string, StoredRecord>;

/** All records in memory, indexed. Follows the store: nothing else writes to it. */
export class Catalog implements RecordView {
  readonly #records: Record<RecordKind, AnyMap> = {
    service: new Map(),
    endpoint: new Map(),
    workload: new Map(),
    check: new Map(),
    host: new Map(),
    trust: new Map(),
    resource: new Map(),
    history: new Map(),
    policy: new Map(),
    route: new Map(),
    traffic: new Map(),
    scope: new Map(),
  };
  readonly #buckets = new Buckets();
  readonly #digest = new Digest();
  readonly #listeners = new Set<(change: CatalogChange) => void>();
  #revision = 0;

  /** Reads everything and follows the store from there on. */
  static async open(store: Store): Promise<Catalog> {
    const catalog = new Catalog();
    const early: Commit[] = [];
    let ready = false;
    store.subscribe((commit) => {
      if (ready) catalog.#apply(commit);
      else early.push(commit);
    });
    // What is told while it is read is newer, or is in it already and does no harm twice.
    catalog.#revision = store.revision();
    for await (const batch of store.load()) for (const record of batch) catalog.#set(record);
    for (const commit of early) catalog.#apply(commit);
    ready = true;
    return catalog;
  }

  revision(): number {
    return this.#revision;
  }

  digest(): string {
    return this.#digest.toString();
  }

  get<K extends RecordKind>(kind: K, key: string): RecordValues[K] | undefined {
    return this.record(kind, key)?.value as RecordValues[K] | undefined;
  }

  record<K extends RecordKind>(kind: K, key: string): StoredRecord<K> | undefined {
    return this.#records[kind].get(key) as StoredRecord<K> | undefined;
  }

  /** Every record of a kind at this moment; later changes do not touch the array. */
  all<K extends RecordKind>(kind: K): StoredRecord<K>[] {
    return [...this.#records[kind].values()] as StoredRecord<K>[];
  }

  count(kind: RecordKind): number {
    return this.#records[kind].size;
  }

  members(bucket: string): Iterable<string> {
    return this.#buckets.members(bucket);
  }

  /** Everything that daemons are told, at this moment; records are encoded later, when they are sent. */
  published(): StoredRecord[] {
    const kinds = (Object.keys(this.#records) as RecordKind[]).filter(isPublished);
    return kinds.flatMap((kind) => [...this.#records[kind].values()]);
  }

  subscribe(listener: (change: CatalogChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #apply(commit: Commit): void {
    if (commit.revision <= this.#revision) return;
    const services = new Set<string>();
    const probeHosts = new Set<string>();
    for (const change of commit.changes) {
      const before = this.#records[change.kind].get(change.key);
      for (const record of [before, change]) {
        if (record !== undefined) this.#touch(record, services, probeHosts);
      }
      if (change.value === null) this.#delete(change);
      else this.#set(change);
    }
    this.#revision = commit.revision;
    const published = commit.changes.map(publish).filter((each) => each !== null);
    const told = { ...commit, published, services, probeHosts };
    for (const listener of this.#listeners) listener(told);
  }

  #touch(record: StoredRecord | Tombstone, services: Set<string>, hosts: Set<string>): void {
    if (record.value === null) return;
    if (record.kind === "service") services.add(record.key);
    if (record.kind === "endpoint") services.add(serviceKeyOf(record.value));
    if (record.kind !== "check") return;
    if (record.value.spec.kind !== "ttl") hosts.add(record.value.host);
    const endpoint = this.get("endpoint", record.value.endpoint);
    if (endpoint !== undefined) services.add(serviceKeyOf(endpoint));
  }

  #set(record: StoredRecord): void {
    this.#delete(record);
    this.#records[record.kind].set(record.key, record);
    for (const bucket of bucketsOf(record.kind, record.value)) {
      this.#buckets.add(bucket, record.key);
    }
    if (isPublished(record.kind)) this.#digest.add(record.kind, record.key, record.revision);
  }

  #delete({ kind, key }: { readonly kind: RecordKind; readonly key: string }): void {
    const record = this.#records[kind].get(key);
    if (record === undefined) return;
    this.#records[kind].delete(key);
    for (const bucket of bucketsOf(kind, record.value)) this.#buckets.delete(bucket, key);
    if (isPublished(kind)) this.#digest.remove(kind, key, record.revision);
  }
}

/** Key of the service that an endpoint serves. */
export function serviceKeyOf({ endpoint }: RecordValues["endpoint"]): string {
  return keyOf({ namespace: endpoint.namespace, name: endpoint.service });
}
