import { type AddressBlock, isInBlock, prefixHash } from "./address-block.ts";
import type { AddressAttribute, TextAttribute } from "./attributes.ts";
import type { Facts } from "./facts.ts";
import type { FieldKey } from "./field.ts";
import { PrefixTree } from "./prefix-tree.ts";
import type { ValueKey } from "./value-matcher.ts";

/** Values stored under keys, of which those are found whose keys hold for a request. */
export class KeyIndex<Value> {
  readonly #make: () => Value;
  readonly #texts = new Map<string, TextIndex<Value>>();
  readonly #addresses = new Map<string, AddressIndex<Value>>();
  /** The same again as an array: it is gone through for each request. */
  #all: readonly (TextIndex<Value> | AddressIndex<Value>)[] = [];

  constructor(make: () => Value) {
    this.#make = make;
  }

  /** What is stored under a key; made where there is nothing. */
  at(key: FieldKey): Value {
    if ("block" in key) {
      const { attribute, block } = key;
      return this.#index(this.#addresses, attribute, AddressIndex<Value>).at(block, this.#make);
    }
    return this.#index(this.#texts, key.attribute, TextIndex<Value>).at(key.key, this.#make);
  }

  /** Appends what is stored under the keys that hold. */
  collect(facts: Facts, into: Value[]): void {
    for (const index of this.#all) index.collect(facts, into);
  }

  #index<
    Attribute extends { readonly key: string },
    Index extends TextIndex<Value> | AddressIndex<Value>,
  >(
    map: Map<string, Index>,
    attribute: Attribute,
    Kind: new (attribute: Attribute) => Index,
  ): Index {
    const index = kept(map, attribute.key, () => new Kind(attribute));
    if (!this.#all.includes(index)) this.#all = [...this.#all, index];
    return index;
  }
}

class TextIndex<Value> {
  readonly #attribute: TextAttribute;
  readonly #exact = new Map<string, Value>();
  readonly #prefixes = new PrefixTree<Value>("forwards");
  readonly #suffixes = new PrefixTree<Value>("backwards");

  constructor(attribute: TextAttribute) {
    this.#attribute = attribute;
  }

  at({ kind, value }: ValueKey, make: () => Value): Value {
    if (kind === "exact") return kept(this.#exact, value, make);
    return (kind === "prefix" ? this.#prefixes : this.#suffixes).at(value, make);
  }

  collect(facts: Facts, into: Value[]): void {
    const value = this.#attribute.read(facts);
    if (typeof value === "string") this.#collectOne(value, into);
    else for (const one of value) this.#collectOne(one, into);
  }

  #collectOne(value: string, into: Value[]): void {
    if (value === "") return;
    const exact = this.#exact.get(value);
    if (exact !== undefined) into.push(exact);
    this.#prefixes.collect(value, into);
    this.#suffixes.collect(value, into);
  }
}

interface Stored<Value> {
  readonly block: AddressBlock;
  readonly value: Value;
}

class AddressIndex<Value> {
  readonly #attribute: AddressAttribute;
  /** By length of the prefix, then by hash of the prefix. */
  readonly #byBits = new Map<number, Map<number, Stored<Value>[]>>();

  constructor(attribute: AddressAttribute) {
    this.#attribute = attribute;
  }

  at(block: AddressBlock, make: () => Value): Value {
    const sized = kept(this.#byBits, block.bits, () => new Map<number, Stored<Value>[]>());
    const bucket = kept(sized, prefixHash(block.words, block.bits), () => []);
    const known = bucket.find((stored) => isInBlock(block, stored.block));
    if (known !== undefined) return known.value;
    const value = make();
    bucket.push({ block, value });
    return value;
  }

  collect(facts: Facts, into: Value[]): void {
    const address = this.#attribute.readAddress(facts);
    for (const [bits, sized] of this.#byBits) {
      const bucket = sized.get(prefixHash(address.words, bits));
      if (bucket === undefined) continue;
      for (const { block, value } of bucket) if (isInBlock(address, block)) into.push(value);
    }
  }
}

function kept<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
