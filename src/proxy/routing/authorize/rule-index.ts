import type { Facts } from "./facts.ts";
import type { Field, FieldKey } from "./field.ts";
import { KeyIndex } from "./key-index.ts";
import { type Rule, ruleMatches } from "./rule.ts";
import { RuleMatrix } from "./rule-matrix.ts";

/** A rule and what it belongs to. */
export interface Entry<Owner> {
  readonly rule: Rule;
  readonly owner: Owner;
}

interface Placed<Owner> extends Entry<Owner> {
  readonly order: number;
}

type List<Owner> = Placed<Owner>[];

/** From so many rules on that may match they are sorted out together first. */
const MANY = 24;

/**
 * Many rules, of which only those are looked at that can match. Each rule is filed under the values of one of its
 * fields: that whose values the fewest other rules share. A rule without any such field (only not-forms, say) is
 * always found. Where too many are found all the same, a matrix of all their fields sorts them out.
 */
export class RuleIndex<Owner> {
  readonly size: number;
  readonly #placed: readonly Placed<Owner>[];
  readonly #many: number;
  readonly #unfiled: List<Owner> = [];
  readonly #filed = new KeyIndex<List<Owner>>(() => []);
  /** Made when it is first needed. */
  #matrix: RuleMatrix | null = null;
  /** Reused from request to request. */
  readonly #lists: List<Owner>[] = [];
  readonly #remaining: List<Owner> = [];

  /** `many`: from how many candidates on the matrix is asked. */
  constructor(entries: readonly Entry<Owner>[], many = MANY) {
    this.size = entries.length;
    this.#many = many;
    this.#placed = entries.map((entry, order) => ({ ...entry, order }));
    const counts = countKeys(entries);
    for (const placed of this.#placed) {
      const keys = cheapestKeys(placed.rule, counts);
      if (keys.length === 0) this.#unfiled.push(placed);
      for (const key of keys) this.#filed.at(key).push(placed);
    }
  }

  /** Owner of a rule that matches, or null. */
  find(facts: Facts): Owner | null {
    for (const list of this.#candidates(facts)) {
      for (const { rule, owner } of list) if (ruleMatches(rule, facts)) return owner;
    }
    return null;
  }

  /** Owner of the first rule that matches, in the order in which they were given. */
  findFirst(facts: Facts): Owner | null {
    let first: Placed<Owner> | null = null;
    for (const list of this.#candidates(facts)) {
      for (const placed of list) {
        const isBefore = first === null || placed.order < first.order;
        if (isBefore && ruleMatches(placed.rule, facts)) first = placed;
      }
    }
    return first?.owner ?? null;
  }

  /** Owners of all rules that match, each once. */
  findAll(facts: Facts): ReadonlySet<Owner> {
    const owners = new Set<Owner>();
    for (const list of this.#candidates(facts)) {
      for (const { rule, owner } of list) {
        if (!owners.has(owner) && ruleMatches(rule, facts)) owners.add(owner);
      }
    }
    return owners;
  }

  #candidates(facts: Facts): readonly List<Owner>[] {
    const lists = this.#lists;
    lists.length = 0;
    if (this.#unfiled.length > 0) lists.push(this.#unfiled);
    this.#filed.collect(facts, lists);
    let found = 0;
    for (const { length } of lists) found += length;
    if (found >= this.#many) {
      lists.length = 0;
      lists.push(this.#sortedOut(facts));
    }
    return lists;
  }

  #sortedOut(facts: Facts): List<Owner> {
    this.#matrix ??= new RuleMatrix(this.#placed.map(({ rule }) => rule));
    const remaining = this.#remaining;
    remaining.length = 0;
    const bits = this.#matrix.remaining(facts);
    for (let word = 0; word < bits.length; word++) {
      for (let left = bits[word]!; left !== 0; left &= left - 1) {
        remaining.push(this.#placed[word * 32 + 31 - Math.clz32(left & -left)]!);
      }
    }
    return remaining;
  }
}

function nameOf(key: FieldKey): string {
  return "block" in key
    ? `${key.attribute.key} ${key.block.bits} ${key.block.words.join(".")}`
    : `${key.attribute.key} ${key.key.kind} ${key.key.value}`;
}

/** How many rules could be found by a key; keys of the same name share it. */
interface Count {
  rules: number;
}

type Counts = ReadonlyMap<FieldKey, Count>;

function countKeys(entries: readonly Entry<unknown>[]): Counts {
  const byName = new Map<string, Count>();
  const counts = new Map<FieldKey, Count>();
  for (const { rule } of entries) {
    for (const clauses of [rule.from, rule.to, [rule.when]]) {
      for (const { keys } of clauses.flat()) {
        for (const key of keys.flatMap(formsOf)) counts.set(key, counted(byName, nameOf(key)));
      }
    }
  }
  return counts;
}

/** The key, and those by which the same can be found. */
function formsOf(key: FieldKey): readonly FieldKey[] {
  return "block" in key ? [key] : [key, ...(key.others ?? [])];
}

function rarestForm(key: FieldKey, counts: Counts): FieldKey {
  return formsOf(key).reduce((best, form) =>
    (counts.get(form)?.rules ?? 0) < (counts.get(best)?.rules ?? 0) ? form : best,
  );
}

function counted(byName: Map<string, Count>, name: string): Count {
  const count = byName.get(name) ?? { rules: 0 };
  count.rules += 1;
  byName.set(name, count);
  return count;
}

/** Keys of which one holds whenever the rule matches; empty: there are none. */
function cheapestKeys({ from, to, when }: Rule, counts: Counts): readonly FieldKey[] {
  const options = [
    ...when.map((field) => keysOf(field, counts)),
    ofClauses(from, counts),
    ofClauses(to, counts),
  ];
  return cheapest(options, counts);
}

function keysOf({ keys }: Field, counts: Counts): readonly FieldKey[] {
  return keys.map((key) => rarestForm(key, counts));
}

/** Every clause has to contribute, because any of them may be the one that matches. */
function ofClauses(clauses: readonly (readonly Field[])[], counts: Counts): readonly FieldKey[] {
  const each = clauses.map((fields) =>
    cheapest(
      fields.map((field) => keysOf(field, counts)),
      counts,
    ),
  );
  return each.some(({ length }) => length === 0) ? [] : each.flat();
}

/** The option that finds the fewest rules, on the average of its keys. */
function cheapest(options: readonly (readonly FieldKey[])[], counts: Counts): readonly FieldKey[] {
  let best: readonly FieldKey[] = [];
  let least = Number.POSITIVE_INFINITY;
  for (const keys of options) {
    if (keys.length === 0) continue;
    let rules = 0;
    for (const key of keys) rules += counts.get(key)?.rules ?? 0;
    if (rules / keys.length >= least) continue;
    best = keys;
    least = rules / keys.length;
  }
  return best;
}
