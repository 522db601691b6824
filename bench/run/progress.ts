import { paint, printable, truncate } from "../../src/core/terminal.ts";

/** The stream that shows what goes on; the command's standard error is one. */
export interface ProgressOutput {
  readonly color: boolean;
  readonly isTerminal: boolean;
  width(): number;
  write(text: string): void;
}

/** Rare, because the bench must not take time from what it measures. */
const REDRAW_MS = 500;
const CLEAR_LINE = "\r\u001b[2K";

/**
 * Lines that stay, and on a terminal one below them that says what goes on. In a pipe only the lines that stay are
 * written.
 */
export class Progress {
  readonly #output: ProgressOutput;
  readonly #timer: NodeJS.Timeout | null;
  #current: (() => string) | null = null;

  constructor(output: ProgressOutput) {
    this.#output = output;
    this.#timer = output.isTerminal ? setInterval(() => this.#draw(), REDRAW_MS) : null;
    this.#timer?.unref();
  }

  /** Writes a line that stays. */
  line(text: string): void {
    this.#clear();
    this.#output.write(`${text}\n`);
    this.#draw();
  }

  /** From now on this is what goes on; it is asked again for each picture. null: nothing. */
  now(current: (() => string) | null): void {
    this.#clear();
    this.#current = current;
    this.#draw();
  }

  /** Takes the last line away. */
  close(): void {
    this.now(null);
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #clear(): void {
    if (this.#timer !== null && this.#current !== null) this.#output.write(CLEAR_LINE);
  }

  #draw(): void {
    if (this.#timer === null || this.#current === null) return;
    // A line as wide as the window would wrap, and could not be taken away again.
    const text = truncate(printable(this.#current()), this.#output.width() - 1);
    this.#output.write(`${CLEAR_LINE}${paint(text, "dim", this.#output.color)}`);
  }
}
