import type { DataEndpoint } from "../../../core/snapshot.ts";
import type { Balancer, BalancerDeps, PickRequest } from "./balancer.ts";
import { Candidates } from "./candidates.ts";
import type { PickRules } from "./pick-rules.ts";

/** Maps hashes to candidates, so that a change of the candidates moves as few hashes as possible. */
export interface HashTable {
  /**
   * Index of a candidate. `attempt` 0 is the hash's own; each further one is the next place to look when
   * that is not eligible, so that a hash moves to the same other endpoint every time.
   */
  lookup(hash: number, attempt: number): number;
}

/** Places to look before the candidates are looked through in order. */
const MAX_ATTEMPTS = 64;

/**
 * The same hash goes to the same endpoint, on every worker and every host: tables depend on the set of
 * candidates only, not on their order. The table is built at the first pick after a change, and kept where
 * an update changes neither the candidates nor their weights. No slow start: a key has one place.
 */
export class ConsistentHash implements Balancer {
  readonly probe = 0;
  readonly #build: (candidates: Candidates) => HashTable;
  readonly #rules: PickRules;
  readonly #deps: BalancerDeps;
  #updated: readonly DataEndpoint[] | null;
  #candidates: Candidates;
  #table: HashTable | null = null;

  constructor(
    build: (candidates: Candidates) => HashTable,
    endpoints: readonly DataEndpoint[],
    rules: PickRules,
    deps: BalancerDeps,
  ) {
    this.#build = build;
    this.#rules = { ...rules, slowStartMs: 0 };
    this.#deps = deps;
    this.#updated = endpoints;
    this.#candidates = new Candidates([], this.#rules, deps);
  }

  update(endpoints: readonly DataEndpoint[]): void {
    this.#updated = endpoints;
  }

  pick(request: PickRequest): DataEndpoint | null {
    if (this.#updated !== null) this.#apply(this.#updated);
    const candidates = this.#candidates;
    if (candidates.size === 0) return null;
    this.#table ??= this.#build(candidates);
    const nowMs = this.#deps.clock.now();
    const hash = request.hash >= 0 ? request.hash : Math.floor(this.#deps.random() * 0x1_0000_0000);
    let index = 0;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      index = this.#table.lookup(hash, attempt);
      if (candidates.isEligible(index, request.tried, nowMs)) return candidates.endpoints[index]!;
    }
    const best = candidates.scan(index, request.tried, nowMs);
    return best === -1 ? null : candidates.endpoints[best]!;
  }

  #apply(endpoints: readonly DataEndpoint[]): void {
    this.#updated = null;
    // With those that cannot be chosen: panic counts them.
    const candidates = new Candidates([...endpoints].sort(byId), this.#rules, this.#deps);
    const sorted = candidates.endpoints;
    const before = this.#candidates.endpoints;
    const isSame =
      sorted.length === before.length &&
      sorted.every(({ id, weight }, at) => id === before[at]!.id && weight === before[at]!.weight);
    this.#candidates = candidates;
    if (!isSame) this.#table = null;
  }
}

/** By code unit and not by locale: all hosts must agree. */
function byId(a: DataEndpoint, b: DataEndpoint): number {
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}
