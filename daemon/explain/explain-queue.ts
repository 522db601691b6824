import type { Explanation } from "../../src/core/explanation.ts";
import { type ExplainParts, explainAnswer } from "./explain-answer.ts";

/** Questions that wait for the one that is being answered, at most. */
const MAX_WAITING = 8;

/** Too many ask at once: ask again later. */
export class BusyError extends Error {
  constructor() {
    super(`busy: ${MAX_WAITING} questions wait to be explained already, ask again later`);
  }
}

/**
 * Explains one request after the other: each takes a copy of the shared memory and a data path of its own, on the thread
 * that also keeps the workers up to date.
 */
export class ExplainQueue {
  readonly #explain: typeof explainAnswer;
  /** Those that wait, and the one that is being answered. */
  #open = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(explain: typeof explainAnswer = explainAnswer) {
    this.#explain = explain;
  }

  /** Rejects as {@link explainAnswer} does, and with a {@link BusyError}. */
  async answer(parts: ExplainParts, asked: unknown): Promise<Explanation> {
    if (this.#open > MAX_WAITING) throw new BusyError();
    this.#open++;
    const answered = this.#last.then(() => this.#explain(parts, asked));
    this.#last = answered.catch(() => undefined);
    try {
      return await answered;
    } finally {
      this.#open--;
    }
  }
}
