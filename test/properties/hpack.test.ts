import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http/h2/hpack/encoder.ts";
import { decode, encode, indexed, literal } from "../http/h2/hpack/blocks.ts";
import { lowerName, value } from "./arbitraries.ts";
import { check } from "./check.ts";

const RUNS = 600;
const WIDE = { tableBytes: 65_536, listBytes: 1e9, fields: 1e6 };

/** Names and values that come again, as those of a connection do, among others that are new. */
const name = fc.oneof(
  fc.constantFrom(":path", ":status", "cookie", "authorization", "date", "te", "q-a", "q-b"),
  lowerName,
);
const someValue = fc.oneof(fc.constantFrom("", "/", "200", "a=b", "x".repeat(900)), value);
const list = fc.array(fc.tuple(name, someValue), { maxLength: 12 }).map((pairs) => pairs.flat());

/** A block, or another size of the peer's table. */
const step = fc.oneof(
  { weight: 5, arbitrary: list },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 65_536 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 32, 100, 4_096) },
);

test("whatever is encoded on one connection, with any resizes between, is decoded as it was", () => {
  const property = fc.property(
    fc.array(step, { maxLength: 30 }),
    fc.constantFrom(0, 64, 500, 4_096, 65_536),
    (steps, tableBytes) => {
      const encoder = new HpackEncoder({ tableBytes });
      const decoder = new HpackDecoder(WIDE);
      for (const one of steps) {
        if (typeof one === "number") encoder.setPeerTableBytes(one);
        else assert.deepEqual(decode(decoder, encode(encoder, one)), one);
      }
    },
  );
  check(property, RUNS);
});

test("a smaller table that was announced is kept to from its acknowledgement on", () => {
  const property = fc.property(
    fc.array(list, { maxLength: 6 }),
    fc.integer({ min: 0, max: 4_095 }),
    fc.array(list, { minLength: 1, maxLength: 6 }),
    (before, tableBytes, behind) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder({ ...WIDE, tableBytes });
      for (const one of before) assert.deepEqual(decode(decoder, encode(encoder, one)), one);
      encoder.setPeerTableBytes(tableBytes);
      decoder.settingsAcknowledged();
      for (const one of behind) assert.deepEqual(decode(decoder, encode(encoder, one)), one);
    },
  );
  check(property, RUNS);
});

test("every way to write a field is the same field, with and without Huffman", () => {
  const property = fc.property(
    fc.constantFrom("incremental", "plain", "never"),
    lowerName,
    value,
    fc.boolean(),
    (kind, one, other, coded) => {
      const decoder = new HpackDecoder(WIDE);
      const parts = [literal(kind, one, other, coded)];
      if (kind === "incremental") parts.push(indexed(62), literal("plain", 62, other, coded));
      const wanted = parts.flatMap(() => [one, other]);
      assert.deepEqual(decode(decoder, ...parts), wanted);
    },
  );
  check(property, RUNS);
});

test("of a list beyond the limits the fields before it are kept, and the next block is read", () => {
  const property = fc.property(
    list,
    fc.integer({ min: 0, max: 600 }),
    fc.nat(8),
    list,
    (first, listBytes, most, second) => {
      const encoder = new HpackEncoder();
      const narrow = new HpackDecoder({ tableBytes: 4_096, listBytes, fields: most });
      const wide = new HpackDecoder(WIDE);
      for (const one of [first, second]) {
        const block = encode(encoder, one);
        const kept = decode(narrow, block);
        assert.deepEqual(decode(wide, block), one);
        assert.deepEqual(kept, one.slice(0, kept.length));
        assert.equal(narrow.tooLarge, kept.length < one.length);
        assert.ok(kept.length <= 2 * most);
      }
    },
  );
  check(property, RUNS);
});
