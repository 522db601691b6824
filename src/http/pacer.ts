import type { Share, TurnWaiter } from "../core/share.ts";

/** What a piece of a stream costs, in requests: reading and writing it, and so much for its bytes. */
const PIECE_COST = 1 / 4;
/** A head with so much behind it costs one more request. */
export const REQUEST_BYTES = 65_536;

/** Makes a connection that streams keep to its source's share of the turns. */
export class Pacer implements TurnWaiter {
  /** Nothing is to be read before the source's next turn. */
  waits = false;
  readonly #goOn: () => void;
  #inLine = false;
  /** What the last piece cost, and whether the next one is paid for already. */
  #cost = 0;
  #isPaid = false;

  /** `goOn`: reading may go on. */
  constructor(goOn: () => void) {
    this.#goOn = goOn;
  }

  /** A piece has been read; returns whether the next one must wait. */
  pay(share: Share, bytes: number): boolean {
    const isPaid = this.#isPaid;
    this.#isPaid = false;
    this.#cost = PIECE_COST + bytes / REQUEST_BYTES;
    if (share.spend(isPaid ? 0 : this.#cost)) return false;
    this.waits = true;
    if (this.#inLine) return true;
    this.#inLine = true;
    share.wait(this);
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
