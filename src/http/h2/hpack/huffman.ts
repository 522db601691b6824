import { compressionError } from "./integers.ts";

/**
 * Bits of each octet's code, and of EOS (RFC 7541 appendix B). The code is canonical: among codes of one length the
 * values ascend with the octets, so that the lengths say all.
 */
// biome-ignore format: sixteen to a line
const LENGTHS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];
const EOS = 256;
/** Inner nodes of the tree of codes: one less than its 257 leaves, for no code is missing. */
const STATES = LENGTHS.length - 1;

/** An entry of `STEPS`: the octets that are complete, how many they are, and the state that follows. */
const COUNT_SHIFT = 16;
const STATE_SHIFT = 18;
/** EOS was met; no state has this number, for all are below 256. */
const FAILED = 0xffff_ffff;

/** Longest padding, in bits, that may follow the last code (RFC 7541 section 5.2). */
const MAX_PADDING = 7;

/** Children of the inner nodes, two each: a further inner node, or below zero the complement of a symbol. */
function codeTree(): Int16Array {
  const tree = new Int16Array(2 * STATES);
  const symbols = LENGTHS.map((_, symbol) => symbol);
  symbols.sort((a, b) => LENGTHS[a]! - LENGTHS[b]! || a - b);
  let nodes = 1;
  let code = 0;
  let length = 0;
  for (const symbol of symbols) {
    const next = LENGTHS[symbol]!;
    code *= 2 ** (next - length);
    length = next;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit--) {
      const child = 2 * node + ((code >>> bit) & 1);
      if (tree[child] === 0) tree[child] = nodes++;
      node = tree[child]!;
    }
    tree[2 * node + (code & 1)] = ~symbol;
    code++;
  }
  return tree;
}

/**
 * What each octet of the input does in each state; a state is an inner node of the tree. The shortest code has five
 * bits, so an octet completes at most two. A step for an octet took 0.7 of the time of two for its halves, and half of
 * that of a loop that looks ten bits ahead. A text touches only a small part of the 256 KiB.
 */
function stepTable(tree: Int16Array): Uint32Array {
  const steps = new Uint32Array(STATES * 256);
  for (let at = 0; at < steps.length; at++) steps[at] = stepOf(tree, at >>> 8, at & 0xff);
  return steps;
}

function stepOf(tree: Int16Array, state: number, octet: number): number {
  let node = state;
  let octets = 0;
  let count = 0;
  for (let bit = 7; bit >= 0; bit--) {
    node = tree[2 * node + ((octet >>> bit) & 1)]!;
    if (node >= 0) continue;
    if (~node === EOS) return FAILED;
    octets |= ~node << (8 * count++);
    node = 0;
  }
  return ((node << STATE_SHIFT) | (count << COUNT_SHIFT) | octets) >>> 0;
}

/** States in which a string may end: behind a code, or behind up to seven bits of the EOS, which has ones only. */
function finalStates(tree: Int16Array): Uint8Array {
  const final = new Uint8Array(STATES);
  let node = 0;
  for (let bits = 0; bits <= MAX_PADDING; bits++) {
    final[node] = 1;
    node = tree[2 * node + 1]!;
  }
  return final;
}

const TREE = codeTree();
const STEPS = stepTable(TREE);
const FINAL = finalStates(TREE);

/** Room that `huffmanDecode` needs for the text of so many octets. */
export function huffmanRoom(bytes: number): number {
  // Eight bits to five at best; the last step may write two octets that do not count.
  return Math.ceil((bytes * 8) / 5) + 2;
}

/**
 * Decodes `block[start, end)` to `out` from `to` on (RFC 7541 section 5.2) and returns the offset behind it. Throws
 * COMPRESSION_ERROR for padding that is longer than seven bits or no prefix of EOS, and for EOS itself.
 */
export function huffmanDecode(
  block: Buffer,
  start: number,
  end: number,
  out: Buffer,
  to: number,
): number {
  let state = 0;
  let next = to;
  for (let at = start; at < end; at++) {
    const step = STEPS[(state << 8) | block[at]!]!;
    if (step === FAILED) throw compressionError("EOS in a Huffman-coded string");
    // Written whether complete or not: cheaper than to ask.
    out[next] = step;
    out[next + 1] = step >>> 8;
    next += (step >>> COUNT_SHIFT) & 3;
    state = step >>> STATE_SHIFT;
  }
  if (FINAL[state] === 0) throw compressionError("wrong padding of a Huffman-coded string");
  return next;
}
