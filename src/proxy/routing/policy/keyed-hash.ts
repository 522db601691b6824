/** The two words of a 64-bit hash; the object is filled anew by each call, so that none is allocated. */
export interface HashWords {
  low: number;
  high: number;
}

/** The state of the hash that is being made; one thread makes one at a time. */
const v = new Int32Array(4);

/**
 * HalfSipHash-2-4 with a tag of 64 bits (Aumasson and Bernstein, reference implementation of SipHash) of the UTF-16LE form
 * of a text. It is keyed because callers choose what is hashed here, and must not be able to find two texts that
 * share a bucket.
 */
export function halfSipHash(text: string, key0: number, key1: number, into: HashWords): void {
  v[0] = key0;
  v[1] = key1 ^ 0xee;
  v[2] = 0x6c796765 ^ key0;
  v[3] = 0x74656462 ^ key1;
  const { length } = text;
  // Two code units are the four bytes of a block; the last block has the length in bytes in its top byte.
  const whole = length & ~1;
  for (let at = 0; at < whole; at += 2) mix(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
  mix((length === whole ? 0 : text.charCodeAt(whole)) | (length << 25));
  v[2]! ^= 0xee;
  finish();
  into.low = v[1]! ^ v[3]!;
  v[1]! ^= 0xdd;
  finish();
  into.high = v[1]! ^ v[3]!;
}

function mix(block: number): void {
  v[3]! ^= block;
  round();
  round();
  v[0]! ^= block;
}

function finish(): void {
  for (let rounds = 0; rounds < 4; rounds++) round();
}

function round(): void {
  let a = v[0]!;
  let b = v[1]!;
  let c = v[2]!;
  let d = v[3]!;
  a = (a + b) | 0;
  b = ((b << 5) | (b >>> 27)) ^ a;
  a = (a << 16) | (a >>> 16);
  c = (c + d) | 0;
  d = ((d << 8) | (d >>> 24)) ^ c;
  a = (a + d) | 0;
  d = ((d << 7) | (d >>> 25)) ^ a;
  c = (c + b) | 0;
  b = ((b << 13) | (b >>> 19)) ^ c;
  c = (c << 16) | (c >>> 16);
  v[0] = a;
  v[1] = b;
  v[2] = c;
  v[3] = d;
}
