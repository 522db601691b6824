import assert from "node:assert/strict";
import { HUFFMAN_CODES } from "../../bench/micro/huffman-codes.ts";
import { STATIC_NAMES, STATIC_VALUES } from "../../src/http/h2/hpack/static-table.ts";

const STATIC_ENTRIES = 61;
const MOST_OCTETS = 6;
const MAX_INTEGER = 2 ** 31 - 1;

const SYMBOLS = new Map(
  HUFFMAN_CODES.map(([code, bits], octet) => [code.toString(2).padStart(bits, "0"), octet]),
);

/** What is wrong with a block. */
export class Fault extends Error {}

/** A decoder after the letter of RFC 7541, one thing at a time and without regard to speed. */
export class HpackModel {
  #table: (readonly [name: string, value: string])[] = [];
  #capacity = 4_096;
  #announced: number;
  #updateDue = false;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  readonly #tableBytes: number;

  constructor(tableBytes: number) {
    this.#tableBytes = tableBytes;
    this.#announced = Math.max(tableBytes, 4_096);
  }

  settingsAcknowledged(): void {
    this.#announced = this.#tableBytes;
    this.#updateDue = this.#capacity > this.#announced;
  }

  decode(block: Buffer): string[] {
    this.#block = block;
    this.#at = 0;
    const fields: string[] = [];
    let updates = 0;
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      if (first >> 5 !== 1 && this.#updateDue) throw new Fault("no update");
      if (first >= 0x80) fields.push(...this.#entry(this.#integer(7)));
      else if (first >= 0x40) this.#add(this.#literal(6), fields);
      else if (first < 0x20) fields.push(...this.#literal(4));
      else {
        if (fields.length > 0 || updates === 2) throw new Fault("an update where none may be");
        updates += 1;
        this.#resize(this.#integer(5));
      }
    }
    if (this.#updateDue) throw new Fault("no update");
    return fields;
  }

  #resize(bytes: number): void {
    if (bytes > this.#announced) throw new Fault("too large a table");
    this.#capacity = bytes;
    this.#updateDue = false;
    this.#evict(bytes);
  }

  #add(field: readonly [string, string], fields: string[]): void {
    const bytes = field[0].length + field[1].length + 32;
    this.#evict(this.#capacity - bytes);
    if (bytes <= this.#capacity) this.#table.unshift(field);
    fields.push(...field);
  }

  #evict(to: number): void {
    const size = () => this.#table.reduce((sum, [n, v]) => sum + n.length + v.length + 32, 0);
    while (this.#table.length > 0 && size() > to) this.#table.pop();
  }

  #entry(index: number): readonly [string, string] {
    if (index === 0) throw new Fault("index 0");
    if (index <= STATIC_ENTRIES) return [STATIC_NAMES[index]!, STATIC_VALUES[index]!];
    const entry = this.#table[index - STATIC_ENTRIES - 1];
    if (entry === undefined) throw new Fault("no such entry");
    return entry;
  }

  #literal(prefix: number): readonly [string, string] {
    const index = this.#integer(prefix);
    const name = index === 0 ? this.#string() : this.#entry(index)[0];
    return [name, this.#string()];
  }

  #octet(): number {
    if (this.#at >= this.#block.length) throw new Fault("the end");
    return this.#block[this.#at++]!;
  }

  /** RFC 7541 section 5.1, with the decoder's limits of five further octets and 31 bits. */
  #integer(prefix: number): number {
    const most = 2 ** prefix - 1;
    let value = this.#octet() & most;
    if (value < most) return value;
    for (let count = 1, unit = 1; count < MOST_OCTETS; count++, unit *= 128) {
      const octet = this.#octet();
      value += (octet % 128) * unit;
      if (octet < 128) {
        if (value > MAX_INTEGER) throw new Fault("a large integer");
        return value;
      }
    }
    throw new Fault("a long integer");
  }

  #string(): string {
    if (this.#at >= this.#block.length) throw new Fault("the end");
    const isCoded = this.#block[this.#at]! >= 0x80;
    const length = this.#integer(7);
    const octets = this.#block.subarray(this.#at, this.#at + length);
    if (octets.length < length) throw new Fault("the end");
    this.#at += length;
    return isCoded ? fromHuffman(octets) : octets.toString("latin1");
  }
}

/** RFC 7541 section 5.2: padded with the most significant bits of EOS, less than an octet of them. */
function fromHuffman(octets: Buffer): string {
  let text = "";
  let code = "";
  for (const octet of octets) {
    for (const bit of octet.toString(2).padStart(8, "0")) {
      code += bit;
      const symbol = SYMBOLS.get(code);
      if (symbol === undefined) continue;
      if (symbol === 256) throw new Fault("EOS");
      text += String.fromCharCode(symbol);
      code = "";
    }
    // The longest code has 30 bits.
    if (code.length > 30) throw new Fault("no code");
  }
  if (code.length > 7 || code.includes("0")) throw new Fault("padding");
  assert.ok(text.length <= (octets.length * 8) / 5);
  return text;
}
