import type { Share } from "../core/share.ts";

/** Who is told what happens on a connection. Swapped as a connection changes its role. */
export interface ConnHandler {
  /** `chunk[0, end)` was read. The bytes are only valid during the call: copy, write or `relay` them. */
  onBytes(chunk: Buffer, end: number): void;
  /** The peer will send no more. */
  onFin(): void;
  /** Everything that was written has been handed to the kernel, after a write that had to wait. */
  onDrain(): void;
  /** The connection is gone; nothing is called after this. */
  onClose(error: Error | null): void;
}

/** Whoever gives bytes to a carrier, and waits while that is full. */
export interface Feeder {
  /** Whose memory holds what has to wait. */
  readonly share: Share | null;
  /** Whoever takes what is read here is full: nothing is read until `release`. */
  hold(): void;
  release(): void;
}

/** Bytes both ways, each way held back where the other end of it does not keep up: a connection, or a stream within one. */
export interface Carrier extends Feeder {
  /** Who is told what comes. */
  handler: ConnHandler;
  /** Whose turns its bytes take, and whose memory. */
  share: Share | null;
  /** Is it over, or about to be? */
  readonly closed: boolean;
  /** Has `onClose` been called? */
  readonly gone: boolean;
  /** Bytes written to it that wait to be handed to the kernel. */
  readonly pendingBytes: number;
  /** More is waiting than should be: `onDrain` will tell when all of it is out. */
  readonly congested: boolean;
  /** Writes a latin1 string; returns false when the caller should wait for `onDrain`. */
  writeText(text: string): boolean;
  /** Sends on what it has just read, `chunk[start, end)`, and reads no more than the other takes. */
  relay(chunk: Buffer, start: number, end: number, to: Carrier): void;
  /** The same, with a head of HTTP/1 before the bytes: one write for both, where that is possible. */
  relayWithHead(head: string, chunk: Buffer, start: number, end: number, to: Carrier): void;
  /** Takes bytes that `from` has just read, a copy if they have to wait; `from.hold()` while it is full. */
  take(chunk: Buffer, start: number, end: number, from: Feeder): void;
  /** The body that `relay` passed on is over: what comes next waits for nobody who was to take that. */
  endStream(): void;
  stopReading(): void;
  resumeReading(): void;
  /** A silent peer is asked now and then whether it is still there. */
  keepAlive(): void;
  /** Ends the direction to the peer, behind what was written. */
  end(): void;
  destroy(): void;
  /** Breaks it off visibly: what was sent is not whole. */
  reset(): void;
}
