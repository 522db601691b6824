import { H2Answers } from "./h2-answers.ts";

/** Bodies up to this size go out in one string with their head: cheaper than two pieces. */
const SMALL_BYTES = 12_288;
/** Sizes whose answers are kept; a load asks for one. */
const KEPT = 64;
/** Larger bodies are written in pieces of this one. */
export const BODY = Buffer.alloc(1_048_576, "x");
/** Nobody asks for more by accident and gets it. */
export const MAX_BODY_BYTES = 64 * BODY.length;

/** What is written for one size; `text` holds the body too where it is small, and `rest` bytes of body follow. */
export interface Answer {
  readonly text: string;
  readonly rest: number;
}

/**
 * Answers, made once for each size and second: they have a Date as any origin server's (RFC 9110, section 6.6.1), so a
 * proxy sees heads that change now and then.
 */
export class Answers {
  readonly http2 = new H2Answers();
  readonly #kept = new Map<number, Answer>();
  readonly #refresh: NodeJS.Timeout;
  #fields = fieldsOf(new Date());
  #marked = 0;

  constructor() {
    this.#refresh = setInterval(() => {
      this.#fields = fieldsOf(new Date());
      this.#kept.clear();
      this.http2.refresh();
    }, 1_000).unref();
  }

  stop(): void {
    clearInterval(this.#refresh);
  }

  /** Answer of HTTP with a body of this size. */
  http(size: number): Answer {
    return this.#kept.get(size) ?? this.#keep(size, this.#make(size, ""));
  }

  /** The same with a field whose value never comes again. */
  marked(size: number): Answer {
    return this.#make(size, `X-Answer-Id: ${this.#marked++}\r\n`);
  }

  #keep(size: number, answer: Answer): Answer {
    if (this.#kept.size >= KEPT) this.#kept.clear();
    this.#kept.set(size, answer);
    return answer;
  }

  #make(size: number, extra: string): Answer {
    const head = `HTTP/1.1 200 OK\r\n${this.#fields}${extra}Content-Length: ${size}\r\n\r\n`;
    if (size > SMALL_BYTES) return { text: head, rest: size };
    return { text: head + bodyText(size), rest: 0 };
  }
}

/** Answer of raw TCP: bytes only. */
export function tcpAnswer(size: number): Answer {
  return size > SMALL_BYTES ? { text: "", rest: size } : { text: bodyText(size), rest: 0 };
}

const texts = new Map<number, string>();

function bodyText(size: number): string {
  const text = texts.get(size) ?? "x".repeat(size);
  if (texts.size < KEPT) texts.set(size, text);
  return text;
}

function fieldsOf(date: Date): string {
  return `Server: upstream\r\nDate: ${date.toUTCString()}\r\nContent-Type: application/octet-stream\r\n`;
}
