import type { Socket } from "node:net";
import { Duplex } from "node:stream";

/** A socket without a kernel: what is written to it is kept, and the test says what it reads. */
export class MemorySocket extends Duplex {
  readonly sent: Buffer[] = [];
  /** Takes what is written one turn later, as a peer does that reads slowly. */
  readonly #isSlow: boolean;

  constructor(isSlow: boolean) {
    super({ allowHalfOpen: true });
    this.#isSlow = isSlow;
  }

  /** As `Conn` takes it: of a socket it uses the stream and what is below. */
  get socket(): Socket {
    return this as unknown as Socket;
  }

  resetAndDestroy(): void {
    this.destroy();
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, done: () => void): void {
    this.sent.push(typeof chunk === "string" ? Buffer.from(chunk, encoding) : Buffer.from(chunk));
    if (this.#isSlow) setImmediate(done);
    else done();
  }
}
