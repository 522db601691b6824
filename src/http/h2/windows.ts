import { DEFAULT_WINDOW_BYTES, FLOW_CONTROL_ERROR, MAX_WINDOW_BYTES } from "./codes.ts";
import { ConnectionError } from "./errors.ts";

/** What we may still send: of the connection, or of a stream (RFC 9113 section 6.9). */
export class SendWindow {
  /** Negative where the peer has shrunk the initial window behind bytes that were sent (section 6.9.2). */
  available: number;

  constructor(initialBytes: number) {
    this.available = initialBytes;
  }

  /** Adds what the peer grants; false: beyond the largest window, an error (section 6.9.1). */
  widen(bytes: number): boolean {
    this.available += bytes;
    return this.available <= MAX_WINDOW_BYTES;
  }
}

/** What the peer may still send to us, and when it is told of more (RFC 9113 section 6.9). */
export class ReceiveWindow {
  readonly #limitBytes: number;
  #available: number;
  /** Received and free again, but not granted again yet. */
  #free = 0;

  /** `startBytes`: what the peer may send from the start; the first `release` grants what is missing to `limitBytes`. */
  constructor(limitBytes: number, startBytes: number = limitBytes) {
    this.#limitBytes = limitBytes;
    this.#available = startBytes;
    this.#free = Math.max(0, limitBytes - startBytes);
  }

  /** Takes bytes that came; false: more than was granted. */
  take(bytes: number): boolean {
    this.#available -= bytes;
    return this.#available >= 0;
  }

  /**
   * Counts received bytes as free again and returns the increment to grant: 0 while it is less than half of the window,
   * because an update for each frame would be as many frames as the peer sends.
   */
  release(bytes: number): number {
    this.#free += bytes;
    const increment = this.#free;
    if (increment === 0 || increment < this.#limitBytes / 2) return 0;
    this.#free = 0;
    this.#available += increment;
    return increment;
  }
}

/**
 * The connection's window for what we receive. It is given back as bytes arrive, and not as they are consumed: else one
 * stream that nobody reads would hold it, and with it all the others. What a stream leaves unread is bounded by that
 * stream's own window. Where all of them together leave more than `mostUnreadBytes`, nothing is given back until some
 * of that was read: memory goes before progress then.
 */
export class ConnectionReceiveWindow {
  readonly #window: ReceiveWindow;
  readonly #mostUnreadBytes: number;
  #unreadBytes = 0;
  #heldBack = 0;

  constructor(limitBytes: number, mostUnreadBytes: number) {
    this.#window = new ReceiveWindow(
      Math.max(limitBytes, DEFAULT_WINDOW_BYTES),
      DEFAULT_WINDOW_BYTES,
    );
    this.#mostUnreadBytes = mostUnreadBytes;
  }

  /** Received and not consumed, of all streams. */
  get unreadBytes(): number {
    return this.#unreadBytes;
  }

  /** Is more unread than should be? */
  get isOver(): boolean {
    return this.#unreadBytes > this.#mostUnreadBytes;
  }

  /** The increment that brings the protocol's default to the size that we want, sent with our SETTINGS. */
  open(): number {
    return this.#window.release(0);
  }

  /** Takes bytes of a DATA frame; returns the increment to grant. */
  receive(bytes: number): number {
    if (!this.#window.take(bytes)) {
      throw new ConnectionError(FLOW_CONTROL_ERROR, "the connection's window is exceeded");
    }
    this.#heldBack += bytes;
    return this.#release();
  }

  /** Received bytes are going to be consumed later. */
  keepUnread(bytes: number): void {
    this.#unreadBytes += bytes;
  }

  /** Bytes were consumed, or their stream is gone; returns the increment to grant. */
  consume(bytes: number): number {
    this.#unreadBytes -= bytes;
    return this.#release();
  }

  #release(): number {
    if (this.#heldBack === 0 || this.#unreadBytes > this.#mostUnreadBytes) return 0;
    const bytes = this.#heldBack;
    this.#heldBack = 0;
    return this.#window.release(bytes);
  }
}
