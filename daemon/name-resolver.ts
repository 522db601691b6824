import type { Change, Endpoint } from "../src/core/model.ts";
import type { Timers } from "../src/registry/timers.ts";
import type { Log } from "../src/telemetry/log.ts";

/** Addresses of a name, and for how long they may be used, in ms. */
export interface Resolved {
  readonly addresses: readonly string[];
  readonly ttlMs: number;
}

export interface NameResolverDeps {
  readonly resolve: (name: string) => Promise<Resolved>;
  readonly timers: Timers;
  readonly log: Log;
  /** The addresses of some endpoints have changed. */
  readonly onChange: (changes: readonly Change[]) => void;
}

/** Bounds of a TTL: what changes every second is not followed, and what never changes is asked again now and then. */
const MIN_TTL_MS = 5_000;
const MAX_TTL_MS = 300_000;
const RETRY_MS = 5_000;
/** Addresses of one name. */
const MAX_ADDRESSES = 64;

interface Name {
  /** Endpoints that are at this name, by key. */
  readonly endpoints: Map<string, Endpoint>;
  addresses: readonly string[];
  cancel: () => void;
}

/**
 * Endpoints whose address is a name, as ones with addresses: each address is an endpoint of its own, so that it is
 * balanced and ejected by itself. What was resolved last stays in use while the name cannot be resolved (Envoy).
 */
export class NameResolver {
  readonly #deps: NameResolverDeps;
  readonly #names = new Map<string, Name>();
  readonly #homes = new Map<string, string>();
  #closed = false;

  constructor(deps: NameResolverDeps) {
    this.#deps = deps;
  }

  /** The changes with addresses in place of names. `full`: they name everything that exists. */
  expand(changes: readonly Change[], full: boolean): readonly Change[] {
    const isNamed = (change: Change) =>
      change.kind === "endpoint" &&
      (change.value?.resolve === "dns" || this.#homes.has(change.key));
    if (!full && !changes.some(isNamed)) return changes;
    const present = new Set(changes.filter(isNamed).map(({ key }) => key));
    const gone = full ? [...this.#homes.keys()].filter((key) => !present.has(key)) : [];
    for (const key of gone) this.#forget(key);
    return changes.flatMap((change) => (isNamed(change) ? this.#take(change) : [change]));
  }

  #take(change: Change): Change[] {
    const { key } = change;
    const value = change.value as Endpoint | null;
    const before = this.#expanded(key);
    const stays = value?.resolve === "dns" && this.#homes.get(key) === value.address;
    // Forgetting its last endpoint would forget the name's addresses too.
    if (!stays) this.#forget(key);
    if (value?.resolve !== "dns") return [...before.map(removal), change];
    const name = this.#nameOf(value.address);
    name.endpoints.set(key, value);
    this.#homes.set(key, value.address);
    return difference(before, this.#expanded(key));
  }

  #nameOf(host: string): Name {
    let name = this.#names.get(host);
    if (name === undefined) {
      name = { endpoints: new Map(), addresses: [], cancel: () => undefined };
      this.#names.set(host, name);
      void this.#look(host, name);
    }
    return name;
  }

  #forget(key: string): void {
    const host = this.#homes.get(key);
    const name = host === undefined ? undefined : this.#names.get(host);
    if (host === undefined || name === undefined) return;
    this.#homes.delete(key);
    name.endpoints.delete(key);
    if (name.endpoints.size > 0) return;
    name.cancel();
    this.#names.delete(host);
  }

  /** The endpoints that stand for the one with this key. */
  #expanded(key: string): Endpoint[] {
    const name = this.#names.get(this.#homes.get(key) ?? "");
    const record = name?.endpoints.get(key);
    if (name === undefined || record === undefined) return [];
    const { resolve: _resolve, ...rest } = record;
    return name.addresses.map((address) => ({ ...rest, id: `${record.id}@${address}`, address }));
  }

  async #look(host: string, name: Name): Promise<void> {
    let pauseMs = RETRY_MS;
    try {
      const { addresses, ttlMs } = await this.#deps.resolve(host);
      if (this.#closed || this.#names.get(host) !== name) return;
      pauseMs = Math.min(MAX_TTL_MS, Math.max(MIN_TTL_MS, ttlMs));
      this.#update(name, [...new Set(addresses)].sort().slice(0, MAX_ADDRESSES));
    } catch (error) {
      if (this.#closed || this.#names.get(host) !== name) return;
      this.#deps.log.warn("a name cannot be resolved", { host, reason: String(error) });
    }
    name.cancel = this.#deps.timers.after(pauseMs, () => void this.#look(host, name));
  }

  #update(name: Name, addresses: readonly string[]): void {
    if (addresses.length === 0 || addresses.join() === name.addresses.join()) return;
    const keys = [...name.endpoints.keys()];
    const before = keys.map((key) => this.#expanded(key));
    name.addresses = addresses;
    const changes = keys.flatMap((key, at) => difference(before[at] ?? [], this.#expanded(key)));
    this.#deps.onChange(changes);
  }

  close(): void {
    this.#closed = true;
    for (const { cancel } of this.#names.values()) cancel();
  }
}

function removal({ id: key }: Endpoint): Change {
  return { kind: "endpoint", key, value: null };
}

function difference(before: readonly Endpoint[], after: readonly Endpoint[]): Change[] {
  const kept = new Set(after.map(({ id }) => id));
  const gone = before.filter(({ id }) => !kept.has(id));
  return [
    ...gone.map(removal),
    ...after.map((value): Change => ({ kind: "endpoint", key: value.id, value })),
  ];
}
