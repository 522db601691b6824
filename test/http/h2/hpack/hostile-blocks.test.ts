import assert from "node:assert/strict";
import { test } from "node:test";
import { HpackDecoder } from "../../../../src/http/h2/hpack/decoder.ts";
import {
  codedString,
  decode,
  faultOf,
  fromBits,
  huffman,
  indexed,
  integer,
  LIMITS,
  literal,
  sizeUpdate,
  string,
  tableOf,
} from "./blocks.ts";

const octets = (...bytes: number[]): Buffer => Buffer.from(bytes);

/** `:path` with a value that is Huffman-coded by hand. */
const coded = (bytes: Buffer): Buffer => Buffer.concat([octets(0x04), codedString(bytes)]);

const EOS = "1".repeat(30);

const HOSTILE: readonly (readonly [what: string, block: Buffer, fault: RegExp])[] = [
  ["index 0", octets(0x80), /index 0$/],
  [
    "an index right behind the static table, while the dynamic one is empty",
    indexed(62),
    /62 beyond/,
  ],
  ["an index far beyond the table", indexed(5_000), /5000 beyond/],
  ["the largest index", indexed(0x7fff_ffff), /2147483647 beyond/],
  ["the name of an entry that is not there", literal("plain", 62, "x"), /62 beyond/],
  [
    "the name of an entry that is not there, to be indexed",
    literal("incremental", 70, "x"),
    /70 beyond/,
  ],
  ["an integer of 2^31", integer(0x80, 7, 2 ** 31), /2\^31 or more/],
  [
    "an integer of 2^32, which would be 0 in 32 bits",
    integer(0x80, 7, 2 ** 32 + 2),
    /2\^31 or more/,
  ],
  [
    "an integer of six continuation octets",
    octets(0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00),
    /more than 5/,
  ],
  [
    "an integer of endless zeros",
    Buffer.concat([octets(0xff), Buffer.alloc(60_000, 0x80)]),
    /more than 5/,
  ],
  ["a block that ends inside an integer", octets(0xff, 0x80), /ends inside an integer/],
  ["a block that ends behind a full prefix", octets(0xff), /ends inside an integer/],
  ["a block that ends behind an index of a name", octets(0x04), /ends inside a field/],
  [
    "a block that ends behind a name",
    Buffer.concat([octets(0x40), string("name")]),
    /ends inside a field/,
  ],
  ["a block that ends inside a length", octets(0x04, 0x7f), /ends inside an integer/],
  ["a block that ends inside a string", octets(0x04, 0x05, 0x61, 0x62), /ends inside a string/],
  [
    "a block that ends inside a Huffman-coded string",
    octets(0x04, 0x85, 0x1f),
    /ends inside a string/,
  ],
  [
    "a string longer than any block",
    Buffer.concat([octets(0x04), integer(0, 7, 0x7fff_ffff), octets(0x61)]),
    /inside a string/,
  ],
  ["EOS alone", coded(fromBits(`${EOS}11`)), /EOS/],
  ["EOS behind text", coded(fromBits(`00011${EOS}11111`)), /EOS/],
  ["EOS in the middle of a text", coded(fromBits(`00011${EOS}00011`)), /EOS/],
  ["padding of eight bits", coded(fromBits("00011111" + "11111111")), /padding/],
  ["padding of a whole octet", coded(octets(0xff)), /padding/],
  ["padding with zeros", coded(huffman("a", "000")), /padding/],
  ["padding with one zero at its end", coded(huffman("a", "110")), /padding/],
  ["padding with one zero at its begin", coded(huffman("a", "011")), /padding/],
  ["a Huffman code that the string cuts off", coded(fromBits("1111111111111111")), /padding/],
  [
    "a table size update behind a field",
    Buffer.concat([indexed(2), sizeUpdate(0)]),
    /behind a field/,
  ],
  ["a table size update above the announced one", sizeUpdate(4_097), /4097 octets, where 4096/],
  ["a table size update of nearly 2^31", sizeUpdate(0x7fff_ffff), /were announced/],
  ["a table size update of 2^31", sizeUpdate(2 ** 31), /2\^31 or more/],
  ["three table size updates", Buffer.concat([0, 1, 2].map(sizeUpdate)), /more than 2 table size/],
  ["thousands of table size updates", Buffer.alloc(50_000, 0x20), /more than 2 table size/],
];

for (const [what, block, fault] of HOSTILE) {
  test(`refuses ${what}`, () => {
    assert.match(faultOf(new HpackDecoder(LIMITS), block), fault);
  });

  test(`refuses ${what} behind a good field too, or another fault`, () => {
    faultOf(new HpackDecoder(LIMITS), indexed(2), block);
  });
}

test("refuses what is wrong also where the list is too large already", () => {
  for (const [, block] of HOSTILE) {
    const decoder = new HpackDecoder({ ...LIMITS, fields: 0 });
    faultOf(decoder, indexed(2), block);
    assert.equal(decoder.tooLarge, true);
  }
});

test("accepts padding of up to seven ones", () => {
  // Codes of five to eight bits, so that every length of padding comes.
  const seen = new Set<number>();
  for (let length = 1; length <= 8; length++) {
    const text = "a".repeat(length);
    seen.add((8 - ((5 * length) % 8)) % 8);
    assert.deepEqual(decode(new HpackDecoder(LIMITS), coded(huffman(text))), [":path", text]);
  }
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("accepts an integer that is longer than it needs to be, within five octets", () => {
  const long = octets(0xff, 0x80, 0x80, 0x80, 0x80, 0x00);
  assert.match(faultOf(new HpackDecoder(LIMITS), long), /index 127 beyond/);
});

test("accepts two table size updates, and evicts for the smaller one", () => {
  const decoder = new HpackDecoder(LIMITS);
  decode(decoder, literal("incremental", "a", "1"));
  decode(decoder, sizeUpdate(0), sizeUpdate(4_096), literal("incremental", "b", "2"));
  assert.deepEqual(tableOf(decoder), ["b: 2"]);
});

test("accepts a block with nothing in it, or a table size update alone", () => {
  const decoder = new HpackDecoder(LIMITS);
  assert.deepEqual(decode(decoder), []);
  assert.deepEqual(decode(decoder, sizeUpdate(100)), []);
});

test("empties the table for an entry that is larger than it, and keeps the field", () => {
  const decoder = new HpackDecoder(LIMITS);
  decode(decoder, literal("incremental", "a", "1"));
  const value = "v".repeat(4_096);
  assert.deepEqual(decode(decoder, literal("incremental", "large", value)), ["large", value]);
  assert.deepEqual(tableOf(decoder), []);
});

test("takes the name of an entry that the new one evicts", () => {
  const decoder = new HpackDecoder(LIMITS);
  decode(decoder, sizeUpdate(64), literal("incremental", "name", "first"));
  assert.deepEqual(decode(decoder, literal("incremental", 62, "second")), ["name", "second"]);
  assert.deepEqual(tableOf(decoder), ["name: second"]);
});

test("goes by the default size until its SETTINGS are acknowledged, then by what it announced", () => {
  const decoder = new HpackDecoder({ ...LIMITS, tableBytes: 100 });
  decode(decoder, sizeUpdate(4_096), literal("incremental", "a", "1"));
  decode(decoder, indexed(62));
  decoder.settingsAcknowledged();
  decode(decoder, sizeUpdate(100), indexed(62));
  assert.match(faultOf(decoder, sizeUpdate(101)), /101 octets, where 100/);
});

test("refuses a block without the update that a smaller announced size asks for", () => {
  for (const block of [indexed(2), Buffer.alloc(0)]) {
    const decoder = new HpackDecoder({ ...LIMITS, tableBytes: 0 });
    decoder.settingsAcknowledged();
    assert.match(faultOf(decoder, block), /no table size update/);
  }
});

test("asks for no update where the announced size is no smaller", () => {
  const decoder = new HpackDecoder({ ...LIMITS, tableBytes: 8_192 });
  decoder.settingsAcknowledged();
  assert.deepEqual(decode(decoder, indexed(2)), [":method", "GET"]);
  decode(decoder, sizeUpdate(8_192));
  assert.match(faultOf(decoder, sizeUpdate(8_193)), /8193 octets, where 8192/);
});

test("HPACK bomb (CVE-2016-6581): many references to one large entry stay within the limit of the list", () => {
  const decoder = new HpackDecoder(LIMITS);
  decode(decoder, literal("incremental", "bomb", "x".repeat(4_000)));
  const fields = decode(decoder, Buffer.alloc(60_000, indexed(62)[0]));
  assert.equal(decoder.tooLarge, true);
  assert.equal(fields.length, 2 * Math.floor(LIMITS.listBytes / 4_036));
  // What is kept are references to the one text.
  assert.equal(new Set(fields).size, 2);
});

test("HPACK bomb of small entries: the number of fields is limited as well", () => {
  const decoder = new HpackDecoder({ ...LIMITS, listBytes: 10_000_000 });
  const fields = decode(decoder, Buffer.alloc(60_000, indexed(2)[0]));
  assert.equal(decoder.tooLarge, true);
  assert.equal(fields.length, 2 * LIMITS.fields);
});

test("keeps the table right through a list that is too large, and forgets that it was", () => {
  const decoder = new HpackDecoder({ ...LIMITS, listBytes: 200 });
  const large = literal("plain", "large", "x".repeat(300), true);
  const fields = decode(
    decoder,
    indexed(2),
    ...[large, literal("incremental", "late", "1", true), literal("plain", 62, "2"), indexed(4)],
  );
  assert.deepEqual(fields, [":method", "GET"]);
  assert.equal(decoder.tooLarge, true);
  assert.deepEqual(decode(decoder, indexed(62), literal("plain", "a", "b", true)), [
    "late",
    "1",
    "a",
    "b",
  ]);
  assert.equal(decoder.tooLarge, false);
});

test("counts a list as RFC 9113 section 6.5.2 does, 32 octets more for each field", () => {
  const block = [indexed(2), literal("plain", "name", "value")];
  const listBytes = ":methodGET".length + "namevalue".length + 64;
  const exact = new HpackDecoder({ ...LIMITS, listBytes });
  assert.equal(decode(exact, ...block).length, 4);
  assert.equal(exact.tooLarge, false);
  const less = new HpackDecoder({ ...LIMITS, listBytes: listBytes - 1 });
  assert.equal(decode(less, ...block).length, 2);
  assert.equal(less.tooLarge, true);
});

test("decodes every octet in names and values, plain and Huffman-coded", () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, octet) => octet));
  for (const kind of ["plain", "incremental", "never"] as const) {
    for (const isCoded of [false, true]) {
      const decoder = new HpackDecoder(LIMITS);
      assert.deepEqual(decode(decoder, literal(kind, all, all, isCoded)), [all, all]);
    }
  }
});

test("decodes Huffman-coded strings that are longer than any before, behind short ones", () => {
  const decoder = new HpackDecoder(LIMITS);
  for (const length of [3_000, 9_000, 60_000]) {
    const [short, long] = ["s".repeat(20), "a0".repeat(length / 2)];
    const fields = decode(
      decoder,
      ...(["plain", "incremental", "never"] as const).map((kind) => literal(kind, 4, short, true)),
      literal("plain", 5, long, true),
    );
    const wanted = [short, short, short, long].flatMap((value) => [":path", value]);
    assert.deepEqual(fields, wanted);
  }
});

test("what was decoded does not change with the blocks that follow", () => {
  const decoder = new HpackDecoder(LIMITS);
  const texts = ["first value of all", "second value of all"];
  const lists = texts.map((text) =>
    decode(decoder, literal("plain", text, text, true), literal("plain", text, text)),
  );
  assert.deepEqual(
    lists,
    texts.map((text) => [text, text, text, text]),
  );
});
