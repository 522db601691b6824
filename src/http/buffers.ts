/** Bytes of one read. 64 KiB is what libuv would allocate for each read by itself. */
export const READ_BYTES = 65_536;

/** Buffers kept for reuse; beyond it they are left to the garbage collector. 16 MiB at most. */
const KEPT = 256;

/**
 * Private read buffers for connections that stream a body, per thread. A connection takes one while it
 * needs it, so memory follows the number of active streams and not the number of open connections.
 */
class BufferPool {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES);
  }

  give(buffer: Buffer): void {
    if (this.#free.length < KEPT) this.#free.push(buffer);
  }
}

export const readBuffers = new BufferPool();

/** Left free, so that a full read and the head that goes before it fit into one pooled buffer. */
const HEAD_ROOM_BYTES = 4_096;

/** The buffer that all other connections of this thread read into: its bytes last for one callback. */
export const sharedReadBuffer: Buffer = Buffer.allocUnsafeSlow(READ_BYTES - HEAD_ROOM_BYTES);
