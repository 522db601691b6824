import { CommanderError } from "commander";
import { EXIT } from "./cli-error.ts";
import { type DaemonRunner, runDaemonHere } from "./daemon-start.ts";
import { buildProgram } from "./program.ts";
import { reportError } from "./report-error.ts";
import type { TerminalOutput } from "./terminal-output.ts";

/**
 * Runs one command line and returns its exit code. Errors are reported as {@link reportError} does; `--debug` adds stack
 * and causes. `runDaemon` is what `hostmesh daemon` does with its settings.
 */
export async function runCli(
  args: readonly string[],
  output: TerminalOutput,
  errors: TerminalOutput,
  runDaemon: DaemonRunner = runDaemonHere,
): Promise<number> {
  let exitCode: number = EXIT.ok;
  const onExit = (code: number) => {
    exitCode = code;
  };
  const program = buildProgram(output, errors, onExit, runDaemon);
  try {
    await program.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (reason) {
    if (reason instanceof CommanderError) return reason.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return reportError(reason, errors, args.includes("--debug"));
  }
}
