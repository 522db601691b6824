/** A part of memory that is taken or left as a whole. */
const PIECE_BYTES = 65_536;
const ZEROS = new Uint8Array(PIECE_BYTES);

/**
 * The first bytes of a shared buffer in one of their own. What is zero is not written: the kernel gives memory to pages that
 * are written only, and of what the limits allow little is in use.
 */
export function sparseCopy(from: SharedArrayBuffer, lengthBytes: number): SharedArrayBuffer {
  const to = new SharedArrayBuffer(lengthBytes);
  for (let at = 0; at < lengthBytes; at += PIECE_BYTES) {
    const size = Math.min(PIECE_BYTES, lengthBytes - at);
    const piece = new Uint8Array(from, at, size);
    if (Buffer.compare(piece, ZEROS.subarray(0, size)) !== 0)
      new Uint8Array(to, at, size).set(piece);
  }
  return to;
}
