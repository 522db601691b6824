import { TooLongError } from "./too-long-error.ts";

const NEWLINE = 0x0a;

/** Cuts a stream into its lines, however the bytes come. A line that grows longer than the limit is a TooLongError. */
export class JsonLines {
  readonly #limitBytes: number;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Yields what each whole line means. Throws where one is too long or is no JSON; nothing may be pushed after that. */
  *push(chunk: Buffer): Generator<unknown> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      this.#hold(chunk.subarray(start, end === -1 ? chunk.length : end));
      if (end === -1) return;
      const line = this.#take();
      if (line.trim() !== "") yield JSON.parse(line);
      start = end + 1;
    }
  }

  /** Of the line that has begun and not ended. */
  get heldBytes(): number {
    return this.#length;
  }

  #hold(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#limitBytes) {
      throw new TooLongError("one event", this.#limitBytes);
    }
    if (part.length > 0) this.#parts.push(part);
  }

  #take(): string {
    const line = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return line?.toString("utf8") ?? "";
  }
}
