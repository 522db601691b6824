import type { Share } from "../core/share.ts";
import { Kept } from "./kept.ts";

/**
 * Bytes of one read, and so of one write. A little less than 64 KiB leaves as one segment over loopback; a full 64 KiB
 * would leave as two, and the second would wait for a timer where the kernel paces what it sends.
 */
const READ_BYTES = 61_440;

/** A full read and the head that goes before it fit into this. */
export const COPY_BYTES = 65_536;

/** Buffers kept for reuse, of each kind; beyond it they are left to the garbage collector. 31 MiB at most. */
const KEPT = 256;

/**
 * Buffers of one size, per thread. A connection takes one while it needs it, so memory follows the number of active
 * streams and not the number of open connections. The one that was given back last is taken first: it is in the cache.
 */
class BufferPool {
  readonly bytes: number;
  readonly #free: Buffer[] = [];

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bytes);
  }

  give(buffer: Buffer): void {
    if (this.#free.length < KEPT) this.#free.push(buffer);
  }
}

/** Private read buffers for connections that stream a body. */
export const readBuffers = new BufferPool(READ_BYTES);

/** For bytes that are copied because their read buffer has to be free again at once. */
export const copyBuffers = new BufferPool(COPY_BYTES);

/** A buffer of a pool for as long as somebody's bytes are in it. */
export class Loan {
  readonly buffer: Buffer;
  readonly #kept: Kept | null;

  constructor(buffer: Buffer, share: Share | null) {
    this.buffer = buffer;
    this.#kept = share === null ? null : new Kept(share, buffer.length);
  }

  giveBack(): void {
    this.#kept?.drop();
    (this.buffer.length === READ_BYTES ? readBuffers : copyBuffers).give(this.buffer);
  }
}

/** The buffer that all other connections of this thread read into: its bytes last for one callback. */
export const sharedReadBuffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES);
