/** Where coded bytes lie: `bytes[0, end)`, valid until the next call on this thread. */
export interface CodedBytes {
  bytes: Buffer;
  end: number;
}

/** The longest piece of content that is coded at once. */
export const MAX_PIECE_BYTES = 65_536;

/** Four hexadecimal digits and one more for exactly 64 KiB, and CRLF. */
const SIZE_LINE_BYTES = 7;
const CR = 0x0d;
const LF = 0x0a;
const ZERO = 0x30;
const LETTERS = 0x57;

/** CRLF behind the data, and the last chunk with an empty trailer section. */
const AFTER_BYTES = 7;

const scratch = Buffer.allocUnsafeSlow(SIZE_LINE_BYTES + MAX_PIECE_BYTES + AFTER_BYTES);
const coded: CodedBytes = { bytes: scratch, end: 0 };

/**
 * `chunk[start, end)`, of at most `MAX_PIECE_BYTES`, as a chunk of HTTP/1.1 (RFC 9112 section 7.1); an empty piece is none.
 * `last`: the last chunk and an empty trailer section come behind it.
 */
export function chunkOf(chunk: Buffer, start: number, end: number, last: boolean): CodedBytes {
  const size = end - start;
  let at = 0;
  if (size > 0) {
    at = writeSize(size);
    chunk.copy(scratch, at, start, end);
    at = writeLineEnd(at + size);
  }
  if (last) {
    scratch[at] = ZERO;
    at = writeLineEnd(writeLineEnd(at + 1));
  }
  coded.bytes = scratch;
  coded.end = at;
  return coded;
}

function writeSize(size: number): number {
  let shift = (31 - Math.clz32(size)) & ~3;
  let at = 0;
  for (; shift >= 0; shift -= 4) {
    const digit = (size >>> shift) & 15;
    scratch[at++] = digit + (digit < 10 ? ZERO : LETTERS);
  }
  return writeLineEnd(at);
}

function writeLineEnd(at: number): number {
  scratch[at] = CR;
  scratch[at + 1] = LF;
  return at + 2;
}

/** The last chunk with a trailer section (RFC 9112 section 7.1.2) of these field lines, each of which ends with CRLF. */
export function trailerSection(lines: string): CodedBytes {
  coded.bytes = Buffer.from(`0\r\n${lines}\r\n`, "latin1");
  coded.end = coded.bytes.length;
  return coded;
}
