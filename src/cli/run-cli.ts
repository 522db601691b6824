import { CommanderError } from "commander";
import { paint, printable, wantsColor } from "../core/terminal.ts";
import { CliError, EXIT } from "./cli-error.ts";
import { buildProgram } from "./program.ts";
import { terminalOutput } from "./terminal-output.ts";

/**
 * Runs one command line and returns its exit code. An error is one line, with what to do about it on a
 * second; `--debug` adds stack and causes.
 */
export async function runCli(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok;
  const output = terminalOutput(process.stdout, process.env);
  // Without a reader of error messages there is nobody to tell.
  process.stderr.on("error", () => process.exit(EXIT.failure));
  const program = buildProgram(output, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (reason) {
    if (reason instanceof CommanderError) return reason.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(reason, args.includes("--debug"));
  }
}

function report(reason: unknown, debug: boolean): number {
  const color = wantsColor(process.stderr.isTTY === true, process.env);
  const message = reason instanceof Error ? reason.message : String(reason);
  // A message may have several lines, such as one per bad setting.
  const lines = message.split("\n").map(printable);
  process.stderr.write(`${paint("error:", "bad", color)} ${lines.join("\n")}\n`);
  if (reason instanceof CliError && reason.remedy !== undefined) {
    process.stderr.write(`${paint("hint:", "warn", color)} ${printable(reason.remedy)}\n`);
  }
  if (debug) {
    for (let at: unknown = reason; at instanceof Error; at = at.cause) {
      process.stderr.write(`${at.stack ?? at.message}\n`);
    }
  }
  return reason instanceof CliError ? reason.exitCode : EXIT.failure;
}
