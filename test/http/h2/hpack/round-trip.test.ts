import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seeded } from "../../../../src/core/random.ts";
import { ConnectionError } from "../../../../src/http/h2/errors.ts";
import { HpackDecoder } from "../../../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../../../src/http/h2/hpack/encoder.ts";
import { decode, encode, indexed, LIMITS, literal, sizeUpdate } from "./blocks.ts";
import { randomFields } from "./random-fields.ts";

const WIDE = { tableBytes: 65_536, listBytes: 10_000_000, fields: 10_000 };

const below = (random: Random, limit: number): number => Math.floor(random() * limit);

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`round trip of 400 blocks of one connection, with table resizes (seed ${seed})`, () => {
    const random = seeded(seed);
    const encoder = new HpackEncoder({ tableBytes: [0, 100, 4_096, 65_536][seed % 4]! });
    const decoder = new HpackDecoder(WIDE);
    for (let block = 0; block < 400; block++) {
      for (let resizes = below(random, 12) - 8; resizes > 0; resizes--) {
        encoder.setPeerTableBytes([0, 50, 300, 4_096, 20_000, 65_536][below(random, 6)]!);
      }
      const fields = randomFields(random);
      assert.deepEqual(decode(decoder, encode(encoder, fields)), fields);
      assert.equal(decoder.tooLarge, false);
    }
  });

  test(`the decoder holds against a model of the table, whatever the representations (seed ${seed})`, () => {
    const random = seeded(100 + seed);
    const decoder = new HpackDecoder(WIDE);
    let table: (readonly [name: string, value: string])[] = [];
    let capacity = 4_096;
    const size = () =>
      table.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    const evict = (limit: number) => {
      while (table.length > 0 && size() > limit) table.pop();
    };
    for (let block = 0; block < 150; block++) {
      const parts: Buffer[] = [];
      const wanted: string[] = [];
      if (random() < 0.1) {
        capacity = below(random, 3_000);
        parts.push(sizeUpdate(capacity));
        evict(capacity);
      }
      const fields = randomFields(random);
      for (let at = 0; at < fields.length; at += 2) {
        const kind = (["incremental", "incremental", "plain", "never"] as const)[below(random, 4)]!;
        const known = random() < 0.4 && table.length > 0 ? below(random, table.length) : -1;
        const [name, value] = known < 0 ? [fields[at]!, fields[at + 1]!] : table[known]!;
        if (known >= 0 && random() < 0.5) {
          parts.push(indexed(62 + known));
          wanted.push(name, value);
          continue;
        }
        const fresh = fields[at + 1]!;
        parts.push(literal(kind, known >= 0 ? 62 + known : name, fresh, random() < 0.5));
        wanted.push(name, fresh);
        if (kind !== "incremental") continue;
        const bytes = name.length + fresh.length + 32;
        evict(capacity - bytes);
        if (bytes <= capacity) table = [[name, fresh], ...table];
      }
      assert.deepEqual(decode(decoder, ...parts), wanted);
    }
  });
}

/** Returns false where the block was refused, which is the only thing that `decode` may throw. */
function survives(decoder: HpackDecoder, block: Buffer): boolean {
  try {
    const fields = decode(decoder, block);
    assert.equal(fields.length % 2, 0);
    assert.ok(fields.every((text) => typeof text === "string"));
    return true;
  } catch (error) {
    assert.ok(error instanceof ConnectionError, String(error));
    return false;
  }
}

test("random octets are decoded or refused, and nothing else happens", () => {
  const random = seeded(11);
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const block = Buffer.from(Array.from({ length: below(random, 60) }, () => below(random, 256)));
    if (!survives(new HpackDecoder(LIMITS), block)) refused++;
  }
  assert.ok(refused > 1_000 && refused < 20_000, `${refused} refused`);
});

test("mutated blocks are decoded or refused, and nothing else happens", () => {
  const random = seeded(12);
  let refused = 0;
  for (let round = 0; round < 3_000; round++) {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(LIMITS);
    for (let block = 0; block < 5; block++) {
      const bytes = Buffer.from(encode(encoder, randomFields(random)));
      for (let flips = below(random, 3); flips > 0; flips--) {
        bytes[below(random, bytes.length)]! ^= 1 << below(random, 8);
      }
      const cut = random() < 0.1 ? below(random, bytes.length) : bytes.length;
      if (survives(decoder, bytes.subarray(0, cut))) continue;
      refused++;
      break;
    }
  }
  assert.ok(refused > 100 && refused < 3_000, `${refused} refused`);
});
