/** Bytes before each message: whether it is compressed, and its length (grpc/grpc, doc/PROTOCOL-HTTP2.md). */
const PREFIX_BYTES = 5;

/** Counts the messages of gRPC in content that comes in pieces, by their prefixes; nothing is kept or copied. */
export class GrpcMessages {
  /** Messages whose prefix has come. */
  count = 0;
  #prefixAt = 0;
  #length = 0;
  /** Bytes of the present message that are still to come. */
  #leftBytes = 0;

  /** `chunk[start, end)` comes next. */
  add(chunk: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const skipped = Math.min(this.#leftBytes, end - at);
      this.#leftBytes -= skipped;
      at += skipped;
      while (at < end && this.#leftBytes === 0) this.#readPrefix(chunk[at++]!);
    }
  }

  #readPrefix(byte: number): void {
    // The first byte is no part of the length.
    this.#length = this.#prefixAt === 0 ? 0 : this.#length * 256 + byte;
    this.#prefixAt += 1;
    if (this.#prefixAt < PREFIX_BYTES) return;
    this.#prefixAt = 0;
    this.#leftBytes = this.#length;
    this.count += 1;
  }
}
