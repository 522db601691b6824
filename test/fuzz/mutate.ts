import type { Random } from "../../src/core/random.ts";
import { below, pick } from "./random-of.ts";
import { MAX_INPUT_BYTES, type Mutator } from "./target.ts";

/** Where counters, lengths and windows turn over. */
const NUMBERS = [
  ...[0, 1, 2, 7, 8, 9, 10, 13, 15, 16, 31, 32, 62, 63, 64, 126, 127, 128, 129, 254, 255, 256],
  ...[16_383, 16_384, 16_385, 32_767, 32_768, 65_535, 65_536, 0xff_ffff],
  ...[0x7fff_fffe, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff],
];

/** The same as text, and what is no number to everyone. */
const NUMERALS = [
  ...["0", "00", "1", "-1", "+1", "0x1", "a", "fF", "10", "255", "256", "65535", "65536"],
  ...["2147483647", "2147483648", "4294967295", "4294967296", "9007199254740991"],
  ...["9007199254740992", "18446744073709551615", "18446744073709551616", "1fffffffffffff"],
  ...["20000000000000", "ffffffffffffffff", "10000000000000000", "1e3", "1_0", "5,5", "5, 5"],
];

const MOST_EDITS = 5;
const MOST_REPEATS = 40;

type Edit = (input: Buffer, others: readonly Buffer[], random: Random) => Buffer;

/** `input` with `[from, to)` replaced. */
export function replaced(input: Buffer, from: number, to: number, by: Uint8Array): Buffer {
  return Buffer.concat([input.subarray(0, from), by, input.subarray(to)]);
}

/** A part of the input, mostly a short one. */
function range(input: Buffer, random: Random): readonly [from: number, to: number] {
  const from = below(random, input.length + 1);
  const most = random() < 0.7 ? 16 : input.length;
  return [from, Math.min(input.length, from + below(random, most + 1))];
}

const flipBit: Edit = (input, _, random) => {
  const copy = Buffer.from(input);
  if (copy.length > 0) copy[below(random, copy.length)]! ^= 1 << below(random, 8);
  return copy;
};

const setByte: Edit = (input, _, random) => {
  const copy = Buffer.from(input);
  if (copy.length > 0) copy[below(random, copy.length)] = below(random, 256);
  return copy;
};

const setNumber: Edit = (input, _, random) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(pick(random, NUMBERS));
  const number = bytes.subarray(below(random, 4));
  const at = below(random, input.length + 1);
  return replaced(input, at, Math.min(input.length, at + number.length), number);
};

/** Replaces digits that are there, or inserts some. */
const setNumeral: Edit = (input, _, random) => {
  const text = input.toString("latin1");
  const found = [...text.matchAll(/[0-9]+/g)];
  const numeral = Buffer.from(pick(random, NUMERALS), "latin1");
  if (found.length === 0) return replaced(input, 0, 0, numeral);
  const { index, 0: digits } = pick(random, found);
  return replaced(input, index, index + digits.length, numeral);
};

const remove: Edit = (input, _, random) => replaced(input, ...range(input, random), NOTHING);

const truncate: Edit = (input, _, random) => input.subarray(0, below(random, input.length + 1));

const copyPart: Edit = (input, _, random) => {
  const part = input.subarray(...range(input, random));
  const at = below(random, input.length + 1);
  return replaced(input, at, random() < 0.5 ? at : Math.min(input.length, at + part.length), part);
};

const repeatPart: Edit = (input, _, random) => {
  const [from, to] = range(input, random);
  const times = 1 + below(random, random() < 0.8 ? 3 : MOST_REPEATS);
  const part = input.subarray(from, to);
  return replaced(input, to, to, Buffer.concat(Array.from({ length: times }, () => part)));
};

const insertOctets: Edit = (input, _, random) => {
  const octets = Buffer.from(
    Array.from({ length: 1 + below(random, 8) }, () => below(random, 256)),
  );
  const at = below(random, input.length + 1);
  return replaced(input, at, at, octets);
};

/** The begin of one input and the end of another. */
const splice: Edit = (input, others, random) => {
  const other = pick(random, others);
  const from = below(random, input.length + 1);
  return Buffer.concat([input.subarray(0, from), other.subarray(below(random, other.length + 1))]);
};

const insertOther: Edit = (input, others, random) => {
  const other = pick(random, others);
  const at = below(random, input.length + 1);
  return replaced(input, at, at, other.subarray(...range(other, random)));
};

const NOTHING = Buffer.alloc(0);

const EDITS: readonly Edit[] = [
  ...[flipBit, setByte, setNumber, setNumeral, remove, truncate, copyPart, repeatPart],
  ...[insertOctets, splice, insertOther],
];

/** A mutator that knows the words of a format, and nothing of its structure. */
export function mutator(words: readonly string[]): Mutator {
  const tokens = words.map((word) => Buffer.from(word, "latin1"));
  const useToken: Edit = (input, _, random) => {
    const at = below(random, input.length + 1);
    const to = random() < 0.5 ? at : Math.min(input.length, at + below(random, 12));
    return replaced(input, at, to, pick(random, tokens));
  };
  const edits = tokens.length === 0 ? EDITS : [...EDITS, useToken, useToken, useToken];
  return (input, others, random) => {
    let result = input;
    for (let count = 1 + below(random, MOST_EDITS); count > 0; count--) {
      result = pick(random, edits)(result, others, random);
    }
    return result.subarray(0, MAX_INPUT_BYTES);
  };
}
