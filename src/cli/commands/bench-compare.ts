import { Argument, Command } from "commander";
import { BenchError } from "../../../bench/lib/bench-error.ts";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh bench compare`. */
export function benchCompareCommand(output: TerminalOutput): Command {
  const command = new Command("compare")
    .summary("compare two results")
    .description(
      "Compares the rows that two results have in common, and says which differences lie within the spread of their rounds.",
    )
    .addArgument(new Argument("<file>", "result.json of the first run"))
    .addArgument(new Argument("<second>", "result.json of the second run"))
    .action(async (first: string, second: string, _own: FormatFlag, command: Command) => {
      try {
        // `bench` has the same option, and takes it wherever it stands.
        await compare(first, second, command.optsWithGlobals<FormatFlag>(), output);
      } catch (reason) {
        if (!(reason instanceof BenchError)) throw reason;
        throw new CliError(reason.message, { cause: reason });
      }
    });
  addOutputOption(command);
  return describeCommand(command, {
    examples: ["hostmesh bench compare before/result.json after/result.json"],
  });
}

async function compare(
  first: string,
  second: string,
  flags: FormatFlag,
  output: TerminalOutput,
): Promise<void> {
  const { readResult } = await import("../../../bench/result/read-result.ts");
  const { compareResults, comparisonTable } = await import("../../../bench/result/compare.ts");
  const comparison = compareResults(await readResult(first), await readResult(second));
  if (printStructured(output, flags.output, comparison)) return;
  const options = { width: output.width(), color: output.color };
  for (const line of comparisonTable(comparison, options)) output.line(line);
}
