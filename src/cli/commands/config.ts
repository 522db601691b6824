import { Command } from "commander";
import type { Config } from "../../config/schema.ts";
import { type AdminFlag, addAdminOption, adminUrl, readAdmin } from "../admin.ts";
import { readHostDump } from "../config/dump-record.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { configDiffCommand } from "./config-diff.ts";

interface DumpFlags extends FormatFlag, SettingsFlags, AdminFlag {
  readonly offline?: boolean;
}

/** `hostmesh config dump`. */
export function configCommand(output: TerminalOutput, onExit: (code: number) => void): Command {
  const command = new Command("config").summary("show what a daemon runs with");
  describeCommand(command, {
    examples: ["hostmesh config dump", "hostmesh config diff node-a node-b"],
  });
  const dump = new Command("dump")
    .summary("print settings and snapshot of the daemon")
    .description(
      "Prints the settings of the running daemon and the services, endpoints and workloads that it knows, with their revision. With --host, the redacted dump of that host's daemon, by way of the registry. With --offline, the settings that these options would give, asking nobody.",
    )
    .option("--offline", "print the settings of this command line and ask no daemon")
    .action(async (flags: DumpFlags) => {
      const config = readSettings(flags);
      const data = await dumpOf(config, flags);
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
      "hostmesh config dump --host node-b",
      "hostmesh config dump --offline --config hostmesh.yaml --set ports.explicit=8080",
    ],
  });
  return command.addCommand(dump).addCommand(configDiffCommand(output, onExit));
}

/** With --host of the daemon of that host, which only a registry reaches. */
function dumpOf(config: Config, flags: DumpFlags): Promise<unknown> {
  const { offline, admin, host } = flags;
  if (offline === true) return Promise.resolve({ settings: config });
  if (host !== undefined && admin === undefined) return readHostDump(config, host);
  return readAdmin(adminUrl(flags, config), "/config_dump");
}

function flatten(value: unknown, path: string): [string, string][] {
  if (typeof value !== "object" || value === null) return [[path, String(value)]];
  const entries = Object.entries(value);
  if (entries.length === 0) return [[path, Array.isArray(value) ? "[]" : "{}"]];
  return entries.flatMap(([key, below]) => flatten(below, path === "" ? key : `${path}.${key}`));
}
