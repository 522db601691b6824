import type { RequestHead } from "../http/message.ts";
import { isIdempotent } from "./routing/policy/retry.ts";

/**
 * The part of a request body that is not sent yet, or is kept in case the request has to be sent again.
 * latin1: one character per byte, so that it can be joined to the head in one write.
 */
export class HeldBody {
  text = "";
  /** Is `text` the whole body so far? Once it is not, the request cannot be sent again. */
  whole = true;
  readonly #limitBytes: number;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  begin(chunk: Buffer, start: number, end: number): void {
    this.text = start === end ? "" : chunk.toString("latin1", start, end);
    this.whole = true;
  }

  add(chunk: Buffer, start: number, end: number): void {
    if (this.whole) this.text += chunk.toString("latin1", start, end);
  }

  /** `contentLength` is -1 where it is unknown. */
  fits(contentLength: number): boolean {
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
