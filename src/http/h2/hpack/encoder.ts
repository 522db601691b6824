import { DEFAULT_TABLE_BYTES } from "../codes.ts";
import { INTEGER_BYTES, writeInteger } from "./integers.ts";
import { KnownPrefix } from "./known-prefix.ts";
import { entryBytes, SentName, SentTable } from "./sent-table.ts";
import { STATIC_BY_NAME, STATIC_ENTRIES, type StaticName } from "./static-table.ts";

/** Representations (RFC 7541 section 6): leading bits, and masks of their integers. */
const INDEXED = 0x80;
const INDEXED_MASK = 0x7f;
const INCREMENTAL = 0x40;
const INCREMENTAL_MASK = 0x3f;
const SIZE_UPDATE = 0x20;
const SIZE_UPDATE_MASK = 0x1f;
const NEVER = 0x10;
const PLAIN = 0x00;
const PLAIN_MASK = 0x0f;
const LENGTH_MASK = 0x7f;

/**
 * Values shorter than this are never indexed, here and by whoever passes them on: in a table they could be guessed by how
 * well a guess shrinks the block (RFC 7541 section 7.1). A long cookie cannot be guessed; the bound is that of nghttp2.
 */
const SECRET_BELOW: ReadonlyMap<string, number> = new Map([
  ["authorization", Number.POSITIVE_INFINITY],
  ["proxy-authorization", Number.POSITIVE_INFINITY],
  ["cookie", 20],
  ["set-cookie", 20],
]);

/** Differ from message to message; in the table they would only displace others. */
const VARYING = new Set([
  "age",
  "b3",
  "content-length",
  "date",
  "etag",
  "grpc-timeout",
  "if-modified-since",
  "if-none-match",
  "last-modified",
  "traceparent",
  "x-b3-parentspanid",
  "x-b3-spanid",
  "x-b3-traceid",
  "x-request-id",
]);

const NOT_STATIC: StaticName = { index: 0, values: [] };

/** Names that one encoder remembers, and how long they may be. When it has more it forgets all and learns anew. */
const MAX_NAMES = 128;
const MAX_NAME_BYTES = 128;

/** An entry takes at most this part of the table, so that one large value does not displace all others. */
const ENTRY_SHARE = 4;

/** Below this a loop is cheaper than the call into native code. */
const LOOP_BYTES = 24;

/**
 * Encodes the field blocks of one direction of a connection (RFC 7541). Strings go as they are: Huffman coding saves
 * little more than a fifth of the octets, for about twice the time at the peer and at most three times here. The table
 * pays on both sides (bench/micro/hpack.ts).
 *
 * A field enters the table when its name is new, or when its value comes a second time in a row: what changes with
 * each message stays out, and its name is sent as one octet all the same.
 */
export class HpackEncoder {
  readonly #ownBytes: number;
  readonly #table = new SentTable(DEFAULT_TABLE_BYTES);
  readonly #names = new Map<string, SentName>();
  readonly #prefix = new KnownPrefix();
  /** Would the field that was written last be written so again? */
  #isSettled = false;
  /** What the peer allows. */
  #peerBytes = DEFAULT_TABLE_BYTES;
  /** Is a size update due, and what was the smallest size since the last block? */
  #updateDue = false;
  #smallest = DEFAULT_TABLE_BYTES;

  /** `tableBytes`: most that is used of the table that the peer offers. */
  constructor(options: { readonly tableBytes?: number } = {}) {
    this.#ownBytes = options.tableBytes ?? DEFAULT_TABLE_BYTES;
    if (this.#ownBytes < DEFAULT_TABLE_BYTES) this.#resize();
  }

  /** The most octets that the block of these fields can have. */
  static maxBytes(fields: readonly string[]): number {
    // Two size updates; for each string its length, and for each field the octet that says what it is.
    let bytes = 2 * INTEGER_BYTES + fields.length * INTEGER_BYTES + (fields.length >> 1);
    for (const text of fields) bytes += text.length;
    return bytes;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; the next block tells it what we make of it (RFC 7541 section 4.2). */
  setPeerTableBytes(bytes: number): void {
    const isLess = bytes < this.#peerBytes;
    this.#peerBytes = bytes;
    // A smaller size has to be acknowledged by an update, even if the table was smaller still (RFC 9113 section 4.3.1).
    if (isLess || Math.min(bytes, this.#ownBytes) !== this.#table.capacity) this.#resize();
  }

  /**
   * Writes the block of `fields`, names and values in turn, at `at`, and returns the offset behind it. `out` has to have
   * `maxBytes` of room. Names are in lower case, and all is latin1; nothing of that is checked here.
   */
  encode(fields: readonly string[], out: Buffer, at: number): number {
    let next = this.#updateDue ? this.#writeUpdates(out, at) : at;
    const { version } = this.#table;
    const known = this.#prefix.match(fields, version);
    if (known > 0) next = this.#prefix.copy(known, out, next);
    if (known < fields.length) this.#prefix.begin(fields, known, version);
    let settles = true;
    for (let field = known; field < fields.length; field += 2) {
      const start = next;
      next = this.#writeField(fields[field]!, fields[field + 1]!, out, start);
      settles = settles && this.#isSettled && this.#prefix.add(out, start, next);
    }
    if (this.#table.version !== version) this.#prefix.forget();
    return next;
  }

  #resize(): void {
    const capacity = Math.min(this.#peerBytes, this.#ownBytes);
    this.#smallest = this.#updateDue ? Math.min(this.#smallest, capacity) : capacity;
    this.#updateDue = true;
    this.#table.resize(capacity);
  }

  #writeUpdates(out: Buffer, at: number): number {
    this.#updateDue = false;
    const { capacity } = this.#table;
    let next = at;
    if (this.#smallest < capacity) {
      next = writeInteger(out, next, SIZE_UPDATE, SIZE_UPDATE_MASK, this.#smallest);
    }
    return writeInteger(out, next, SIZE_UPDATE, SIZE_UPDATE_MASK, capacity);
  }

  #writeField(name: string, value: string, out: Buffer, at: number): number {
    const sent = this.#names.get(name) ?? this.#newName(name);
    const { inStatic } = sent;
    this.#isSettled = true;
    for (let of = 0; of < inStatic.values.length; of++) {
      if (inStatic.values[of] === value) {
        out[at] = INDEXED | (sent.inStatic.index + of);
        return at + 1;
      }
    }
    const age = this.#table.age(sent);
    if (age >= 0 && sent.value === value) {
      return writeInteger(out, at, INDEXED, INDEXED_MASK, STATIC_ENTRIES + 1 + age);
    }
    let index = sent.inStatic.index;
    if (index === 0 && age >= 0) index = STATIC_ENTRIES + 1 + age;
    if (value.length < sent.secretBelow) {
      return writeLiteral(NEVER, PLAIN_MASK, index, name, value, out, at);
    }
    if (!this.#isWorthAnEntry(sent, index, name, value)) {
      // The same value once more may be worth one.
      this.#isSettled = sent.varies;
      return writeLiteral(PLAIN, PLAIN_MASK, index, name, value, out, at);
    }
    this.#isSettled = false;
    const next = writeLiteral(INCREMENTAL, INCREMENTAL_MASK, index, name, value, out, at);
    // A text of its own: the value may be a slice of a whole head, which must not live as long as the entry.
    const own = out.toString("latin1", next - value.length, next);
    this.#table.add(sent, own, entryBytes(name, value));
    return next;
  }

  #isWorthAnEntry(sent: SentName, index: number, name: string, value: string): boolean {
    if (entryBytes(name, value) * ENTRY_SHARE > this.#table.capacity) return false;
    // Once for the sake of the name.
    if (index === 0) return name.length <= MAX_NAME_BYTES;
    if (sent.varies || (name === ":path" && value.includes("?"))) return false;
    const print = printOf(value);
    const isRepeated = print === sent.print;
    sent.print = print;
    return isRepeated;
  }

  #newName(name: string): SentName {
    const sent = new SentName(
      STATIC_BY_NAME.get(name) ?? NOT_STATIC,
      SECRET_BELOW.get(name) ?? 0,
      VARYING.has(name),
    );
    if (name.length > MAX_NAME_BYTES) return sent;
    if (this.#names.size === MAX_NAMES) this.#names.clear();
    // A text of its own, for the reason that the value has.
    this.#names.set(Buffer.from(name, "latin1").toString("latin1"), sent);
    return sent;
  }
}

/**
 * Tells values apart without holding one: its length and at most sixteen of its characters. Values that are taken for
 * equal only enter the table too early.
 */
function printOf(value: string): number {
  const step = 1 + (value.length >> 4);
  let print = value.length;
  for (let at = value.length - 1; at >= 0; at -= step) {
    print = (Math.imul(print, 31) + value.charCodeAt(at)) & 0x3fff_ffff;
  }
  return print;
}

/** RFC 7541 section 6.2, with the name where there is no index. */
function writeLiteral(
  bits: number,
  mask: number,
  index: number,
  name: string,
  value: string,
  out: Buffer,
  at: number,
): number {
  const next = writeInteger(out, at, bits, mask, index);
  return writeString(value, out, index === 0 ? writeString(name, out, next) : next);
}

/** RFC 7541 section 5.2. */
function writeString(text: string, out: Buffer, at: number): number {
  const { length } = text;
  let next = writeInteger(out, at, PLAIN, LENGTH_MASK, length);
  if (length > LOOP_BYTES) return next + out.write(text, next, "latin1");
  for (let of = 0; of < length; of++) out[next++] = text.charCodeAt(of);
  return next;
}
