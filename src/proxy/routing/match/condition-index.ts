import { kept } from "../../../core/kept.ts";
import { PrefixTree } from "../text/prefix-tree.ts";
import type { Condition, ConditionKey, KeyPlace } from "./condition.ts";
import type { RequestFacts } from "./request-facts.ts";

/** Something that holds where its condition does; null: always. */
export interface Conditional {
  readonly condition: Condition | null;
}

interface Entry {
  readonly condition: Condition | null;
  /** Place in the list: the smallest one that matches is what is looked for. */
  readonly order: number;
}

/** Above so many, entries that share a key are looked up by their other keys. */
const FEW = 8;
/** Up to so many names are asked for one by one; of more, only those are asked that the request has. */
const FEW_NAMES = 4;

/**
 * A list of conditions, of which the first that matches is found without looking at all of them. Each is filed under
 * one of its keys: that which the fewest others share. Where many share it all the same, they have an index of their
 * own over what else they ask for, so that every condition is filed at most once for each thing that it asks for.
 */
export class ConditionIndex {
  readonly #root: Shelf;

  constructor(list: readonly Conditional[]) {
    this.#root = shelve(
      list.map(({ condition }, order) => ({ condition, order })),
      new Set(),
    );
  }

  /** Number of the first that matches, or -1. */
  first(facts: RequestFacts): number {
    const found = this.#root.first(facts, Number.POSITIVE_INFINITY);
    return found === Number.POSITIVE_INFINITY ? -1 : found;
  }
}

interface Shelf {
  /** Order of the first entry before `below` that matches, or `below`. */
  first(facts: RequestFacts, below: number): number;
}

/** `used`: places (and names) that led here already. */
function shelve(entries: readonly Entry[], used: ReadonlySet<string>): Shelf {
  if (entries.length <= FEW) return new FlatShelf(entries);
  const counts = new Map<string, number>();
  const keysOf = ({ condition }: Entry) =>
    (condition?.keys ?? []).filter((key) => !used.has(placeOf(key)));
  for (const entry of entries) {
    for (const key of keysOf(entry)) counts.set(textOf(key), (counts.get(textOf(key)) ?? 0) + 1);
  }
  const unfiled: Entry[] = [];
  const filed = new Map<string, { readonly key: ConditionKey; readonly entries: Entry[] }>();
  for (const entry of entries) {
    const key = rarest(keysOf(entry), counts);
    if (key === null) unfiled.push(entry);
    else {
      const group = filed.get(textOf(key)) ?? { key, entries: [] };
      filed.set(textOf(key), group);
      group.entries.push(entry);
    }
  }
  if (filed.size === 0) return new FlatShelf(entries);
  const shelf = new KeyedShelf(unfiled);
  for (const { key, entries: group } of filed.values()) {
    shelf.put(key, shelve(group, new Set([...used, placeOf(key)])));
  }
  return shelf;
}

/** A condition may ask for one header twice, and its path is asked for in both cases: each is one thing. */
function placeOf({ place, name }: ConditionKey): string {
  return `${place} ${name}`;
}

function textOf({ place, name, kind, value }: ConditionKey): string {
  return `${place} ${kind} ${name} ${value}`;
}

function rarest(
  keys: readonly ConditionKey[],
  counts: ReadonlyMap<string, number>,
): ConditionKey | null {
  let best: ConditionKey | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const key of keys) {
    const count = counts.get(textOf(key)) ?? 0;
    if (count >= least) continue;
    best = key;
    least = count;
  }
  return best;
}

class FlatShelf implements Shelf {
  readonly #entries: readonly Entry[];

  constructor(entries: readonly Entry[]) {
    this.#entries = entries;
  }

  first(facts: RequestFacts, below: number): number {
    const entries = this.#entries;
    for (let at = 0; at < entries.length; at++) {
      const { condition, order } = entries[at]!;
      if (order >= below) return below;
      if (condition === null || condition.matches(facts)) return order;
    }
    return below;
  }
}

class KeyedShelf implements Shelf {
  readonly #unfiled: FlatShelf;
  readonly #values = new Map<KeyPlace, ValueShelf>();
  readonly #headers = new HeaderShelf();
  readonly #params = new ParamShelf();

  constructor(unfiled: readonly Entry[]) {
    this.#unfiled = new FlatShelf(unfiled);
  }

  put(key: ConditionKey, shelf: Shelf): void {
    const { place, name } = key;
    if (place === "header") this.#headers.at(name).put(key, shelf);
    else if (place === "param") this.#params.at(name).put(key, shelf);
    else kept(this.#values, place, () => new ValueShelf()).put(key, shelf);
  }

  first(facts: RequestFacts, below: number): number {
    let best = this.#unfiled.first(facts, below);
    for (const [place, shelf] of this.#values) {
      best = shelf.firstOf(valueAt(place, facts), facts, best);
    }
    best = this.#headers.first(facts, best);
    return this.#params.first(facts, best);
  }
}

function valueAt(place: KeyPlace, facts: RequestFacts): string {
  switch (place) {
    case "path":
      return facts.path;
    case "lower-path":
      return facts.lowerPath;
    case "method":
      return facts.method;
    case "host":
      return facts.host;
    case "port":
      return String(facts.port);
    case "namespace":
      return facts.source.namespace;
    case "header":
    case "param":
      return "";
  }
}

/** By name of a header or parameter. */
abstract class NamedShelf implements Shelf {
  protected readonly byName = new Map<string, ValueShelf>();

  at(name: string): ValueShelf {
    return kept(this.byName, name, () => new ValueShelf());
  }

  first(facts: RequestFacts, below: number): number {
    if (this.byName.size === 0) return below;
    if (this.byName.size > FEW_NAMES) return this.firstOfPresent(facts, below);
    let best = below;
    for (const [name, shelf] of this.byName) {
      const value = this.read(facts, name);
      if (value !== null) best = shelf.firstOf(value, facts, best);
    }
    return best;
  }

  protected abstract read(facts: RequestFacts, name: string): string | null;
  /** The same, by the names that the request has. */
  protected abstract firstOfPresent(facts: RequestFacts, below: number): number;
}

class HeaderShelf extends NamedShelf {
  protected override read(facts: RequestFacts, name: string): string | null {
    return facts.header(name);
  }

  protected override firstOfPresent(facts: RequestFacts, below: number): number {
    const { fields } = facts;
    let best = below;
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at]!.toLowerCase();
      const shelf = this.byName.get(name);
      // A field that is sent a hundred times must not cost a hundred looks at the same rules.
      if (shelf === undefined || shelf.seenBy === facts.serial) continue;
      shelf.seenBy = facts.serial;
      best = shelf.firstOf(facts.header(name) ?? "", facts, best);
    }
    return best;
  }
}

class ParamShelf extends NamedShelf {
  protected override read(facts: RequestFacts, name: string): string | null {
    return facts.param(name);
  }

  protected override firstOfPresent(facts: RequestFacts, below: number): number {
    let best = below;
    for (const [name, value] of facts.params) {
      const shelf = this.byName.get(name);
      if (shelf !== undefined) best = shelf.firstOf(value, facts, best);
    }
    return best;
  }
}

/** By what is asked of one value. */
class ValueShelf {
  /** The last request that came along. */
  seenBy = -1;
  readonly #exact = new Map<string, Shelf>();
  readonly #prefixes = new PrefixTree<{ shelf: Shelf | null }>("forwards");
  #hasPrefixes = false;
  #present: Shelf | null = null;
  /** Reused from request to request. */
  readonly #found: { shelf: Shelf | null }[] = [];

  put({ kind, value }: ConditionKey, shelf: Shelf): void {
    if (kind === "exact") this.#exact.set(value, shelf);
    else if (kind === "present") this.#present = shelf;
    else {
      this.#prefixes.at(value, () => ({ shelf: null })).shelf = shelf;
      this.#hasPrefixes = true;
    }
  }

  firstOf(value: string, facts: RequestFacts, below: number): number {
    let best = this.#exact.get(value)?.first(facts, below) ?? below;
    if (this.#hasPrefixes) best = this.#firstOfPrefixes(value, facts, best);
    return this.#present?.first(facts, best) ?? best;
  }

  #firstOfPrefixes(value: string, facts: RequestFacts, below: number): number {
    const found = this.#found;
    found.length = 0;
    this.#prefixes.collect(value, found);
    let best = below;
    for (let at = 0; at < found.length; at++) best = found[at]!.shelf?.first(facts, best) ?? best;
    return best;
  }
}
