import { DEFAULT_WINDOW_BYTES } from "./codes.ts";
import type { Outbox } from "./outbox.ts";
import type { Stream } from "./stream.ts";
import { SendWindow } from "./windows.ts";

/** Streams that have left the front of the line, before the array is cut. */
const SLACK = 64;

/**
 * Shares the connection among the streams whose content waits: one frame of each in turn, so that a small answer passes
 * between the frames of large ones. It stops while the connection has enough to write or its window is used up; heads,
 * trailers and control frames do not wait here.
 */
export class Scheduler {
  /** Of the connection (RFC 9113 section 6.9). */
  readonly window = new SendWindow(DEFAULT_WINDOW_BYTES);
  readonly #outbox: Outbox;
  #line: Stream[] = [];
  /** Front of the line. */
  #at = 0;
  #isRunning = false;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** Bytes that a stream may send out of turn: none where others wait. */
  get room(): number {
    return this.#at < this.#line.length || this.#outbox.congested ? 0 : this.window.available;
  }

  /** Puts a stream at the end of the line. */
  add(stream: Stream): void {
    stream.isScheduled = true;
    this.#line.push(stream);
  }

  /** Sends what may be sent. Call it whenever a window has widened, the connection has drained, or a stream was added. */
  run(): void {
    // What is told to go on may end up here again.
    if (this.#isRunning) return;
    this.#isRunning = true;
    const { window } = this;
    try {
      while (this.#at < this.#line.length && window.available > 0 && !this.#outbox.congested) {
        const stream = this.#next();
        if (stream.sendQueued(window.available)) this.add(stream);
        else stream.afterQueued();
      }
    } finally {
      this.#isRunning = false;
    }
  }

  #next(): Stream {
    const stream = this.#line[this.#at++] as Stream;
    stream.isScheduled = false;
    if (this.#at === this.#line.length) {
      this.#line = [];
      this.#at = 0;
    } else if (this.#at > SLACK && this.#at > this.#line.length / 2) {
      this.#line = this.#line.slice(this.#at);
      this.#at = 0;
    }
    return stream;
  }

  /** The connection is over. */
  clear(): void {
    this.#line = [];
    this.#at = 0;
  }
}
