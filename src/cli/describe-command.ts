import type { Command } from "commander";

export interface CommandHelp {
  /** Each one line; shown after `$ `. */
  readonly examples: readonly string[];
  /** Lines after the examples. */
  readonly notes?: readonly string[];
  /** Exit codes besides 0, 1 and 2. */
  readonly exitCodes?: string;
}

const COMMON_EXIT_CODES = "0 ok, 1 failure, 2 wrong usage or settings";

/** Adds examples and exit codes to the command's `--help`. */
export function describeCommand(command: Command, help: CommandHelp): Command {
  const codes =
    help.exitCodes === undefined ? COMMON_EXIT_CODES : `${COMMON_EXIT_CODES}, ${help.exitCodes}`;
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
