import { DEFAULT_TABLE_BYTES } from "../codes.ts";
import { BlockMemory } from "./block-memory.ts";
import { DynamicTable, ENTRY_OVERHEAD } from "./dynamic-table.ts";
import { huffmanDecode, huffmanRoom } from "./huffman.ts";
import { compressionError, IntegerReader } from "./integers.ts";
import { STATIC_ENTRIES, STATIC_NAMES, STATIC_VALUES } from "./static-table.ts";

/** Limits of one direction of a connection. */
export interface HpackLimits {
  /** What we announce as SETTINGS_HEADER_TABLE_SIZE. */
  readonly tableBytes: number;
  /** Most that the fields of a list count together, each with 32 octets more than it has (RFC 9113 section 10.5.1). */
  readonly listBytes: number;
  readonly fields: number;
}

/** Representations (RFC 7541 section 6) by their leading bits, and the masks of the integers in them. */
const INDEXED = 0x80;
const INDEXED_MASK = 0x7f;
const INCREMENTAL = 0x40;
const INCREMENTAL_MASK = 0x3f;
const SIZE_UPDATE = 0x20;
const SIZE_UPDATE_MASK = 0x1f;
const PLAIN_MASK = 0x0f;
const HUFFMAN = 0x80;
const LENGTH_MASK = 0x7f;

/** An encoder never needs more at the begin of a block (RFC 7541 section 4.2): the smallest size, then the last. */
const MAX_SIZE_UPDATES = 2;

const NONE: string[] = [];

/** Huffman-coded strings of the block under way, decoded; one for all decoders, because a block is decoded at once. */
let scratch = Buffer.allocUnsafeSlow(4_096);

/**
 * Decodes the field blocks of one direction of a connection (RFC 7541 section 3). Every fault is a `ConnectionError`
 * COMPRESSION_ERROR, behind which the decoder must not be used. Work and memory are bounded by the length of a block:
 * a reference costs a pointer, never a copy, and what goes beyond the limits is not kept.
 */
export class HpackDecoder {
  readonly #limits: HpackLimits;
  readonly #table = new DynamicTable(DEFAULT_TABLE_BYTES);
  readonly #reader = new IntegerReader();
  /** Largest table that the peer may set: until it has our SETTINGS it may go by the default. */
  #maxTableBytes: number;
  #updateDue = false;

  readonly #memory = new BlockMemory();
  #isRepeat = false;
  /** What the block under way has put into the table, and whether it refers to entries of it. */
  #added: string[] = NONE;
  #refers = false;

  #fields: string[] = [];
  #listBytes = 0;
  #tooLarge = false;

  /** The block from its first literal on, of which all are slices: one long copy costs no more than a short one. */
  #text = "";
  #textStart = 0;
  /** End of what the block has in `scratch`. */
  #used = 0;
  /** Fields that are slices of `scratch`, in threes: place in the list, from, to. */
  readonly #pending: number[] = [];

  /** The string read last: where, and in which of the two. */
  #from = 0;
  #to = 0;
  #isCoded = false;

  constructor(limits: HpackLimits) {
    this.#limits = limits;
    this.#maxTableBytes = Math.max(limits.tableBytes, DEFAULT_TABLE_BYTES);
  }

  /**
   * Did the last block go over the limits of a list? Then `decode` returned the fields before the one that did, and the
   * table is as it has to be.
   */
  get tooLarge(): boolean {
    return this.#tooLarge;
  }

  /** Was the last block the same as one before it? Then `decode` returned the same list. */
  get isRepeat(): boolean {
    return this.#isRepeat;
  }

  /**
   * The peer has acknowledged our SETTINGS: from now on its table is no larger than announced, and if it was, the next
   * block has to say so first (RFC 9113 section 4.3.1).
   */
  settingsAcknowledged(): void {
    this.#maxTableBytes = this.#limits.tableBytes;
    this.#updateDue = this.#table.capacity > this.#maxTableBytes;
  }

  /**
   * Decodes one whole block, `block[start, end)`, to names and values in turn, as latin1. The list may be kept and
   * returned again.
   */
  decode(block: Buffer, start: number, end: number): readonly string[] {
    const { version } = this.#table;
    const known = this.#updateDue ? null : this.#memory.find(block, start, end, version);
    this.#isRepeat = known !== null;
    if (known === null) return this.#readNew(block, start, end);
    const { fields, added } = known;
    this.#tooLarge = false;
    for (let at = 0; at < added.length; at += 2) this.#table.add(added[at]!, added[at + 1]!);
    return fields;
  }

  #readNew(block: Buffer, start: number, end: number): string[] {
    const { version } = this.#table;
    this.#added = NONE;
    this.#refers = false;
    const fields = this.#read(block, start, end);
    const hasSizes = block[start]! >> 5 === SIZE_UPDATE >> 5;
    const isChanged = this.#refers && this.#table.version !== version;
    if (!hasSizes && !isChanged && !this.#tooLarge) {
      const rest = this.#refers ? version : -1;
      this.#memory.note(block, start, end, { fields, added: this.#added, version: rest });
    }
    return fields;
  }

  #read(block: Buffer, start: number, end: number): string[] {
    const reader = this.#reader;
    reader.reset(block, start, end);
    this.#begin(end - start);
    this.#sizeUpdates();
    while (reader.at < end) {
      const first = block[reader.at]!;
      if (first >= INDEXED) this.#indexed(reader.read(INDEXED_MASK));
      else if (first >= INCREMENTAL) this.#incremental();
      else if (first < SIZE_UPDATE) this.#plain();
      else throw compressionError("a table size update behind a field");
    }
    return this.#finish();
  }

  #begin(bytes: number): void {
    this.#fields = [];
    this.#listBytes = 0;
    this.#tooLarge = false;
    this.#textStart = -1;
    this.#used = 0;
    this.#pending.length = 0;
    const room = huffmanRoom(bytes);
    if (scratch.length < room) scratch = Buffer.allocUnsafeSlow(room);
  }

  #finish(): string[] {
    const fields = this.#fields;
    const pending = this.#pending;
    if (pending.length > 0) {
      const text = scratch.toString("latin1", 0, this.#used);
      for (let at = 0; at < pending.length; at += 3) {
        fields[pending[at]!] = text.slice(pending[at + 1]!, pending[at + 2]!);
      }
    }
    // Nothing may be held that belongs to a read buffer or to the caller.
    this.#reader.release();
    this.#fields = NONE;
    this.#text = "";
    return fields;
  }

  /** RFC 7541 sections 4.2 and 6.3. */
  #sizeUpdates(): void {
    const reader = this.#reader;
    let count = 0;
    while (reader.at < reader.end && reader.block[reader.at]! >> 5 === SIZE_UPDATE >> 5) {
      if (++count > MAX_SIZE_UPDATES) {
        throw compressionError(`more than ${MAX_SIZE_UPDATES} table size updates in a block`);
      }
      const bytes = reader.read(SIZE_UPDATE_MASK);
      if (bytes > this.#maxTableBytes) {
        throw compressionError(
          `a table of ${bytes} octets, where ${this.#maxTableBytes} were announced`,
        );
      }
      this.#table.resize(bytes);
    }
    if (!this.#updateDue) return;
    if (count === 0) throw compressionError("no table size update behind a smaller announced size");
    this.#updateDue = false;
  }

  /** RFC 7541 section 6.1. */
  #indexed(index: number): void {
    const name = this.#nameAt(index);
    const value =
      index <= STATIC_ENTRIES
        ? STATIC_VALUES[index]!
        : this.#table.value(index - STATIC_ENTRIES - 1);
    if (this.#counts(name.length, value.length)) this.#fields.push(name, value);
  }

  /** RFC 7541 section 6.2.1. */
  #incremental(): void {
    const index = this.#reader.read(INCREMENTAL_MASK);
    const mark = this.#used;
    // Of its own and no slice: an entry must not keep the text of a whole block.
    const name = index === 0 ? this.#ownString() : this.#nameAt(index);
    const value = this.#ownString();
    this.#used = mark;
    this.#table.add(name, value);
    if (this.#added === NONE) this.#added = [name, value];
    else this.#added.push(name, value);
    if (this.#counts(name.length, value.length)) this.#fields.push(name, value);
  }

  /** Without indexing, and never indexed: RFC 7541 sections 6.2.2 and 6.2.3. */
  #plain(): void {
    const index = this.#reader.read(PLAIN_MASK);
    const mark = this.#used;
    if (index !== 0) {
      const name = this.#nameAt(index);
      this.#readString();
      if (this.#counts(name.length, this.#to - this.#from)) {
        this.#fields.push(name);
        this.#pushString(this.#isCoded, this.#from, this.#to);
      } else this.#used = mark;
      return;
    }
    this.#readString();
    const from = this.#from;
    const to = this.#to;
    const isCoded = this.#isCoded;
    this.#readString();
    if (this.#counts(to - from, this.#to - this.#from)) {
      this.#pushString(isCoded, from, to);
      this.#pushString(this.#isCoded, this.#from, this.#to);
    } else this.#used = mark;
  }

  /** May a field of that size be kept? */
  #counts(nameBytes: number, valueBytes: number): boolean {
    if (this.#tooLarge) return false;
    this.#listBytes += nameBytes + valueBytes + ENTRY_OVERHEAD;
    const { listBytes, fields } = this.#limits;
    this.#tooLarge = this.#listBytes > listBytes || this.#fields.length >= 2 * fields;
    return !this.#tooLarge;
  }

  /** RFC 7541 section 2.3.3. */
  #nameAt(index: number): string {
    if (index <= STATIC_ENTRIES) {
      if (index === 0) throw compressionError("index 0");
      return STATIC_NAMES[index]!;
    }
    this.#refers = true;
    const age = index - STATIC_ENTRIES - 1;
    if (age >= this.#table.count) throw compressionError(`index ${index} beyond the table`);
    return this.#table.name(age);
  }

  /** Reads a string literal (RFC 7541 section 5.2) without making a string of it. */
  #readString(): void {
    const reader = this.#reader;
    const { block, end } = reader;
    if (reader.at >= end) throw compressionError("the block ends inside a field");
    this.#isCoded = block[reader.at]! >= HUFFMAN;
    const bytes = reader.read(LENGTH_MASK);
    const from = reader.at;
    if (bytes > end - from) throw compressionError("the block ends inside a string");
    reader.at = from + bytes;
    if (this.#isCoded) {
      this.#from = this.#used;
      this.#used = huffmanDecode(block, from, from + bytes, scratch, this.#used);
      this.#to = this.#used;
    } else {
      this.#from = from;
      this.#to = from + bytes;
    }
  }

  #ownString(): string {
    this.#readString();
    const buffer = this.#isCoded ? scratch : this.#reader.block;
    return buffer.toString("latin1", this.#from, this.#to);
  }

  #pushString(isCoded: boolean, from: number, to: number): void {
    if (isCoded) {
      this.#pending.push(this.#fields.length, from, to);
      this.#fields.push("");
      return;
    }
    if (this.#textStart < 0) {
      this.#textStart = from;
      this.#text = this.#reader.block.toString("latin1", from, this.#reader.end);
    }
    this.#fields.push(this.#text.slice(from - this.#textStart, to - this.#textStart));
  }
}
