import { Command } from "commander";
import { packageVersion } from "../../../daemon/package-version.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh version`. */
export function versionCommand(output: TerminalOutput): Command {
  const command = new Command("version")
    .summary("print the version")
    .description("Prints the version of hostmesh and of the Node that runs it.");
  addOutputOption(command);
  return describeCommand(command, {
    examples: ["hostmesh version", "hostmesh version -o json"],
  }).action((flags: FormatFlag) => {
    const data = {
      hostmesh: packageVersion(),
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
    };
    printData(output, flags.output, data, () => ({
      columns: [{ title: "COMPONENT" }, { title: "VERSION" }],
      rows: Object.entries(data),
      empty: "",
    }));
  });
}
