import type { Facts } from "./facts.ts";

/** Appends what is stored under the keys that hold for a request. */
export interface Collector<Value> {
  collect(facts: Facts, into: Value[]): void;
}

/**
 * Up to so many names are asked for one by one. Looking a header up is a scan that makes nothing, while each name of a
 * request has to be written in lower case before it can be looked up here.
 */
const FEW = 8;

/** What is stored for headers, by lower-case name: of many only those are asked that the request has. */
export class HeaderIndex<Value> implements Collector<Value> {
  readonly #byName = new Map<string, Collector<Value>>();

  add(name: string, collector: Collector<Value>): void {
    this.#byName.set(name, collector);
  }

  collect(facts: Facts, into: Value[]): void {
    if (this.#byName.size <= FEW) {
      for (const collector of this.#byName.values()) collector.collect(facts, into);
      return;
    }
    for (const name of facts.headerNames) this.#byName.get(name)?.collect(facts, into);
  }
}

/** What is stored for claims, as a tree of their names: of many only those are asked that the token has. */
export class ClaimIndex<Value> implements Collector<Value> {
  readonly #children = new Map<string, ClaimIndex<Value>>();
  #own: Collector<Value> | null = null;

  add(path: readonly string[], collector: Collector<Value>): void {
    const [name, ...rest] = path;
    if (name === undefined) {
      this.#own = collector;
      return;
    }
    const child = this.#children.get(name) ?? new ClaimIndex();
    this.#children.set(name, child);
    child.add(rest, collector);
  }

  collect(facts: Facts, into: Value[]): void {
    const { claims } = facts.request;
    if (claims !== null) this.#collectAt(claims, facts, into);
  }

  #collectAt(value: unknown, facts: Facts, into: Value[]): void {
    this.#own?.collect(facts, into);
    const children = this.#children;
    if (children.size === 0 || !isObject(value)) return;
    const names = children.size <= FEW ? null : Object.keys(value);
    const fewer = names === null || names.length > children.size ? children.keys() : names;
    for (const name of fewer) {
      const child = children.get(name);
      if (child === undefined || !Object.hasOwn(value, name)) continue;
      child.#collectAt(value[name], facts, into);
    }
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
