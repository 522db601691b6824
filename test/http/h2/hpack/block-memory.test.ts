import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { HpackDecoder } from "../../../../src/http/h2/hpack/decoder.ts";
import { decode, faultOf, indexed, LIMITS, literal, sizeUpdate, tableOf } from "./blocks.ts";

/** The first entry of the dynamic table. */
const NEWEST = 62;

/** Decodes it so often that it is known. */
function teach(decoder: HpackDecoder, ...parts: Buffer[]): readonly string[] {
  decode(decoder, ...parts);
  decode(decoder, ...parts);
  return decode(decoder, ...parts);
}

describe("a field block that comes again", () => {
  it("is the same list, from the third time on", () => {
    const decoder = new HpackDecoder(LIMITS);
    const block = [indexed(2), literal("plain", ":path", "/a")];
    const first = decode(decoder, ...block);
    assert.equal(decoder.isRepeat, false);
    const second = decode(decoder, ...block);
    assert.equal(decoder.isRepeat, false);
    assert.notEqual(second, first);
    assert.equal(decode(decoder, ...block), second);
    assert.equal(decoder.isRepeat, true);
    assert.deepEqual(second, [":method", "GET", ":path", "/a"]);
    decode(decoder, indexed(3));
    assert.equal(decoder.isRepeat, false);
  });

  it("means what the table says now, where it refers to an entry", () => {
    const decoder = new HpackDecoder(LIMITS);
    decode(decoder, literal("incremental", "x-a", "1"));
    assert.deepEqual(teach(decoder, indexed(NEWEST)), ["x-a", "1"]);
    decode(decoder, literal("incremental", "x-b", "2"));
    assert.deepEqual(decode(decoder, indexed(NEWEST)), ["x-b", "2"]);
    assert.deepEqual(teach(decoder, indexed(NEWEST)), ["x-b", "2"]);
    decode(decoder, sizeUpdate(0));
    assert.match(faultOf(decoder, indexed(NEWEST)), /beyond the table/);
  });

  it("means another name, too, when the entry that names it has moved", () => {
    const decoder = new HpackDecoder(LIMITS);
    decode(decoder, literal("incremental", "x-a", "1"));
    assert.deepEqual(teach(decoder, literal("plain", NEWEST, "v")), ["x-a", "v"]);
    decode(decoder, literal("incremental", "x-b", "2"));
    assert.deepEqual(decode(decoder, literal("plain", NEWEST, "v")), ["x-b", "v"]);
  });

  it("adds to the table each time what it adds", () => {
    const decoder = new HpackDecoder({ ...LIMITS, tableBytes: 4_096 });
    for (let count = 1; count <= 5; count++) {
      decode(decoder, literal("incremental", "x-a", "1"), literal("incremental", ":path", "/p"));
      assert.equal(decoder.isRepeat, count > 2);
    }
    const each = [":path: /p", "x-a: 1"];
    assert.deepEqual(tableOf(decoder), [...each, ...each, ...each, ...each, ...each]);
  });

  it("of size updates, or beyond the limits, is read anew", () => {
    const decoder = new HpackDecoder({ ...LIMITS, fields: 1 });
    for (let count = 0; count < 4; count++) {
      decode(decoder, sizeUpdate(100), indexed(2));
      assert.equal(decoder.isRepeat, false);
      decode(decoder, indexed(2), indexed(3));
      assert.equal(decoder.tooLarge, true);
      assert.equal(decoder.isRepeat, false);
    }
    teach(decoder, indexed(2));
    assert.equal(decoder.isRepeat, true);
    assert.equal(decoder.tooLarge, false);
  });

  it("has to begin with a size update, where one is due, though it was known", () => {
    const decoder = new HpackDecoder({ ...LIMITS, tableBytes: 100 });
    teach(decoder, indexed(2));
    decoder.settingsAcknowledged();
    assert.match(faultOf(decoder, indexed(2)), /no table size update/);
  });

  it("becomes what it would become without a memory, in any order of blocks", () => {
    const name = fc.constantFrom<string | number>("x-a", "x-b", 4, NEWEST, NEWEST + 1);
    const kind = fc.constantFrom<"incremental" | "plain" | "never">(
      "incremental",
      "plain",
      "never",
    );
    const field = fc.oneof(
      fc.constantFrom(2, 3, NEWEST, NEWEST + 1).map((index) => indexed(index)),
      fc
        .tuple(kind, name, fc.constantFrom("1", "22"), fc.boolean())
        .map(([of, called, value, coded]) => literal(of, called, value, coded)),
    );
    const blocks = fc.array(fc.array(field, { maxLength: 3 }), { minLength: 1, maxLength: 4 });
    const order = fc.array(fc.nat(3), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(blocks, order, (known, picks) => {
        const start = Buffer.concat([
          literal("incremental", "x-first", "f"),
          literal("incremental", "x-second", "s"),
        ]);
        const decoder = new HpackDecoder({ ...LIMITS, tableBytes: 200 });
        const other = new HpackDecoder({ ...LIMITS, tableBytes: 200 });
        decode(decoder, start);
        decode(other, start);
        for (const [at, pick] of picks.entries()) {
          const block = known[pick % known.length] as Buffer[];
          // A never-indexed field of changing length in front keeps the other decoder from knowing the block.
          const mark = "m".repeat(at + 1);
          const expected = decode(other, literal("never", "x-mark", mark), ...block).slice(2);
          assert.deepEqual(decode(decoder, ...block), expected);
        }
        assert.deepEqual(tableOf(decoder), tableOf(other));
      }),
      { numRuns: 300 },
    );
  });
});
