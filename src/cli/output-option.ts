import { type Command, Option } from "commander";
import { OUTPUT_FORMATS, type OutputFormat } from "./print-data.ts";

export interface FormatFlag {
  readonly output: OutputFormat;
}

/** `-o json|yaml|table`. */
export function addOutputOption(command: Command, fallback: OutputFormat = "table"): Command {
  return command.addOption(
    new Option("-o, --output <format>", "form of the output")
      .choices([...OUTPUT_FORMATS])
      .default(fallback),
  );
}
