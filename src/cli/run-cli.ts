import { CommanderError } from "commander";
import { paint, printable } from "../core/terminal.ts";
import { CliError, EXIT } from "./cli-error.ts";
import { buildProgram } from "./program.ts";
import type { TerminalOutput } from "./terminal-output.ts";

/**
 * Runs one command line and returns its exit code. An error is one line, with what to do about it on a
 * second; `--debug` adds stack and causes.
 */
export async function runCli(
  args: readonly string[],
  output: TerminalOutput,
  errors: TerminalOutput,
): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(output, errors, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (reason) {
    if (reason instanceof CommanderError) return reason.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(reason, errors, args.includes("--debug"));
  }
}

function report(reason: unknown, errors: TerminalOutput, debug: boolean): number {
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
