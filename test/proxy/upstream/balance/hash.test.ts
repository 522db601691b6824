import assert from "node:assert/strict";
import { test } from "node:test";
import { hashOf, mix32 } from "../../../../src/proxy/upstream/balance/hash.ts";

test("is MurmurHash3_x86_32, by published vectors for every length of tail", () => {
  const vectors: [string, number, number][] = [
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["a", 0x9747b28c, 0x7fa09ea6],
    ["aa", 0x9747b28c, 0x5d211726],
    ["aaa", 0x9747b28c, 0x283e0130],
    ["aaaa", 0x9747b28c, 0x5a97808a],
    ["abc", 0, 0xb3dd93fa],
    ["test", 0, 0xba6bd213],
    ["hello", 0, 0x248bfa47],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["ππππππππ", 0x9747b28c, 0xd58063c1],
    ["The quick brown fox jumps over the lazy dog", 0, 0x2e4ff723],
  ];
  for (const [text, seed, expected] of vectors) assert.equal(hashOf(text, seed), expected, text);
});

test("hashes a long text as a short one, whole", () => {
  const long = "π".repeat(1_025);
  assert.notEqual(hashOf(long), hashOf(long.slice(1)));
  assert.notEqual(hashOf(`${long}a`), hashOf(`${long}b`));
  const border = "π".repeat(1_024);
  assert.notEqual(hashOf(`${border.slice(1)}a`), hashOf(`${border.slice(1)}b`));
});

test("mixes so that one changed bit changes about half of the result", () => {
  let changed = 0;
  for (let bit = 0; bit < 32; bit++) {
    for (let value = 0; value < 100; value++) {
      let difference = mix32(value * 97) ^ mix32((value * 97) ^ (1 << bit));
      for (; difference !== 0; difference &= difference - 1) changed++;
    }
  }
  assert.ok(Math.abs(changed / 3_200 - 16) < 0.5, `${changed / 3_200}`);
});
