import { isIP } from "node:net";

/** An address as four words of 32 bits; IPv4 is in the last word. */
export interface ParsedAddress {
  family: 0 | 4 | 6;
  readonly words: Uint32Array;
}

/** All addresses whose first bits are those of `words`. */
export interface AddressBlock {
  readonly family: 4 | 6;
  /** With the bits beyond the prefix cleared. */
  readonly words: Uint32Array;
  /** Of 128, for IPv4 too: there the first 96 are zero. */
  readonly bits: number;
}

const MAPPED_BITS = 96;

/** Reads an address into `into`, whose family is 0 where the text is none. IPv4-mapped IPv6 is IPv4. */
export function parseAddress(text: string, into: ParsedAddress): void {
  const { words } = into;
  words.fill(0);
  into.family = 0;
  if (!text.includes(":")) {
    if (isIP(text) !== 4) return;
    words[3] = v4Word(text);
    into.family = 4;
    return;
  }
  const zone = text.indexOf("%");
  const bare = zone === -1 ? text : text.slice(0, zone);
  if (isIP(bare) !== 6) return;
  fillV6(bare, words);
  into.family = 6;
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) {
    words[2] = 0;
    into.family = 4;
  }
}

function v4Word(text: string): number {
  let word = 0;
  let part = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x2e) {
      word = (word << 8) | part;
      part = 0;
    } else {
      part = part * 10 + code - 0x30;
    }
  }
  return ((word << 8) | part) >>> 0;
}

function fillV6(text: string, words: Uint32Array): void {
  const dotted = text.includes(".") ? text.slice(text.lastIndexOf(":") + 1) : "";
  const tail = dotted === "" ? [] : splitWord(v4Word(dotted));
  const [before = "", after] = text.slice(0, text.length - dotted.length).split("::");
  const left = groupsOf(before);
  const right = [...groupsOf(after ?? ""), ...tail];
  const groups =
    after === undefined
      ? [...left, ...tail]
      : [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  for (let word = 0; word < 4; word++) {
    words[word] = (((groups[word * 2] ?? 0) << 16) | (groups[word * 2 + 1] ?? 0)) >>> 0;
  }
}

function groupsOf(text: string): number[] {
  return text
    .split(":")
    .filter((group) => group !== "")
    .map((group) => Number.parseInt(group, 16));
}

function splitWord(word: number): number[] {
  return [word >>> 16, word & 0xffff];
}

/** Reads an address or `address/bits`. Throws a RangeError for anything else. */
export function parseBlock(text: string): AddressBlock {
  const [base = "", length, ...rest] = text.split("/");
  const parsed: ParsedAddress = { family: 0, words: new Uint32Array(4) };
  parseAddress(base, parsed);
  const { family, words } = parsed;
  const written = base.includes(":") ? 128 : 32;
  const given = length === undefined ? written : Number(length);
  const isNumber = length === undefined || /^\d{1,3}$/.test(length);
  if (family === 0 || rest.length > 0 || !isNumber || given > written) {
    throw new RangeError(`not an address or subnet: ${JSON.stringify(text)}`);
  }
  const bits = written === 32 ? given + MAPPED_BITS : given;
  if (family === 4 && bits < MAPPED_BITS) {
    throw new RangeError(`a mapped subnet is at least /96: ${JSON.stringify(text)}`);
  }
  for (let word = 0; word < 4; word++) words[word] = maskWord(words[word]!, bits - word * 32);
  return { family, words, bits };
}

/** The first `bits` bits of a word; all of it from 32 on, none from 0 down. */
function maskWord(word: number, bits: number): number {
  if (bits >= 32) return word;
  return bits <= 0 ? 0 : (word & (0xffff_ffff << (32 - bits))) >>> 0;
}

export function isInBlock({ family, words }: ParsedAddress, block: AddressBlock): boolean {
  if (family !== block.family) return false;
  for (let word = 0; word < 4; word++) {
    if (maskWord(words[word]!, block.bits - word * 32) !== block.words[word]) return false;
  }
  return true;
}

/** A number that all addresses of one block of that size share. Different blocks may share it too. */
export function prefixHash(words: Uint32Array, bits: number): number {
  let hash = bits;
  for (let word = 0; word < 4; word++) {
    hash = Math.imul(hash ^ maskWord(words[word]!, bits - word * 32), 0x0100_0193);
    hash ^= hash >>> 15;
  }
  return hash;
}
