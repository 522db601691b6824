import type { Share } from "../core/share.ts";
import type { Loan } from "./buffers.ts";
import { Kept } from "./kept.ts";

/** What a connection owes others for as long as its writes are not out: buffers, and a count of what waits. */
export class Outstanding {
  /** Buffers that pending writes still read from: of other connections, or with copies. */
  readonly #borrowed: Loan[] = [];
  /** Text that the peer does not take, as it is counted. */
  #unsent: Kept | null = null;

  get any(): boolean {
    return this.#borrowed.length > 0 || this.#unsent !== null;
  }

  borrow(loan: Loan): void {
    this.#borrowed.push(loan);
  }

  /** So many bytes wait now. */
  count(share: Share, bytes: number): void {
    this.#unsent?.drop();
    this.#unsent = new Kept(share, bytes);
  }

  /** Everything is out, or lost. */
  settle(): void {
    while (this.#borrowed.length > 0) this.#borrowed.pop()?.giveBack();
    this.#unsent?.drop();
    this.#unsent = null;
  }
}
