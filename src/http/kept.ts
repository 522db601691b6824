import type { Share } from "../core/share.ts";

/** Bytes that are kept in memory for a source, and count as its own until they are dropped, once. */
export class Kept {
  readonly #share: Share;
  readonly #bytes: number;

  constructor(share: Share, bytes: number) {
    this.#share = share;
    this.#bytes = bytes;
    share.keep(bytes);
  }

  drop(): void {
    this.#share.keep(-this.#bytes);
  }
}
