import type { Socket } from "node:net";
import type { Share } from "../core/share.ts";
import { copyBuffers, Loan } from "./buffers.ts";
import type { Feeder } from "./carrier.ts";
import { type LateWriter, lateWrites } from "./late-writes.ts";
import { Outstanding } from "./outstanding.ts";
import { Pile } from "./pile.ts";

const NOTHING = Buffer.alloc(0);

/** Pieces below this size are written as a string: one cheap write, and nothing to give back. */
export const SMALL_BYTES = 4_096;

/** Texts up to this size, together, wait for the end of the turn. Far below the size from which a stream is congested. */
const LATE_BYTES = 16_384;

/** What has to wait keeps its buffer of the pool from this size on: less would hold one for a few bytes. */
const POOLED_BYTES = 16_384;

/** The connection whose writes these are. */
export interface WriterOwner {
  readonly socket: Socket;
  readonly share: Share | null;
  readonly closed: boolean;
  /** Everything that was written is out (or lost), and all who waited for it have been told. */
  onFlushed(): void;
}

/** Another connection, which reads no more until all is out. */
export interface Source {
  onTargetFlushed(): void;
}

/**
 * What a connection writes, and who waits for it. Small texts, and the pieces that streams bring, leave together at the end
 * of the turn; whatever else is written comes behind them.
 */
export class ConnWriter implements LateWriter {
  /** Paused until all is out: what waits is its read buffer. */
  source: Source | null = null;
  readonly #owner: WriterOwner;
  readonly #outstanding = new Outstanding();
  /** So is this stream, whose bytes were copied. */
  #feeder: Feeder | null = null;
  /** Written at the end of the turn (`lateWrites`). Only while nothing else waits: it is always the last in line. */
  #late = "";
  /** Larger pieces that leave at the end of the turn. While there are any, `#late` is empty. */
  readonly #pile = new Pile();
  #pileFeeder: Feeder | null = null;
  /** Is `#onWritten` on its way? */
  #asked = false;

  constructor(owner: WriterOwner) {
    this.#owner = owner;
  }

  get pendingBytes(): number {
    return this.#owner.socket.writableLength + this.#late.length + this.#pile.bytes;
  }

  get #isWaiting(): boolean {
    return this.#owner.socket.writableLength > 0;
  }

  /** See `Carrier.writeText`. */
  text(text: string): boolean {
    if (this.#pile.bytes > 0 && this.#pile.addText(text)) return true;
    const late = this.#late;
    const mustGo = this.#asked || late.length + text.length > LATE_BYTES || this.#isWaiting;
    if (mustGo || (late === "" && !lateWrites.mayWait())) {
      this.flush();
      const isMore = this.#owner.socket.write(text, "latin1");
      if (this.#isWaiting) this.countUnsent();
      return isMore;
    }
    this.#late = late + text;
    if (late === "" && text !== "") lateWrites.add(this);
    return true;
  }

  /** Writes at once what waits for the end of the turn; all other writes come behind it. */
  flush(): void {
    if (this.#pile.bytes > 0) this.#writePile(this.#pileFeeder?.share ?? this.#owner.share);
    const late = this.#late;
    if (late === "") return;
    this.#late = "";
    this.#owner.socket.write(late, "latin1");
    if (this.#isWaiting) this.countUnsent();
  }

  /**
   * Copies `chunk[start, end)`, which `from` has just read; `from` is held while this is full. The pieces of one turn leave
   * together: a frame of HTTP/2 comes in as many as there are records of TLS.
   */
  take(chunk: Buffer, start: number, end: number, from: Feeder): void {
    if (end - start < SMALL_BYTES && this.#pile.bytes === 0) {
      this.text(chunk.toString("latin1", start, end));
      this.#holdIfFull(from);
      return;
    }
    const isFirst = this.#pile.bytes === 0 && this.#late === "";
    this.#pileUp(chunk, start, end, from);
    if (isFirst) lateWrites.add(this);
  }

  #pileUp(chunk: Buffer, start: number, end: number, from: Feeder | null): void {
    const late = this.#late;
    this.#late = "";
    if (late !== "") this.#pile.addText(late);
    let at = start;
    while (at < end) {
      this.#pileFeeder = from;
      at = this.#pile.add(chunk, at, end);
      if (at < end) this.flush();
    }
  }

  /** A head and the copied bytes behind it, in one write, at once. Together at most `COPY_BYTES`. */
  copy(head: string, chunk: Buffer, start: number, end: number, share: Share | null): void {
    this.flush();
    if (head !== "") this.#pile.addText(head);
    this.#pileUp(chunk, start, end, null);
    this.#writePile(share);
  }

  /** Pooled memory, because fresh memory for each copy would keep the garbage collector busy. */
  #writePile(share: Share | null): void {
    const { socket, closed } = this.#owner;
    const size = this.#pile.bytes;
    const buffer = this.#pile.empty();
    const feeder = this.#pileFeeder;
    this.#pileFeeder = null;
    if (closed) {
      copyBuffers.give(buffer);
      return;
    }
    const bytes = buffer.subarray(0, size);
    const isShort = this.#isWaiting && size < POOLED_BYTES;
    socket.write(isShort ? Buffer.from(bytes) : bytes);
    if (isShort || !this.#isWaiting) copyBuffers.give(buffer);
    else this.borrow(new Loan(buffer, share));
    if (feeder !== null) this.#holdIfFull(feeder);
  }

  #holdIfFull(from: Feeder): void {
    if (!this.#owner.socket.writableNeedDrain) return;
    if (this.#feeder !== from) this.#feeder?.release();
    this.#feeder = from;
    from.hold();
    this.ask();
  }

  /** The peer does not take what it is sent: that is kept for it, and counted until it is out. */
  countUnsent(): void {
    const { share, closed, socket } = this.#owner;
    if (share === null || closed) return;
    this.#outstanding.count(share, socket.writableLength);
    this.ask();
  }

  /** Gives the buffer back when all is out. */
  borrow(loan: Loan): void {
    this.#outstanding.borrow(loan);
    this.ask();
  }

  /** FIN behind what was written. */
  end(): void {
    this.flush();
    if (this.#asked) this.#owner.socket.end(this.#onWritten);
    else this.#owner.socket.end();
  }

  /**
   * Has `flushed` called when all is out. Writes mostly are at once, and then a callback for each would cost more than
   * the write itself; behind one that was not an empty write carries the callback.
   */
  ask(): void {
    const { socket, closed } = this.#owner;
    if (this.#asked || socket.writableEnded || closed) return;
    this.#asked = true;
    socket.write(NOTHING, this.#onWritten);
  }

  readonly #onWritten = (): void => {
    this.#asked = false;
    if (!this.#isWaiting) this.flushed();
    else if (this.source !== null || this.#feeder !== null || this.#outstanding.any) this.ask();
  };

  /** All that was written is out (or lost): who waited goes on, what was borrowed goes back. */
  flushed(): void {
    this.#outstanding.settle();
    const { source } = this;
    this.source = null;
    source?.onTargetFlushed();
    const feeder = this.#feeder;
    this.#feeder = null;
    feeder?.release();
    this.#owner.onFlushed();
  }
}
