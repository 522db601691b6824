import { WebSocketFrames } from "../http/websocket-frames.ts";

/**
 * One direction of a WebSocket, in which a Close frame may take the place of what still comes: as soon as a frame may begin,
 * and only where no Close frame has passed by itself.
 */
export class CloseNotice {
  /** Has the Close frame been sent? What comes from then on is dropped. */
  hasClosed = false;
  readonly #frames = new WebSocketFrames();
  /** The Close frame that is wanted; "": none. */
  #frame = "";

  /** Has the end that sends in this direction sent a Close frame? */
  get sawClose(): boolean {
    return this.#frames.sawClose;
  }

  get isWanted(): boolean {
    return this.#frame !== "";
  }

  want(frame: string): void {
    this.#frame = frame;
  }

  /** Follows `chunk[start, end)`, no further than to where the Close frame belongs. Returns how far. */
  follow(chunk: Buffer, start: number, end: number): number {
    return this.#frames.follow(chunk, start, end, this.#isDue);
  }

  /** The Close frame, once, where it may be sent now; else "". */
  take(): string {
    if (!this.#isDue || !this.#frames.isBetween) return "";
    this.hasClosed = true;
    return this.#frame;
  }

  get #isDue(): boolean {
    return this.#frame !== "" && !this.hasClosed && !this.sawClose;
  }
}
