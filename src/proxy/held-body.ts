import type { Share } from "../core/share.ts";
import type { RequestHead } from "../http/message.ts";
import { isIdempotent } from "./routing/policy/retry.ts";

/** What is smaller is not worth counting: requests in flight have a quota of their own. */
const SMALL_BYTES = 4_096;

/**
 * The part of a request body that is not sent yet, or is kept in case the request has to be sent again.
 * latin1: one character per byte, so that it can be joined to the head in one write.
 */
export class HeldBody {
  #text = "";
  /** Is `text` the whole body so far? Once it is not, the request cannot be sent again. */
  whole = true;
  readonly #limitBytes: number;
  readonly #share: Share | null;
  #counted = 0;

  constructor(limitBytes: number, share: Share | null) {
    this.#limitBytes = limitBytes;
    this.#share = share;
  }

  get text(): string {
    return this.#text;
  }

  set text(text: string) {
    this.#text = text;
    const bytes = text.length < SMALL_BYTES ? 0 : text.length;
    if (bytes === this.#counted) return;
    this.#share?.keep(bytes - this.#counted);
    this.#counted = bytes;
  }

  begin(chunk: Buffer, start: number, end: number): void {
    this.text = start === end ? "" : chunk.toString("latin1", start, end);
    this.whole = true;
  }

  add(chunk: Buffer, start: number, end: number): void {
    if (this.whole) this.text += chunk.toString("latin1", start, end);
  }

  /** `contentLength` is -1 where it is unknown. A source without room keeps no bodies. */
  fits(contentLength: number): boolean {
    const isEmpty = contentLength <= 0 && this.text === "";
    if (!isEmpty && this.#share?.full) return false;
    return contentLength <= this.#limitBytes && this.text.length <= this.#limitBytes;
  }

  /** What was kept has been sent and is given up. `empty`: there is no body, so nothing is lost. */
  forget(empty: boolean): void {
    this.text = "";
    this.whole = this.whole && empty;
  }

  /** May the request be sent again after it was sent? If not, it needs a connection that will surely take it. */
  mayReplay(head: RequestHead, complete: boolean): boolean {
    if (!isIdempotent(head.method)) return false;
    return complete || (head.contentLength !== -1 && this.fits(head.contentLength));
  }
}
