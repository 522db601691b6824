import { spanText } from "./otlp-json.ts";
import type { Span, SpanSink } from "./span.ts";

export interface SpanBufferOptions {
  /** Hands a batch over: resource and span in turn. `dropped`: spans that there was no room for since the last one. */
  readonly post: (spans: readonly string[], dropped: number) => void;
  /** Starts a timer. */
  readonly after?: (delayMs: number, task: () => void) => void;
  /** Characters of spans that wait or that nobody has taken yet. */
  readonly maxWaitingBytes?: number;
}

/** A batch goes when it has so many spans, or is so old. */
const BATCH_SPANS = 64;
const BATCH_MS = 100;
const MAX_WAITING_BYTES = 4_194_304;

/**
 * The spans of one worker on their way to the thread that exports them. It never waits: where that thread is slower than spans
 * come, they are dropped here and counted, so that neither memory nor requests depend on it.
 */
export class SpanBuffer implements SpanSink {
  readonly #post: SpanBufferOptions["post"];
  readonly #after: NonNullable<SpanBufferOptions["after"]>;
  readonly #maxWaitingBytes: number;
  #batch: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #isTimed = false;

  constructor(options: SpanBufferOptions) {
    this.#post = options.post;
    this.#after = options.after ?? ((delayMs, task) => void setTimeout(task, delayMs).unref());
    this.#maxWaitingBytes = options.maxWaitingBytes ?? MAX_WAITING_BYTES;
  }

  add(resource: string, span: Span): void {
    if (this.#waitingBytes >= this.#maxWaitingBytes) this.#dropped += 1;
    else {
      const text = spanText(span);
      this.#waitingBytes += text.length;
      this.#batch.push(resource, text);
    }
    if (this.#batch.length >= 2 * BATCH_SPANS) this.flush();
    else if (!this.#isTimed) {
      this.#isTimed = true;
      this.#after(BATCH_MS, () => {
        this.#isTimed = false;
        this.flush();
      });
    }
  }

  /** Hands over what waits. */
  flush(): void {
    if (this.#batch.length === 0 && this.#dropped === 0) return;
    const [batch, dropped] = [this.#batch, this.#dropped];
    this.#batch = [];
    this.#dropped = 0;
    this.#post(batch, dropped);
  }

  /** So many characters of spans have been taken over. */
  taken(bytes: number): void {
    this.#waitingBytes -= bytes;
  }
}
