/** Writes one batch; calls `done` once, with the error if it could not be written. */
export type WriteChunk = (chunk: Uint8Array, done: (error: Error | null) => void) => void;

export interface LineWriterOptions {
  readonly write: WriteChunk;
  /** Told how many lines were lost with a batch that could not be written. */
  readonly onLost: (lines: number, error: Error) => void;
  /** Characters that may wait, the batch on its way included. */
  readonly maxWaitingBytes?: number;
  /** A batch of this size goes at once. */
  readonly batchBytes?: number;
  /** A smaller one waits this long for more. */
  readonly flushMs?: number;
}

/**
 * Collects lines and writes them in batches, one at a time. Never waits: when the reader is slower than
 * the lines come, `push` refuses them. Lines must be ASCII, so that characters are bytes.
 */
export class LineWriter {
  readonly #write: WriteChunk;
  readonly #onLost: (lines: number, error: Error) => void;
  readonly #maxWaitingBytes: number;
  readonly #batchBytes: number;
  readonly #flushMs: number;
  #text = "";
  #lines = 0;
  #writingBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #idle: (() => void)[] = [];

  constructor(options: LineWriterOptions) {
    this.#write = options.write;
    this.#onLost = options.onLost;
    this.#maxWaitingBytes = options.maxWaitingBytes ?? 1_048_576;
    this.#batchBytes = options.batchBytes ?? 32_768;
    this.#flushMs = options.flushMs ?? 100;
  }

  /** Takes one line without its end, or refuses it because too much is waiting. */
  push(line: string): boolean {
    const waiting = this.#text.length + this.#writingBytes;
    if (waiting + line.length + 1 > this.#maxWaitingBytes) return false;
    this.#text += line;
    this.#text += "\n";
    this.#lines += 1;
    if (this.#text.length >= this.#batchBytes) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#flushMs).unref();
    return true;
  }

  /** Writes what is waiting, unless a batch is on its way: then it follows that one. */
  flush(): void {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    if (this.#writingBytes > 0 || this.#text === "") return;
    const chunk = Buffer.from(this.#text, "latin1");
    const lines = this.#lines;
    this.#text = "";
    this.#lines = 0;
    this.#writingBytes = chunk.length;
    this.#write(chunk, (error) => this.#written(lines, error));
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    this.flush();
    if (this.#writingBytes === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #written(lines: number, error: Error | null): void {
    this.#writingBytes = 0;
    if (error !== null) this.#onLost(lines, error);
    this.flush();
    if (this.#writingBytes > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}
