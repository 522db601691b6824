import {
  type AnyQuestion,
  MAX_ANSWER_BYTES,
  MAX_OPEN_QUESTIONS,
  type Question,
} from "../../sight/question.ts";
import type { AnswerPart, ServerMessage } from "../protocol.ts";
import { RegistryError } from "../registry-error.ts";
import type { Timers } from "../timers.ts";

/** Questions of which nobody waits for the answer any more, and whose answer may still come. */
const MAX_ABANDONED = 64;

interface Asker {
  /** For the one answer; null: any number may come, for any time. */
  readonly patienceMs: number | null;
  answered(value: unknown): void;
  /** There is no (further) answer; null: that was all. */
  ended(reason: RegistryError | null): void;
}

interface Open {
  nextPart: number;
  sizeBytes: number;
  texts: string[];
  readonly asker: Asker;
  cancel(): void;
}

/**
 * The questions to one daemon, by its watch. A daemon that answers what it was not asked, or what is no answer, has
 * broken the protocol: `take` throws.
 */
export class DaemonQuestions {
  readonly #send: (message: ServerMessage) => void;
  readonly #timers: Timers;
  readonly #open = new Map<number, Open>();
  readonly #abandoned = new Set<number>();
  #lastId = 0;
  #closed: string | null = null;

  constructor(send: (message: ServerMessage) => void, timers: Timers) {
    this.#send = send;
    this.#timers = timers;
  }

  /** Rejects with 503 where too much is asked or the daemon goes, 504 after `patienceMs`, 400, 429 or 502 with the daemon's own reason. */
  ask(question: AnyQuestion, patienceMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#begin(question, {
        patienceMs,
        answered: resolve,
        ended: (reason) => {
          if (reason !== null) reject(reason);
        },
      });
    });
  }

  /** Many answers, until the result is called or the daemon ends them (with a reason, or null). */
  stream(
    question: Question,
    onAnswer: (value: unknown) => void,
    onEnd: (reason: RegistryError | null) => void,
  ): () => void {
    return this.#begin(question, { patienceMs: null, answered: onAnswer, ended: onEnd });
  }

  /** Throws where the daemon was not asked this, or where it is no answer. */
  take({ id, part, last, more, body, error, status }: AnswerPart): void {
    const open = this.#open.get(id);
    if (open === undefined) {
      if (!this.#abandoned.has(id))
        throw new Error(`an answer to question ${id}, which was not asked`);
      if (error !== undefined || (last && more !== true)) this.#abandoned.delete(id);
      return;
    }
    if (error !== undefined) {
      this.#close(id, open);
      open.asker.ended(new RegistryError(status ?? 502, error));
      return;
    }
    if (body === undefined || part !== open.nextPart)
      throw new Error("a part of an answer is missing");
    open.sizeBytes += Buffer.byteLength(body);
    if (open.sizeBytes > MAX_ANSWER_BYTES) throw new Error("an answer is too large");
    open.nextPart++;
    open.texts.push(body);
    if (last) this.#answered(id, open, more === true);
  }

  /** The daemon is gone. */
  close(reason: string): void {
    this.#closed = reason;
    for (const [id, open] of this.#open) {
      this.#close(id, open);
      open.asker.ended(new RegistryError(503, reason));
    }
  }

  #answered(id: number, open: Open, more: boolean): void {
    if (more && open.asker.patienceMs !== null)
      throw new Error("more than one answer to a question");
    const value: unknown = JSON.parse(open.texts.join(""));
    Object.assign(open, { nextPart: 0, sizeBytes: 0, texts: [] });
    if (!more) this.#close(id, open);
    open.asker.answered(value);
    if (!more) open.asker.ended(null);
  }

  #begin(question: AnyQuestion, asker: Asker): () => void {
    const refusal = this.#refusal();
    if (refusal !== null) {
      asker.ended(refusal);
      return () => undefined;
    }
    const id = ++this.#lastId;
    const { patienceMs } = asker;
    const cancel =
      patienceMs === null
        ? () => undefined
        : this.#timers.after(patienceMs, () => {
            this.#abandon(id);
            const reason = `the daemon did not answer within ${patienceMs} ms`;
            asker.ended(new RegistryError(504, reason));
          });
    this.#open.set(id, { nextPart: 0, sizeBytes: 0, texts: [], asker, cancel });
    this.#send({ type: "ask", id, question });
    return () => {
      if (this.#open.has(id)) this.#abandon(id);
    };
  }

  #refusal(): RegistryError | null {
    if (this.#closed !== null) return new RegistryError(503, this.#closed);
    if (this.#open.size < MAX_OPEN_QUESTIONS) return null;
    return new RegistryError(503, "too many questions to this daemon are open");
  }

  #close(id: number, open: Open): void {
    this.#open.delete(id);
    open.cancel();
  }

  #abandon(id: number): void {
    const open = this.#open.get(id);
    if (open !== undefined) this.#close(id, open);
    this.#abandoned.add(id);
    const [oldest] = this.#abandoned;
    if (this.#abandoned.size > MAX_ABANDONED && oldest !== undefined)
      this.#abandoned.delete(oldest);
    this.#send({ type: "ask-end", id });
  }
}
