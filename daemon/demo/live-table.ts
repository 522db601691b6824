import { setTimeout as delay } from "node:timers/promises";
import { truncate } from "../../src/core/terminal.ts";
import type { TableOptions } from "../../src/core/text-table.ts";

/** The stream that a live table is shown on; `process.stdout` is one. */
export interface LiveOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export interface LiveTableOptions<T> {
  /** Reads what is shown. What it throws is shown in place of the table, and reading goes on. */
  readonly read: () => Promise<T>;
  /** Lines of one picture, for a terminal. */
  readonly frame: (data: T, options: TableOptions) => readonly string[];
  /** Lines for a pipe or a file: no picture, a line per fact. */
  readonly lines: (data: T, time: Date) => readonly string[];
  /** Below the picture, on a terminal only. */
  readonly footer?: string;
  readonly output: LiveOutput;
  readonly color: boolean;
  readonly signal: AbortSignal;
  /** Between two pictures on a terminal; default 1 s. */
  readonly intervalMs?: number;
  /** Between two groups of lines elsewhere; default 5 s. */
  readonly plainIntervalMs?: number;
}

/** Shows data anew until the signal ends it: in place on a terminal, as plain lines elsewhere. */
export async function liveTable<T>(options: LiveTableOptions<T>): Promise<void> {
  const { output, signal, intervalMs = 1_000, plainIntervalMs = 5_000 } = options;
  const isTerminal = output.isTTY === true;
  const pauseMs = isTerminal ? intervalMs : plainIntervalMs;
  let drawn = 0;
  while (!signal.aborted) {
    const picture = await nextPicture(options, isTerminal);
    if (signal.aborted) break;
    if (isTerminal) drawn = redraw(output, picture, drawn);
    else for (const line of picture) output.write(`${line}\n`);
    // The pause ends early with the signal, which is no error.
    await delay(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

async function nextPicture<T>(
  options: LiveTableOptions<T>,
  isTerminal: boolean,
): Promise<readonly string[]> {
  const { frame, lines, output, color, footer } = options;
  try {
    const data = await options.read();
    if (!isTerminal) return lines(data, new Date());
    const picture = frame(data, { width: output.columns || 80, color });
    return footer === undefined ? picture : [...picture, "", footer];
  } catch (reason) {
    const text = reason instanceof Error ? reason.message : String(reason);
    return [`no figures at this moment: ${text}`];
  }
}

/** Replaces the lines of the last picture. A picture that is higher than the window loses its end. */
function redraw(output: LiveOutput, picture: readonly string[], drawn: number): number {
  const height = Math.max(1, (output.rows ?? 24) - 1);
  const visible = picture.slice(0, height);
  if (visible.length < picture.length)
    visible[height - 1] = truncate("… (window too low)", output.columns || 80);
  const up = drawn === 0 ? "" : `\u001b[${drawn}A\r`;
  output.write(`${up}\u001b[0J${visible.map((line) => `${line}\n`).join("")}`);
  return visible.length;
}
