import assert from "node:assert/strict";
import { test } from "node:test";
import {
  isInBlock,
  type ParsedAddress,
  parseAddress,
  parseBlock,
  prefixHash,
} from "../../../../src/proxy/routing/authorize/address-block.ts";

function parsed(text: string): ParsedAddress {
  const address: ParsedAddress = { family: 0, words: new Uint32Array(4) };
  parseAddress(text, address);
  return address;
}

const CASES: readonly [string, string, boolean][] = [
  ["10.0.0.0/8", "10.255.1.2", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["10.1.2.3", "10.1.2.3", true],
  ["10.1.2.3", "10.1.2.4", false],
  ["10.1.2.3/31", "10.1.2.2", true],
  ["0.0.0.0/0", "255.255.255.255", true],
  ["0.0.0.0/0", "::1", false],
  ["::/0", "10.0.0.1", false],
  ["::/0", "fe80::1", true],
  ["fd00::/8", "fdff:1::2", true],
  ["fd00::/8", "fe00::1", false],
  ["fe80::/10", "fe80::1%eth0", true],
  ["2001:db8::/33", "2001:db8:7fff::1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
  ["::1", "::1", true],
  ["::1", "::2", false],
  ["10.0.0.0/8", "::ffff:10.1.1.1", true],
  ["10.0.0.0/8", "::ffff:a01:101", true],
  ["::ffff:10.0.0.0/104", "10.7.7.7", true],
  ["64:ff9b::1.2.3.4", "64:ff9b::102:304", true],
  ["10.0.0.0/8", "", false],
  ["10.0.0.0/8", "nonsense", false],
  ["0.0.0.0/0", "010.0.0.1", false],
];

for (const [block, address, expected] of CASES) {
  test(`${address || "no address"} is ${expected ? "" : "not "}in ${block}`, () => {
    const at = parsed(address);
    const of = parseBlock(block);
    assert.equal(isInBlock(at, of), expected);
    if (expected) assert.equal(prefixHash(at.words, of.bits), prefixHash(of.words, of.bits));
  });
}

for (const text of [
  "",
  "x",
  "10.0.0.0/33",
  "10.0.0.0/",
  "10.0.0/8",
  "::/129",
  "1.2.3.4/8/8",
  "::ffff:1.2.3.4/90",
]) {
  test(`${JSON.stringify(text)} is no block`, () => {
    assert.throws(() => parseBlock(text), RangeError);
  });
}
