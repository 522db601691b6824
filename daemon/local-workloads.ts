import { isIP } from "node:net";
import { canonicalAddress } from "../src/core/address.ts";
import { formatSpiffeId } from "../src/core/identity.ts";
import { logMarksIn } from "../src/core/log-mark.ts";
import type { Endpoint, Workload } from "../src/core/model.ts";
import type { DataWorkload } from "../src/core/snapshot.ts";
import type { SlotPool } from "./slots.ts";

/** What changed in the list of local workloads since the last flush. */
export interface WorkloadDelta {
  readonly workloads: DataWorkload[];
  readonly removed: string[];
}

/** An address that belongs to a container for as long as that lives. */
export interface TiedAddress {
  /** Canonical. */
  readonly address: string;
  /** Of the record. */
  readonly uid: string;
}

export interface LocalWorkloadsDeps {
  /** Name of this host. */
  readonly host: string;
  /** Addresses of the host itself: what lives there is no container. */
  readonly ownAddresses: ReadonlySet<string>;
  /** Of all identities; null: the mesh has none. */
  readonly trustDomain: string | null;
  readonly slots: SlotPool;
}

/**
 * Which containers live on this host, and who they are. A registered workload of this host is one; and so
 * that a single Consul-style registration is enough, the address of an endpoint of this host is one too,
 * named by its service, when no record claims that address and it is not the host's own. An endpoint outside of the
 * mesh is none, and one that names its workload is that one.
 *
 * A derived workload's key is `namespace/service@address`: each container has its own quota. Its service account is
 * named after its service, so that services have identities of their own (as Consul gives them).
 */
export class LocalWorkloads {
  readonly #host: string;
  readonly #own: ReadonlySet<string>;
  readonly #trustDomain: string | null;
  readonly #slots: SlotPool;
  readonly #records = new Map<string, Workload>();
  /** Keys of the records that claim an address, of this host or another. */
  readonly #claims = new Map<string, Set<string>>();
  /** Endpoints of this host by address. */
  readonly #candidates = new Map<string, Map<string, Endpoint>>();
  readonly #homes = new Map<string, string>();
  readonly #compiled = new Map<string, DataWorkload>();
  /** Key of the derived workload at an address. */
  readonly #derived = new Map<string, string>();
  readonly #waiting = new Set<string>();
  readonly #dirtyKeys = new Set<string>();
  readonly #dirtyAddresses = new Set<string>();
  /** By address, the `uid` of the container that has left it. */
  readonly #left = new Map<string, string>();

  constructor(deps: LocalWorkloadsDeps) {
    this.#host = deps.host;
    this.#own = deps.ownAddresses;
    this.#trustDomain = deps.trustDomain;
    this.#slots = deps.slots;
  }

  /** Adds, replaces or (null) removes a registered workload. */
  setWorkload(key: string, value: Workload | null): void {
    const before = this.#records.get(key);
    this.#settle(before, value);
    for (const address of before?.addresses ?? []) this.#unclaim(canonicalAddress(address), key);
    if (value === null) this.#records.delete(key);
    else {
      this.#records.set(key, value);
      for (const raw of value.addresses) {
        const address = canonicalAddress(raw);
        const claims = this.#claims.get(address) ?? new Set();
        this.#claims.set(address, claims.add(key));
        this.#touch(address);
      }
    }
    this.#dirtyKeys.add(key);
  }

  /** Adds, replaces or (null) removes an endpoint; those of other hosts count for nothing here. */
  setEndpoint(id: string, value: Endpoint | null): void {
    const home = this.#homes.get(id);
    if (home !== undefined) {
      const there = this.#candidates.get(home);
      there?.delete(id);
      if (there?.size === 0) this.#candidates.delete(home);
      this.#homes.delete(id);
      this.#dirtyAddresses.add(home);
    }
    if (value === null || value.host !== this.#host || isKnown(value)) return;
    const address = canonicalAddress(value.address);
    if (!this.#isContainer(address)) return;
    const there = this.#candidates.get(address) ?? new Map<string, Endpoint>();
    this.#candidates.set(address, there.set(id, value));
    this.#homes.set(id, address);
    this.#dirtyAddresses.add(address);
  }

  /**
   * The container with this `uid` is not at this address any more, whatever the registry says: until it names another one
   * there, or has taken this one back, the address belongs to nobody.
   */
  leave({ address, uid }: TiedAddress): void {
    this.#left.set(address, uid);
    this.#touch(address);
  }

  /** Addresses that were left, as far as the registry has not caught up. */
  left(): TiedAddress[] {
    return [...this.#left].map(([address, uid]) => ({ address, uid }));
  }

  /** Was this address left, and has it no owner since? */
  isAbandoned(address: string): boolean {
    return this.#left.has(address) && this.#owner(address) === null;
  }

  /** Addresses of local workloads that have a `uid`. */
  tied(): TiedAddress[] {
    const found: TiedAddress[] = [];
    for (const [key, { addresses }] of this.#compiled) {
      const uid = this.#records.get(key)?.uid;
      if (uid === undefined) continue;
      for (const address of addresses) {
        if (this.#isContainer(address)) found.push({ address, uid });
      }
    }
    return found;
  }

  /** Recompiles what was touched since the last call. Never throws. */
  flush(): WorkloadDelta {
    const delta: WorkloadDelta = { workloads: [], removed: [] };
    for (const key of this.#waiting) this.#dirtyAgain(key);
    for (const key of this.#dirtyKeys) this.#compileRecord(key, delta);
    for (const address of this.#dirtyAddresses) this.#compileDerived(address, delta);
    this.#dirtyKeys.clear();
    this.#dirtyAddresses.clear();
    return delta;
  }

  /** Every local workload as workers know it. */
  all(): DataWorkload[] {
    return [...this.#compiled.values()];
  }

  /** The addresses whose traffic is to be captured: containers only, never the host's own. */
  addresses(): string[] {
    const found = new Set<string>();
    for (const workload of this.#compiled.values()) {
      for (const address of workload.addresses) if (this.#isContainer(address)) found.add(address);
    }
    return [...found].sort();
  }

  /** Local workloads that found no slot and are therefore neither captured nor known. */
  get leftOut(): number {
    return this.#waiting.size;
  }

  /** The registry has caught up with the addresses that this record gives up. */
  #settle(before: Workload | undefined, value: Workload | null): void {
    if (before?.uid === undefined) return;
    const kept = value?.uid === before.uid ? value.addresses.map(canonicalAddress) : [];
    for (const address of before.addresses.map(canonicalAddress)) {
      if (this.#left.get(address) === before.uid && !kept.includes(address)) {
        this.#left.delete(address);
      }
    }
  }

  #hasLeft(address: string, record: Workload): boolean {
    return record.uid !== undefined && this.#left.get(address) === record.uid;
  }

  #unclaim(address: string, key: string): void {
    const claims = this.#claims.get(address);
    claims?.delete(key);
    if (claims?.size === 0) this.#claims.delete(address);
    this.#touch(address);
  }

  #touch(address: string): void {
    this.#dirtyAddresses.add(address);
    for (const key of this.#claims.get(address) ?? []) this.#dirtyKeys.add(key);
  }

  #dirtyAgain(key: string): void {
    if (this.#slots.available === 0) return;
    if (this.#records.has(key)) this.#dirtyKeys.add(key);
    else this.#dirtyAddresses.add(key.slice(key.lastIndexOf("@") + 1));
  }

  #isContainer(address: string): boolean {
    if (isIP(address) === 0 || this.#own.has(address)) return false;
    return !address.startsWith("127.") && address !== "::1";
  }

  /** Of several records that claim one address, the first by key has it: the choice must not flap. */
  #owner(address: string): string | null {
    let first: string | null = null;
    for (const key of this.#claims.get(address) ?? []) {
      const record = this.#records.get(key);
      if (record?.host !== this.#host || this.#hasLeft(address, record)) continue;
      if (first === null || key < first) first = key;
    }
    return first;
  }

  #compileRecord(key: string, delta: WorkloadDelta): void {
    const record = this.#records.get(key);
    if (record === undefined || record.host !== this.#host) {
      this.#drop(key, delta);
      return;
    }
    const all = record.addresses.map(canonicalAddress);
    const addresses = all.filter((address) => this.#owner(address) === key);
    const isGone = addresses.length === 0 && all.some((address) => this.#hasLeft(address, record));
    if (isGone) this.#drop(key, delta);
    else this.#put(key, { ...record, addresses }, delta);
  }

  #compileDerived(address: string, delta: WorkloadDelta): void {
    const endpoint = this.#claims.has(address) ? null : this.#firstCandidate(address);
    const key = endpoint === null ? null : `${endpoint.namespace}/${endpoint.service}@${address}`;
    const before = this.#derived.get(address);
    if (before !== undefined && before !== key) {
      this.#derived.delete(address);
      this.#drop(before, delta);
    }
    if (endpoint === null || key === null) return;
    this.#derived.set(address, key);
    const labels = logMarksIn(endpoint.meta);
    const known = this.#compiled.get(key);
    if (known !== undefined && isEqual(known.labels ?? {}, labels)) return;
    const { service: name, namespace } = endpoint;
    const what = { name, namespace, serviceAccount: name, addresses: [address] };
    this.#put(key, Object.keys(labels).length === 0 ? what : { ...what, labels }, delta);
  }

  /** Several services at one address are one container: the first by name gives it its name. */
  #firstCandidate(address: string): Endpoint | null {
    let first: Endpoint | null = null;
    for (const endpoint of this.#candidates.get(address)?.values() ?? []) {
      const name = `${endpoint.namespace}/${endpoint.service}`;
      if (first === null || name < `${first.namespace}/${first.service}`) first = endpoint;
    }
    return first;
  }

  #put(key: string, what: Omit<Workload, "host">, delta: WorkloadDelta): void {
    const slot = this.#compiled.get(key)?.slot ?? this.#slots.take();
    if (slot === null) {
      this.#waiting.add(key);
      return;
    }
    this.#waiting.delete(key);
    const { name, namespace, serviceAccount, addresses } = what;
    const trustDomain = this.#trustDomain;
    const compiled = {
      ...{ slot, key, name, namespace, serviceAccount, addresses },
      ...(trustDomain === null
        ? {}
        : { identity: formatSpiffeId({ trustDomain, namespace, serviceAccount }) }),
      ...(what.labels === undefined ? {} : { labels: what.labels }),
      ...(what.uid === undefined ? {} : { uid: what.uid }),
    };
    this.#compiled.set(key, compiled);
    delta.workloads.push(compiled);
  }

  #drop(key: string, delta: WorkloadDelta): void {
    this.#waiting.delete(key);
    const compiled = this.#compiled.get(key);
    if (compiled === undefined) return;
    this.#compiled.delete(key);
    this.#slots.give(compiled.slot);
    delta.removed.push(key);
  }
}

/** Is it said who it is, or that it is nobody here? */
function isKnown({ outside, workload }: Endpoint): boolean {
  return outside === true || workload !== undefined;
}

function isEqual(
  a: Readonly<Record<string, string>>,
  b: Readonly<Record<string, string>>,
): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
