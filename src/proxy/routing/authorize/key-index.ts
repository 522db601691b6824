import { kept } from "../../../core/kept.ts";
import { InfixTree } from "../text/infix-tree.ts";
import { PrefixTree } from "../text/prefix-tree.ts";
import { type AddressBlock, isInBlock, prefixHash } from "./address-block.ts";
import type { AddressAttribute, TextAttribute } from "./attributes.ts";
import type { Facts } from "./facts.ts";
import type { FieldKey } from "./field.ts";
import { ClaimIndex, type Collector, HeaderIndex } from "./name-index.ts";
import type { ValueKey } from "./value-matcher.ts";

/** Values stored under keys, of which those are found whose keys hold for a request. */
export class KeyIndex<Value> {
  readonly #make: () => Value;
  readonly #texts = new Map<string, TextIndex<Value>>();
  readonly #addresses = new Map<string, AddressIndex<Value>>();
  readonly #headers = new HeaderIndex<Value>();
  readonly #claims = new ClaimIndex<Value>();
  /** What is gone through for each request. */
  readonly #asked: Collector<Value>[] = [];

  constructor(make: () => Value) {
    this.#make = make;
  }

  /** What is stored under a key; made where there is nothing. */
  at(key: FieldKey): Value {
    if ("block" in key) {
      const { attribute, block } = key;
      const index = kept(this.#addresses, attribute.key, () =>
        this.#added(new AddressIndex<Value>(attribute)),
      );
      return index.at(block, this.#make);
    }
    const { attribute } = key;
    const index = kept(this.#texts, attribute.key, () => this.#newText(attribute));
    return index.at(key.key, this.#make);
  }

  /** Appends what is stored under the keys that hold. */
  collect(facts: Facts, into: Value[]): void {
    for (const index of this.#asked) index.collect(facts, into);
  }

  #newText(attribute: TextAttribute): TextIndex<Value> {
    const index = new TextIndex<Value>(attribute);
    const { header, claim } = attribute;
    if (header !== "") {
      this.#headers.add(header, index);
      this.#added(this.#headers);
    } else if (claim.length > 0) {
      this.#claims.add(claim, index);
      this.#added(this.#claims);
    } else this.#added(index);
    return index;
  }

  #added<Index extends Collector<Value>>(index: Index): Index {
    if (!this.#asked.includes(index)) this.#asked.push(index);
    return index;
  }
}

class TextIndex<Value> implements Collector<Value> {
  readonly #attribute: TextAttribute;
  readonly #exact = new Map<string, Value>();
  readonly #prefixes = new PrefixTree<Value>("forwards");
  readonly #suffixes = new PrefixTree<Value>("backwards");
  readonly #infixes = new InfixTree<Value>();

  constructor(attribute: TextAttribute) {
    this.#attribute = attribute;
  }

  at({ kind, value }: ValueKey, make: () => Value): Value {
    if (kind === "exact") return kept(this.#exact, value, make);
    if (kind === "infix") return this.#infixes.at(value, make);
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
    this.#infixes.collect(value, into);
  }
}

interface Stored<Value> {
  readonly block: AddressBlock;
  readonly value: Value;
}

class AddressIndex<Value> implements Collector<Value> {
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
