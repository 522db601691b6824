import type { Facts } from "./facts.ts";
import type { FieldKey } from "./field.ts";
import { KeyIndex } from "./key-index.ts";
import type { Rule } from "./rule.ts";

/** Attributes that are looked at; fields of rarer ones are left to whoever evaluates what remains. */
const MAX_SLOTS = 16;

/** Rules that one key concerns, by number; as bits where that is shorter. */
interface Members {
  readonly rules: number[];
  bits: Uint32Array | null;
}

/** One attribute, of which a rule has at most one field here. */
class Slot {
  readonly excludes: boolean;
  readonly index = new KeyIndex<Members>(() => ({ rules: [], bits: null }));
  /** Rules that have a field here. */
  readonly concerned: Uint32Array;
  fields = 0;

  constructor(excludes: boolean, words: number) {
    this.excludes = excludes;
    this.concerned = new Uint32Array(words);
  }

  add(keys: readonly FieldKey[], rule: number): void {
    this.fields += 1;
    setBit(this.concerned, rule);
    for (const key of keys) this.#put(this.index.at(key), rule);
  }

  #put(members: Members, rule: number): void {
    if (members.bits !== null) setBit(members.bits, rule);
    else if (members.rules.push(rule) > this.concerned.length) {
      members.bits = new Uint32Array(this.concerned.length);
      for (const member of members.rules) setBit(members.bits, member);
    }
  }
}

/**
 * Sorts out many rules at once: one bit per rule, and per attribute one operation on all bits (the bit vectors of
 * Lakshman and Stiliadis, SIGCOMM 1998). What remains is a superset of the rules that match: clauses with alternatives
 * and expressions are not looked at.
 */
export class RuleMatrix {
  readonly #slots: readonly Slot[];
  readonly #everything: Uint32Array;
  /** Reused from request to request. */
  readonly #alive: Uint32Array;
  readonly #hits: Uint32Array;
  readonly #members: Members[] = [];

  constructor(rules: readonly Rule[]) {
    const words = Math.ceil(rules.length / 32);
    this.#everything = new Uint32Array(words);
    this.#alive = new Uint32Array(words);
    this.#hits = new Uint32Array(words);
    const slots = new Map<string, Slot>();
    for (const [number, rule] of rules.entries()) {
      setBit(this.#everything, number);
      addRule(slots, rule, number, words);
    }
    this.#slots = [...slots.values()].toSorted((a, b) => b.fields - a.fields).slice(0, MAX_SLOTS);
  }

  /** Bits of the rules that may match. Valid until the next call. */
  remaining(facts: Facts): Uint32Array {
    const alive = this.#alive;
    alive.set(this.#everything);
    for (const slot of this.#slots) {
      const hits = this.#hitsOf(slot, facts);
      const { concerned, excludes } = slot;
      for (let word = 0; word < alive.length; word++) {
        alive[word]! &= excludes ? ~hits[word]! : hits[word]! | ~concerned[word]!;
      }
    }
    return alive;
  }

  #hitsOf(slot: Slot, facts: Facts): Uint32Array {
    const hits = this.#hits;
    const members = this.#members;
    hits.fill(0);
    members.length = 0;
    slot.index.collect(facts, members);
    for (const { rules, bits } of members) {
      if (bits === null) for (const rule of rules) setBit(hits, rule);
      else for (let word = 0; word < hits.length; word++) hits[word]! |= bits[word]!;
    }
    return hits;
  }
}

/** Files each field that must match whatever happens: conditions, and clauses without alternatives. */
function addRule(slots: Map<string, Slot>, rule: Rule, number: number, words: number): void {
  const clauses = [rule.when, ...[rule.from, rule.to].filter(({ length }) => length === 1).flat()];
  const used = new Map<string, number>();
  const slotOf = (name: string, excludes: boolean) => {
    const slot = slots.get(name) ?? new Slot(excludes, words);
    slots.set(name, slot);
    return slot;
  };
  for (const { attribute, keys, excluding } of clauses.flat()) {
    if (keys.length > 0) {
      const times = used.get(attribute.key) ?? 0;
      used.set(attribute.key, times + 1);
      slotOf(`${attribute.key} ${times}`, false).add(keys, number);
    }
    if (excluding.length > 0) slotOf(`${attribute.key} not`, true).add(excluding, number);
  }
}

function setBit(bits: Uint32Array, at: number): void {
  bits[at >>> 5]! |= 1 << (at & 31);
}
