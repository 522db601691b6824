import { deadlineAfter } from "../../core/deadlines.ts";

/**
 * A limit for something that has to move while it is waited for. It is looked at from time to time, which costs the
 * moving part nothing but a number that changes.
 */
export class Watch {
  readonly #limitMs: number;
  #mark = -1;
  #untilMs = Number.POSITIVE_INFINITY;
  #isWaiting = false;

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** Has `mark` stayed the same for the whole limit, while it was waited for? */
  isOverdue(isWaiting: boolean, mark: number, nowMs: number): boolean {
    if (!isWaiting) {
      this.#isWaiting = false;
      return false;
    }
    if (!this.#isWaiting || mark !== this.#mark) {
      this.#isWaiting = true;
      this.#mark = mark;
      this.#untilMs = deadlineAfter(nowMs, this.#limitMs);
    }
    return nowMs >= this.#untilMs;
  }
}
