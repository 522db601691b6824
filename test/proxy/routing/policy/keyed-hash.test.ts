import assert from "node:assert/strict";
import { test } from "node:test";
import { halfSipHash } from "../../../../src/proxy/routing/policy/keyed-hash.ts";

function hashOf(text: string, key0 = 0x03020100, key1 = 0x07060504): string {
  const words = { low: 0, high: 0 };
  halfSipHash(text, key0, key1, words);
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(words.low, 0);
  bytes.writeInt32LE(words.high, 4);
  return bytes.toString("hex");
}

/** The text whose UTF-16LE form is the bytes 0, 1, 2, ... as in the vectors of the reference implementation. */
function countingText(bytes: number): string {
  const data = Buffer.from(Array.from({ length: bytes }, (_, index) => index));
  return data.toString("utf16le");
}

test("gives the 64-bit tags of the reference implementation", () => {
  const vectors: Readonly<Record<number, string>> = {
    0: "218d1f59b9b83cc8",
    2: "064f39ef7c50eb57",
    4: "d5e78a175be52ea1",
    6: "ce3e91358aa2bc25",
    8: "edfee820bce4858c",
    10: "95b0469f06a6f2ee",
  };
  for (const [bytes, tag] of Object.entries(vectors)) {
    assert.equal(hashOf(countingText(Number(bytes))), tag, bytes);
  }
});

test("depends on the key, on the length and on every character", () => {
  assert.notEqual(hashOf("a", 1, 2), hashOf("a", 1, 3));
  assert.notEqual(hashOf("a"), hashOf("a\0"));
  assert.notEqual(hashOf(""), hashOf("\0"));
  const seen = new Set<string>();
  for (let number = 0; number < 20_000; number++) seen.add(hashOf(`key ${number}`));
  assert.equal(seen.size, 20_000);
});
