import { LRUCache } from "lru-cache";
import type { TrafficSource } from "../core/facts.ts";
import { parseSpiffeId } from "../core/identity.ts";

/** Identities whose object is kept; metrics fold what is beyond their own limit. */
const KEPT = 4_096;

/** Callers of other hosts as their traffic is counted: one object each, by which the recorder knows them again. */
export class Callers {
  readonly #known = new LRUCache<string, TrafficSource>({ max: KEPT });

  /** By namespace and service account of an identity that was proved. */
  of(identity: string): TrafficSource | null {
    const known = this.#known.get(identity);
    if (known !== undefined) return known;
    const id = parseSpiffeId(identity);
    if (id === null) return null;
    const { namespace, serviceAccount: name } = id;
    const caller = { namespace, name, key: `${namespace}/${name}`, identity };
    this.#known.set(identity, caller);
    return caller;
  }
}
