import type { Random } from "../../src/core/random.ts";

/** The same bytes, one per chunk. */
export function byteByByte(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
}

/** All ways to cut the bytes into two chunks that are not empty. */
export function everySplit(bytes: Buffer): Buffer[][] {
  return Array.from({ length: bytes.length - 1 }, (_, at) => [
    bytes.subarray(0, at + 1),
    bytes.subarray(at + 1),
  ]);
}

/** The same bytes in chunks of 1 to `longest` bytes. */
export function randomChunks(bytes: Buffer, random: Random, longest: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + Math.floor(random() * longest);
    chunks.push(bytes.subarray(at, next));
    at = next;
  }
  return chunks;
}
