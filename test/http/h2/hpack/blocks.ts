import assert from "node:assert/strict";
import { HUFFMAN_CODES } from "../../../../bench/micro/huffman-codes.ts";
import { ConnectionError } from "../../../../src/http/h2/errors.ts";
import type { HpackDecoder, HpackLimits } from "../../../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../../../src/http/h2/hpack/encoder.ts";

export const LIMITS: HpackLimits = { tableBytes: 4_096, listBytes: 65_536, fields: 200 };

const COMPRESSION_ERROR = 0x9;

/** An integer as RFC 7541 section 5.1 spells it out, of any size. */
export function integer(bits: number, prefix: number, value: number): Buffer {
  const mask = 2 ** prefix - 1;
  if (value < mask) return Buffer.from([bits | value]);
  const octets = [bits | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) + 128);
  return Buffer.from([...octets, rest]);
}

/** Huffman-coded, bit by bit; the padding may be replaced. */
export function huffman(text: string, padding = "1111111"): Buffer {
  let bits = "";
  for (const octet of Buffer.from(text, "latin1")) {
    const [code, length] = HUFFMAN_CODES[octet]!;
    bits += code.toString(2).padStart(length, "0");
  }
  bits += padding.slice(0, (8 - (bits.length % 8)) % 8);
  return fromBits(bits);
}

export function fromBits(bits: string): Buffer {
  assert.equal(bits.length % 8, 0, "no whole octets");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((octet) => Number.parseInt(octet, 2)));
}

/** A string literal around octets that are coded already. */
export function codedString(coded: Buffer): Buffer {
  return Buffer.concat([integer(0x80, 7, coded.length), coded]);
}

export function string(text: string, coded = false): Buffer {
  if (coded) return codedString(huffman(text));
  return Buffer.concat([integer(0, 7, text.length), Buffer.from(text, "latin1")]);
}

export const indexed = (index: number): Buffer => integer(0x80, 7, index);
export const sizeUpdate = (bytes: number): Buffer => integer(0x20, 5, bytes);

/** A literal field; a name that is a number is an index. */
export function literal(
  kind: "incremental" | "plain" | "never",
  name: string | number,
  value: string,
  coded = false,
): Buffer {
  const [bits, prefix] = { incremental: [0x40, 6], plain: [0, 4], never: [0x10, 4] }[kind];
  const index = typeof name === "number" ? name : 0;
  const parts = [integer(bits!, prefix!, index), string(value, coded)];
  if (typeof name === "string") parts.splice(1, 0, string(name, coded));
  return Buffer.concat(parts);
}

/** Decodes a block that lies among other octets, as in a read buffer. */
export function decode(decoder: HpackDecoder, ...parts: readonly Buffer[]): readonly string[] {
  const block = Buffer.concat(parts);
  const around = Buffer.concat([Buffer.from([0xff, 0x82]), block, Buffer.from([0x82, 0xff])]);
  const fields = decoder.decode(around, 2, 2 + block.length);
  around.fill(0);
  return fields;
}

export function encode(encoder: HpackEncoder, fields: readonly string[]): Buffer {
  const out = Buffer.alloc(HpackEncoder.maxBytes(fields) + 8, 0xee);
  const end = encoder.encode(fields, out, 4);
  assert.ok(end <= out.length - 4, "more than maxBytes");
  return out.subarray(4, end);
}

/** Decodes and tells what is wrong with the block, which must be a COMPRESSION_ERROR. */
export function faultOf(decoder: HpackDecoder, ...parts: readonly Buffer[]): string {
  try {
    decode(decoder, ...parts);
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    assert.equal(error.code, COMPRESSION_ERROR);
    return error.message;
  }
  throw new assert.AssertionError({ message: "nothing was refused" });
}

/** The dynamic table of a decoder, newest entry first, found by asking for one index after the other. */
export function tableOf(decoder: HpackDecoder): string[] {
  const found: string[] = [];
  for (let index = 62; ; index++) {
    try {
      found.push(decode(decoder, indexed(index)).join(": "));
    } catch (error) {
      if (error instanceof ConnectionError) return found;
      throw error;
    }
  }
}
