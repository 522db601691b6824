/** Longer texts are encoded into a buffer of their own; every UTF-16 unit takes at most 3 bytes. */
const SCRATCH_UNITS = 1_024;
const scratch = Buffer.alloc(SCRATCH_UNITS * 3);

/** The finalizer of MurmurHash3: every bit of the input changes about half of the 32 bits of the result. */
export function mix32(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * MurmurHash3_x86_32 (Austin Appleby, public domain) of the UTF-8 form of a text, as an unsigned 32-bit
 * number. The same on every host, so that all daemons hash alike. It spreads keys and is no defence
 * against somebody who chooses keys to collide.
 */
export function hashOf(text: string, seed = 0): number {
  if (text.length > SCRATCH_UNITS) {
    const bytes = Buffer.from(text, "utf8");
    return murmur3(bytes, bytes.length, seed);
  }
  return murmur3(scratch, scratch.write(text, "utf8"), seed);
}

function murmur3(bytes: Buffer, length: number, seed: number): number {
  const blocksEnd = length & ~3;
  let hash = seed | 0;
  for (let at = 0; at < blocksEnd; at += 4) {
    const block =
      bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    hash ^= scramble(block);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = length - 1; at >= blocksEnd; at--) tail = (tail << 8) | bytes[at]!;
  if (length !== blocksEnd) hash ^= scramble(tail);
  return mix32(hash ^ length);
}

function scramble(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}
