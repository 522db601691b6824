import { paint, printable } from "../core/terminal.ts";
import { CliError, EXIT, type ExitCode } from "./cli-error.ts";
import type { TerminalOutput } from "./terminal-output.ts";

/**
 * Prints an error in one line, with what to do about it on a second; `debug` adds stack and causes. Returns the exit code
 * that it stands for.
 */
export function reportError(reason: unknown, errors: TerminalOutput, debug: boolean): ExitCode {
  const message = reason instanceof Error ? reason.message : String(reason);
  // A message may have several lines, such as one per bad setting.
  const lines = message.split("\n").map(printable);
  errors.line(`${paint("error:", "bad", errors.color)} ${lines.join("\n")}`);
  if (reason instanceof CliError && reason.remedy !== undefined) {
    errors.line(`${paint("hint:", "warn", errors.color)} ${printable(reason.remedy)}`);
  }
  for (let at: unknown = debug ? reason : null; at instanceof Error; at = at.cause) {
    errors.line(at.stack ?? at.message);
  }
  return reason instanceof CliError ? reason.exitCode : EXIT.failure;
}
