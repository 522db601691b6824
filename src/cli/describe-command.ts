import type { Command } from "commander";

export interface CommandHelp {
  /** Each one line; shown after `$ `. */
  readonly examples: readonly string[];
  /** Lines after the examples. */
  readonly notes?: readonly string[];
  /** Exit codes besides 0, 1 and 2. */
  readonly exitCodes?: string;
  /** All exit codes, of a command to which the usual ones do not apply. */
  readonly ownExitCodes?: string;
}

const COMMON_EXIT_CODES = "0 ok, 1 failure, 2 wrong usage or settings";

/** Adds examples and exit codes to the command's `--help`. */
export function describeCommand(command: Command, help: CommandHelp): Command {
  const more = help.exitCodes === undefined ? "" : `, ${help.exitCodes}`;
  const codes = help.ownExitCodes ?? COMMON_EXIT_CODES + more;
  const text = [
    "",
    help.examples.length === 1 ? "Example:" : "Examples:",
    ...help.examples.map((line) => `  $ ${line}`),
    ...(help.notes === undefined ? [] : ["", ...help.notes]),
    "",
    `Exit codes: ${codes}.`,
  ];
  return command.addHelpText("after", text.join("\n"));
}
