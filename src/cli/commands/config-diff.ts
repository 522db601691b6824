import { Command } from "commander";
import { EXIT } from "../cli-error.ts";
import { compareDumps } from "../config/compare-dumps.ts";
import { compareWithRegistry } from "../config/compare-registry.ts";
import { parseDump, readHostDump } from "../config/dump-record.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh config diff`. */
export function configDiffCommand(output: TerminalOutput, onExit: (code: number) => void): Command {
  const command = new Command("diff")
    .summary("compare what two daemons run with, or one and the registry")
    .description(
      "Compares the redacted dumps of two hosts: settings, services with routes, traffic policies and endpoints, and policies. With one host, its services, endpoints and revision with the registry's.",
    )
    .argument("<host>", "name of a host")
    .argument("[other]", "name of another; left out: the registry")
    .action(async (host: string, other: string | undefined, flags: FormatFlag & SettingsFlags) => {
      const config = readSettings(flags);
      const read = async (name: string) => parseDump(await readHostDump(config, name), name);
      const found =
        other === undefined
          ? await compareWithRegistry(config, host, await read(host))
          : compareDumps(await read(host), await read(other), { left: host, right: other });
      printData(output, flags.output, found, () => ({
        columns: [
          { title: "KIND" },
          { title: "NAME", minWidth: 12 },
          { title: "DIFFERENCE", minWidth: 20 },
        ],
        rows: found.map(({ kind, name, text }) => [kind, name, text]),
        empty: "no difference",
      }));
      if (found.length > 0) onExit(EXIT.failure);
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: ["hostmesh config diff node-a", "hostmesh config diff node-a node-b -o json"],
    notes: ["A difference ends it with 1."],
  });
}
