import type { Share, TurnWaiter } from "../core/share.ts";

/** What a piece of a stream costs, in requests: reading and writing it, and so much for its bytes. */
const PIECE_COST = 1 / 4;
const REQUEST_BYTES = 65_536;

/** Makes a connection that streams keep to its source's share of the turns, and of the memory in which bytes wait. */
export class Pacer implements TurnWaiter {
  /** Nothing is to be read before the source's next turn, or before it has room for more. */
  waits = false;
  /** The source of the last piece. */
  share: Share | null = null;
  readonly #goOn: () => void;
  #inLine = false;
  /** What the last piece cost, and whether the next one is paid for already. */
  #cost = 0;
  #isPaid = false;

  /** `goOn`: reading may go on. */
  constructor(goOn: () => void) {
    this.#goOn = goOn;
  }

  /**
   * A piece has been read; returns whether the next one must wait. `hasBuffer`: the stream has memory of its own already,
   * and would not give it back by waiting for others to do so.
   */
  pay(share: Share, bytes: number, hasBuffer: boolean): boolean {
    this.share = share;
    const isPaid = this.#isPaid;
    this.#isPaid = false;
    this.#cost = PIECE_COST + bytes / REQUEST_BYTES;
    const full = !hasBuffer && share.full;
    if (share.spend(isPaid ? 0 : this.#cost) && !full) return false;
    this.waits = true;
    if (this.#inLine) return true;
    this.#inLine = true;
    if (full) share.waitForRoom(this);
    else share.wait(this);
    return true;
  }

  /** The next piece is expected to be as large as the last one. */
  onTurn(): number {
    this.#inLine = false;
    if (!this.waits) return 0;
    this.waits = false;
    this.#isPaid = true;
    this.#goOn();
    return this.#cost;
  }
}
