import type { OnReadOpts, Socket } from "node:net";
import type { Share } from "../core/share.ts";
import { COPY_BYTES, Loan, readBuffers, sharedReadBuffer } from "./buffers.ts";
import type { Carrier, ConnHandler, Feeder } from "./carrier.ts";
import { ConnWriter, SMALL_BYTES, type Source, type WriterOwner } from "./conn-writer.ts";
import { decryptedBuffer } from "./decrypt-into.ts";
import { Pacer } from "./pacer.ts";

/** First question to a silent peer. */
const KEEP_ALIVE_MS = 60_000;

/** Up to this size joining two strings is cheaper than filling a buffer. */
const JOIN_TEXT_BYTES = 1_024;

/** A chunk of this size announces more of the kind: the connection gets a buffer of its own. */
const STREAM_BYTES = 16_384;

/**
 * A TCP connection that reads into buffers of ours. It is the only place that touches `onread`.
 *
 * Idle connections and connections that read heads share one buffer per thread. A connection that streams
 * a body gets a private buffer (`relay`), and the very same bytes are written to the other side without a
 * copy; its reading pauses until that write is done, so a buffer is never read into while a write owns it.
 *
 * Accepted sockets are re-wrapped around their handle, the one private detail of Node used here. Where a
 * runtime has no such handle the connection falls back to `data` events: slower, and otherwise the same.
 */
export class Conn implements Carrier, WriterOwner, Source {
  handler: ConnHandler;
  /** Whose turns its bytes take, and whose memory; of two that relay to each other, the client's has it at least. */
  share: Share | null = null;
  readonly socket: Socket;
  /** Private read buffer while a body streams. */
  #own: Loan | null = null;
  readonly #writer: ConnWriter;
  /** We are paused until this connection has written what we gave it. */
  #target: Conn | null = null;
  /** A stream takes what is read, and is full. */
  #isHeldBack = false;
  #stopped = false;
  /** Of a connection that has streamed. */
  #pacer: Pacer | null = null;
  #streaming = false;
  #closed = false;
  #error: Error | null = null;
  readonly #chunksAreOurs: boolean;
  /** Under TLS: the socket that can be reset. */
  readonly #carrier: Socket | null;
  /** Under TLS: is what was read being handed over? */
  #isDecrypting = false;

  /** See open-conn.ts for the ways to have one. `onread`: does what `open` makes read into the buffers that it is given? */
  constructor(
    handler: ConnHandler,
    open: (onread: OnReadOpts) => Socket,
    onread: boolean,
    carrier: Socket | null = null,
  ) {
    this.handler = handler;
    this.#chunksAreOurs = !onread;
    this.#carrier = carrier;
    this.socket = open({
      buffer: () => this.#own?.buffer ?? sharedReadBuffer,
      callback: (size, chunk) => this.#onRead(size, chunk as Buffer),
    });
    this.#writer = new ConnWriter(this);
    this.socket.on("end", () => this.handler.onFin());
    this.socket.on("drain", () => this.#writer.flushed());
    this.socket.on("error", (error) => {
      this.#error = error;
    });
    this.socket.on("close", () => this.#onClose());
    if (!onread) this.socket.on("data", (chunk: Buffer) => this.#onRead(chunk.length, chunk));
  }

  get trailers(): "" {
    return "";
  }

  get closed(): boolean {
    return this.#closed || this.socket.destroyed;
  }

  /** Has `onClose` been called? */
  get gone(): boolean {
    return this.#closed;
  }

  /** Bytes that wait to be handed to the kernel. */
  get pendingBytes(): number {
    return this.#writer.pendingBytes;
  }

  /** More is waiting than should be: `onDrain` will tell when all of it is out. */
  get congested(): boolean {
    return this.socket.writableNeedDrain;
  }

  /**
   * Writes a latin1 string, at the end of the event loop's turn at the latest; returns false when the caller should wait
   * for `onDrain`.
   */
  writeText(text: string): boolean {
    return this.#writer.text(text);
  }

  /** Writes at once what waits for the end of the turn; all other writes come behind it. */
  flush(): void {
    this.#writer.flush();
  }

  /**
   * Sends `chunk[start, end)`, which this connection is reading right now, to another connection. Copies
   * small parts; larger ones are written from the private read buffer while this connection waits.
   */
  relay(chunk: Buffer, start: number, end: number, to: Carrier): void {
    const size = end - start;
    if (size === 0 || to.closed) return;
    if (!(to instanceof Conn)) {
      this.#pay(to, size);
      to.take(chunk, start, end, this);
      return;
    }
    const share = this.#pay(to, size);
    if (size < SMALL_BYTES) {
      to.writeText(chunk.toString("latin1", start, end));
    } else if (chunk === this.#own?.buffer || this.#lends(chunk)) {
      to.flush();
      to.socket.write(chunk.subarray(start, end));
      if (to.socket.writableLength > 0) this.#waitFor(to);
      if (share?.full) this.#streaming = false;
      return;
    } else {
      to.#writer.copy("", chunk, start, end, share);
    }
    if (to.socket.writableNeedDrain) this.#waitFor(to);
    this.#streaming = size >= STREAM_BYTES && share?.full !== true;
  }

  /** Is it memory that nothing else is read into? */
  #lends(chunk: Buffer): boolean {
    return this.#chunksAreOurs && chunk !== decryptedBuffer;
  }

  /** Where the source's share of this turn is used up, the rest of the stream waits for the next one. */
  #pay(to: Carrier, size: number): Share | null {
    const share = this.share ?? to.share;
    if (share === null) return null;
    this.#pacer ??= new Pacer(() => this.#continue());
    const waits = this.#pacer.pay(share, size, this.#own !== null);
    if (waits && this.#chunksAreOurs) this.socket.pause();
    return share;
  }

  /** Like `relay`, with a head before the bytes: both in one write, which saves a system call. */
  relayWithHead(head: string, chunk: Buffer, start: number, end: number, to: Carrier): void {
    const size = end - start;
    if (size < JOIN_TEXT_BYTES) {
      to.writeText(size === 0 ? head : head + chunk.toString("latin1", start, end));
    } else if (!(to instanceof Conn) || this.#mustSplit(head.length + size, chunk, to)) {
      to.writeText(head);
      this.relay(chunk, start, end, to);
    } else {
      const share = this.#pay(to, size);
      to.#writer.copy(head, chunk, start, end, share);
      if (to.socket.writableNeedDrain) this.#waitFor(to);
      this.#streaming = size >= STREAM_BYTES && share?.full !== true;
    }
  }

  /** Can a head and the bytes behind it not go out in one piece of copied memory? */
  #mustSplit(size: number, chunk: Buffer, to: Conn): boolean {
    return to.closed || chunk === this.#own?.buffer || size > COPY_BYTES;
  }

  take(chunk: Buffer, start: number, end: number, from: Feeder): void {
    if (!this.closed) this.#writer.take(chunk, start, end, from);
  }

  hold(): void {
    this.#isHeldBack = true;
    if (!this.closed) this.socket.pause();
  }

  release(): void {
    this.#isHeldBack = false;
    this.#continue();
  }

  /**
   * The stream that `relay` served is over; call it behind the last `relay`. The private buffer goes back, as
   * soon as the last write from it is done; what this connection carries next does not wait for that write.
   */
  endStream(): void {
    this.#streaming = false;
    const target = this.#target;
    const pacer = this.#pacer;
    if (target === null && !pacer?.waits && !this.#isHeldBack) return;
    this.#isHeldBack = false;
    if (pacer !== null) pacer.waits = false;
    if (target !== null) this.#leave(target);
    this.#continue();
  }

  stopReading(): void {
    this.#stopped = true;
    if (!this.closed) this.socket.pause();
  }

  resumeReading(): void {
    this.#stopped = false;
    this.#continue();
  }

  keepAlive(): void {
    this.socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  /** Sends FIN after what was written. */
  end(): void {
    if (this.closed) return;
    if (this.#isDecrypting) {
      // Node would drop what is decrypted behind this read: SSL_shutdown must not run inside of it.
      setImmediate(() => this.end());
      return;
    }
    this.#writer.end();
  }

  destroy(): void {
    this.flush();
    this.socket.destroy();
  }

  /** Closes with RST, so that the peer cannot mistake a truncated message for a whole one. */
  reset(): void {
    if (this.closed) return;
    this.flush();
    // While a FIN is on its way libuv refuses to reset, and then the socket would never close.
    if (this.socket.writableEnded && !this.socket.writableFinished) this.socket.destroy();
    else (this.#carrier ?? this.socket).resetAndDestroy();
  }

  #onRead(size: number, chunk: Buffer): boolean {
    this.#isDecrypting = this.#carrier !== null;
    this.handler.onBytes(chunk, size);
    this.#isDecrypting = false;
    if (this.#streaming !== (this.#own !== null) && !this.#chunksAreOurs) this.#switchBuffer();
    return !this.#isHeld;
  }

  /** Is nothing to be read now? */
  get #isHeld(): boolean {
    return (
      this.#stopped || this.#isHeldBack || this.#target !== null || this.#pacer?.waits === true
    );
  }

  /** Only here, at the end of a read, may the buffer change: the next one is armed right after. */
  #switchBuffer(): void {
    if (this.#own === null) this.#own = new Loan(readBuffers.take(), this.#pacer?.share ?? null);
    else if (this.#target === null) {
      this.#own.giveBack();
      this.#own = null;
    }
    // Else the stream goes on in small pieces, and the buffer stays until its last write is done.
  }

  /** Waits no longer for the target, which may still be writing from the private buffer. */
  #leave(target: Conn): void {
    if (this.#own !== null) target.#writer.borrow(this.#own);
    this.#own = null;
    // Another connection may be waiting for the same target by now.
    if (target.#writer.source === this) target.#writer.source = null;
    this.#target = null;
  }

  #waitFor(to: Conn): void {
    this.#target = to;
    to.#writer.source = this;
    to.#writer.ask();
    if (!this.#chunksAreOurs) return;
    this.socket.pause();
    to.#writer.countUnsent();
  }

  onTargetFlushed(): void {
    this.#target = null;
    this.#continue();
  }

  onFlushed(): void {
    if (!this.#closed) this.handler.onDrain();
  }

  /** `read(0)` starts the handle at once; `resume()` would do so again a tick later, whatever came between. */
  #continue(): void {
    if (this.#isHeld || this.closed) return;
    if (this.#chunksAreOurs) this.socket.resume();
    else this.socket.read(0);
  }

  #onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#target !== null) this.#leave(this.#target);
    this.#own?.giveBack();
    this.#own = null;
    this.#writer.flushed();
    this.handler.onClose(this.#error);
  }
}
