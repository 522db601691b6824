import { ZodError } from "zod";
import type { QuestionTaker } from "../../src/registry/client-options.ts";
import { ANSWER_PART_CHARS, type AnswerPart, type Ask } from "../../src/registry/protocol.ts";
import type { Timers } from "../../src/registry/timers.ts";
import { MAX_ANSWER_BYTES, MAX_OPEN_QUESTIONS, type Question } from "../../src/sight/question.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { BusyError } from "../explain/explain-queue.ts";
import { LoggingError } from "../logging/log-control.ts";
import { TooManyTaps } from "../tap/tap-hub.ts";

/** Of a handler that gives one answer. */
const PATIENCE_MS = 30_000;
/** Answers of a stream that wait to be sent, at most. */
const MAX_WAITING = 16;
const REASON_LENGTH = 2_000;

/** How a handler gives several answers; all that is not for streams may be overlooked. */
export interface AnswerStream {
  /** Aborted when nobody waits for the answer any more. */
  readonly ended: AbortSignal;
  /** Takes an answer that is not the last. `false`: too much waits to be sent, and it was dropped. */
  send(answer: unknown): boolean;
}

/**
 * Gives the (last) answer. The question comes from outside and is to be parsed; what is thrown is the answer's `error`.
 */
export type AnswerHandler = (
  question: Readonly<Record<string, unknown>>,
  stream: AnswerStream,
) => unknown;

/** A kind without a handler is answered with an error. */
export type AnswerHandlers = Readonly<Partial<Record<Question["kind"], AnswerHandler>>>;

/** Kinds that are answered for as long as somebody listens. */
const STREAMS: ReadonlySet<string> = new Set<Question["kind"]>(["tap"]);

interface Open {
  readonly abort: AbortController;
  /** Answers to be sent, in order. */
  readonly waiting: { readonly body: unknown; readonly more: boolean }[];
  sending: boolean;
  readonly send: (part: AnswerPart) => Promise<void>;
}

/**
 * Answers the registry's questions. Each part is sent when the one before has left, so that other messages find their way
 * between them, and no answer waits for another.
 */
export class Answers implements QuestionTaker {
  readonly #handlers: AnswerHandlers;
  readonly #timers: Timers;
  readonly #log: Log;
  readonly #open = new Map<number, Open>();

  constructor(handlers: AnswerHandlers, timers: Timers, log: Log) {
    this.#handlers = handlers;
    this.#timers = timers;
    this.#log = log;
  }

  ask({ id, question }: Ask, send: (part: AnswerPart) => Promise<void>): void {
    if (this.#open.has(id)) throw new Error(`question ${id} is open already`);
    if (this.#open.size >= MAX_OPEN_QUESTIONS) {
      void send(failure(id, "too many questions are open"));
      return;
    }
    const open: Open = { abort: new AbortController(), waiting: [], sending: false, send };
    this.#open.set(id, open);
    this.#answer(id, open, question).catch((error: unknown) => {
      if (open.abort.signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      this.#log.debug("a question of the registry is not answered", {
        kind: question.kind,
        reason,
      });
      this.end(id);
      void send({ ...failure(id, reason), ...blameOf(error) });
    });
  }

  end(id: number): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    open?.abort.abort();
  }

  endAll(): void {
    for (const id of this.#open.keys()) this.end(id);
  }

  async #answer(id: number, open: Open, question: Ask["question"]): Promise<void> {
    const { kind } = question;
    // A name of Object.prototype is no kind.
    const handler = new Map(Object.entries(this.#handlers)).get(kind);
    if (handler === undefined) throw new Error("unknown question");
    const stream: AnswerStream = {
      ended: open.abort.signal,
      send: (body) => {
        if (open.abort.signal.aborted || open.waiting.length >= MAX_WAITING) return false;
        this.#push(id, open, body, true);
        return true;
      },
    };
    const answered = Promise.resolve(handler(question, stream));
    const body = await (STREAMS.has(kind) ? answered : this.#inTime(answered));
    if (!open.abort.signal.aborted) this.#push(id, open, body ?? null, false);
  }

  #inTime(answered: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`there is no answer within ${PATIENCE_MS} ms`));
      const cancel = this.#timers.after(PATIENCE_MS, late);
      answered.then(resolve, reject).finally(cancel);
    });
  }

  #push(id: number, open: Open, body: unknown, more: boolean): void {
    open.waiting.push({ body, more });
    if (open.sending) return;
    open.sending = true;
    this.#sendAll(id, open).catch((error: unknown) => {
      this.#log.warn("an answer to the registry could not be sent", { error });
      this.end(id);
      void open.send(failure(id, "the answer could not be written"));
    });
  }

  async #sendAll(id: number, open: Open): Promise<void> {
    for (let next = open.waiting[0]; next !== undefined; next = open.waiting[0]) {
      const text = JSON.stringify(next.body);
      if (Buffer.byteLength(text) > MAX_ANSWER_BYTES) {
        this.end(id);
        await open.send(failure(id, `the answer exceeds ${MAX_ANSWER_BYTES} bytes`));
        return;
      }
      for (let part = 0; part * ANSWER_PART_CHARS < text.length; part++) {
        if (open.abort.signal.aborted) return;
        const end = (part + 1) * ANSWER_PART_CHARS;
        const last = end >= text.length;
        const body = text.slice(part * ANSWER_PART_CHARS, end);
        const more = last && next.more ? { more: true as const } : {};
        await open.send({ type: "answer", id, part, last, ...more, body });
      }
      open.waiting.shift();
      if (!next.more) this.end(id);
    }
    open.sending = false;
  }
}

/** Whose fault an error is, where it is not this daemon's. */
function blameOf(error: unknown): Pick<AnswerPart, "status"> {
  const isWrong =
    error instanceof RangeError || error instanceof LoggingError || error instanceof ZodError;
  if (isWrong) return { status: 400 };
  return error instanceof BusyError || error instanceof TooManyTaps ? { status: 429 } : {};
}

function failure(id: number, reason: string): AnswerPart {
  return { type: "answer", id, part: 0, last: true, error: reason.slice(0, REASON_LENGTH) };
}
