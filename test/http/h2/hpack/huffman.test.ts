import assert from "node:assert/strict";
import { test } from "node:test";
import { HUFFMAN_CODES } from "../../../../bench/micro/huffman-codes.ts";
import { huffmanDecode, huffmanRoom } from "../../../../src/http/h2/hpack/huffman.ts";
import { fromBits, huffman } from "./blocks.ts";

const bitsOf = ([code, bits]: readonly [number, number]): string =>
  code.toString(2).padStart(bits, "0");

const padded = (bits: string): Buffer => fromBits(bits.padEnd(8 * Math.ceil(bits.length / 8), "1"));

function decoded(coded: Buffer): string {
  const out = Buffer.alloc(huffmanRoom(coded.length));
  return out.toString("latin1", 0, huffmanDecode(coded, 0, coded.length, out, 0));
}

test("decodes each octet by the code that RFC 7541 appendix B prints, at every bit of an octet", () => {
  for (let octet = 0; octet < 256; octet++) {
    const code = bitsOf(HUFFMAN_CODES[octet]!);
    // `0` has five bits, which is prime to eight: so many of them move the code by any number of bits.
    for (let before = 0; before < 8; before++) {
      const wanted = "0".repeat(before) + String.fromCharCode(octet);
      assert.equal(decoded(padded("00000".repeat(before) + code)), wanted);
    }
  }
});

test("decodes every pair of octets", () => {
  for (let first = 0; first < 256; first++) {
    for (let second = 0; second < 256; second++) {
      const wanted = String.fromCharCode(first, second);
      const bits = bitsOf(HUFFMAN_CODES[first]!) + bitsOf(HUFFMAN_CODES[second]!);
      if (decoded(padded(bits)) !== wanted) assert.fail(`${first} and ${second}`);
    }
  }
});

test("has room for the text that is longest for its code", () => {
  for (let length = 0; length < 100; length++) {
    const text = "a".repeat(length);
    assert.ok(huffmanRoom(huffman(text).length) >= length + 2);
    assert.equal(decoded(huffman(text)), text);
  }
});

test("refuses EOS at every bit of an octet, and every code that is cut off too early", () => {
  const refused = (coded: Buffer): void => {
    assert.throws(() => decoded(coded), { message: /EOS|padding/ });
  };
  for (let before = 0; before < 8; before++) {
    refused(padded("00000".repeat(before) + "1".repeat(30)));
  }
  for (let octet = 0; octet < 256; octet++) {
    const code = bitsOf(HUFFMAN_CODES[octet]!);
    // The first bits of a code are no padding unless they are all ones and less than eight.
    for (let cut = 1; cut < code.length; cut++) {
      const bits = code.slice(0, cut);
      if (/^1{1,7}$/.test(bits)) continue;
      const before = (8 - (cut % 8)) % 8;
      const fill = Array.from({ length: 8 }, (_, count) => "00000".repeat(count));
      const start = fill.find((text) => text.length % 8 === before)!;
      refused(fromBits(start + bits));
    }
  }
});
