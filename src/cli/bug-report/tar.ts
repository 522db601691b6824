/** A file of an archive. */
export interface TarEntry {
  /** Relative, with slashes; at most 100 bytes. */
  readonly name: string;
  readonly content: Buffer;
}

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;

/** An archive in the format ustar (POSIX.1-1988): regular files that their owner may read. Throws a RangeError for a name that is too long. */
export function tarOf(entries: readonly TarEntry[], atMs: number): Buffer {
  const parts = entries.flatMap(({ name, content }) => [
    header(name, content.length, atMs),
    content,
    Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function header(name: string, size: number, atMs: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  if (Buffer.byteLength(name) > NAME_BYTES) throw new RangeError(`name is too long: ${name}`);
  block.write(name, 0);
  block.write(octal(0o600, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  block.write(octal(size, 11), 124);
  block.write(octal(Math.floor(atMs / 1_000), 11), 136);
  // The checksum is taken with spaces in its own place.
  block.write(" ".repeat(8), 148);
  block.write("0", 156);
  block.write("ustar\u000000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\u0000 `, 148);
  return block;
}

/** Digits in so many places; a NUL follows, as the block is zeros. */
function octal(value: number, places: number): string {
  return value.toString(8).padStart(places, "0");
}
