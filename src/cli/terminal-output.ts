import { wantsColor } from "../core/terminal.ts";

/** What a command knows of the place that its output goes to. */
export interface TerminalOutput {
  readonly color: boolean;
  readonly isTerminal: boolean;
  /** Columns; Infinity where the output is no terminal. Read anew, because a window can be resized. */
  width(): number;
  line(text: string): void;
  write(text: string): void;
}

/** The part of a standard stream that is used. */
export interface StandardStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
  on(event: "error", listener: (error: NodeJS.ErrnoException) => void): unknown;
}

/**
 * Output on a stream of the process. A reader that goes away (`| head`), or a terminal that is closed (EIO), ends the
 * command quietly.
 */
export function terminalOutput(
  stream: StandardStream,
  env: Readonly<Record<string, string | undefined>>,
): TerminalOutput {
  const isTerminal = stream.isTTY === true;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    // A command that has something to undo listens for SIGTERM, and then ends in order.
    if (process.listenerCount("SIGTERM") > 0) process.kill(process.pid, "SIGTERM");
    else process.exit(0);
  });
  return {
    color: wantsColor(isTerminal, env),
    isTerminal,
    width: () => (isTerminal ? stream.columns || 80 : Number.POSITIVE_INFINITY),
    line: (text) => void stream.write(`${text}\n`),
    write: (text) => void stream.write(text),
  };
}
