import { Command } from "commander";
import { type AdminFlag, addAdminOption, adminUrl, readAdmin } from "../admin.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface DumpFlags extends FormatFlag, SettingsFlags, AdminFlag {
  readonly offline?: boolean;
}

/** `hostmesh config dump`. */
export function configCommand(output: TerminalOutput): Command {
  const command = new Command("config").summary("show what a daemon runs with");
  describeCommand(command, { examples: ["hostmesh config dump"] });
  const dump = new Command("dump")
    .summary("print settings and snapshot of the daemon")
    .description(
      "Prints the settings of the running daemon and the services, endpoints and workloads that it knows, with their revision. With --offline, the settings that these options would give, asking nobody.",
    )
    .option("--offline", "print the settings of this command line and ask no daemon")
    .action(async (flags: DumpFlags) => {
      const config = readSettings(flags);
      const data =
        flags.offline === true
          ? { settings: config }
          : await readAdmin(adminUrl(flags, config), "/config_dump");
      printData(output, flags.output, data, () => ({
        columns: [{ title: "SETTING" }, { title: "VALUE", minWidth: 20 }],
        rows: flatten(data, ""),
        empty: "nothing",
      }));
    });
  addSettingsOptions(addAdminOption(addOutputOption(dump, "yaml")), [
    "capture",
    "registry",
    "data",
  ]);
  describeCommand(dump, {
    examples: [
      "hostmesh config dump",
      "hostmesh config dump -o json | jq .snapshot.services",
      "hostmesh config dump --offline --config hostmesh.yaml --set ports.explicit=8080",
    ],
  });
  return command.addCommand(dump);
}

function flatten(value: unknown, path: string): [string, string][] {
  if (typeof value !== "object" || value === null) return [[path, String(value)]];
  const entries = Object.entries(value);
  if (entries.length === 0) return [[path, Array.isArray(value) ? "[]" : "{}"]];
  return entries.flatMap(([key, below]) => flatten(below, path === "" ? key : `${path}.${key}`));
}
