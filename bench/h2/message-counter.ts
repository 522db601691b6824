import { GRPC_PREFIX_BYTES } from "./request.ts";

/** Counts the messages of gRPC in the content of one stream, however it is cut into pieces. */
export class MessageCounter {
  /** Octets of the prefix that have come; the first is the flag, the others the length. */
  #prefix = 0;
  #length = 0;
  /** Octets of the message that are to come. */
  #left = 0;

  /** How many messages end within this piece. */
  count(chunk: Buffer, start: number, end: number): number {
    let whole = 0;
    for (let at = start; at < end; ) {
      if (this.#prefix < GRPC_PREFIX_BYTES) {
        this.#length = this.#prefix === 0 ? 0 : this.#length * 256 + (chunk[at] as number);
        this.#prefix++;
        at++;
        this.#left = this.#length;
      } else {
        const taken = Math.min(this.#left, end - at);
        this.#left -= taken;
        at += taken;
      }
      if (this.#prefix < GRPC_PREFIX_BYTES || this.#left > 0) continue;
      whole++;
      this.#prefix = 0;
    }
    return whole;
  }
}
