import { type Command, Option } from "commander";
import type { Config } from "../../config/schema.ts";
import { type AdminFlag, addAdminOption } from "../admin.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";

export const SIGHT_FORMATS = ["table", "wide", "json", "yaml"] as const;
export type SightFormat = (typeof SIGHT_FORMATS)[number];

/** Flags of the commands that show what daemons saw. */
export interface SightFlags extends SettingsFlags, AdminFlag {
  readonly output: SightFormat;
  readonly watch?: boolean;
}

/** Which output, whom to ask, and which host is meant; absent: all. */
export function addSightOptions(command: Command): Command {
  command
    .addOption(
      new Option("-o, --output <format>", "form of the output; wide: a table with more columns")
        .choices([...SIGHT_FORMATS])
        .default("table"),
    )
    .option("--host <host>", "only what the daemon of this host saw");
  return addSettingsOptions(addAdminOption(command), ["registry"]);
}

/** `-w`. */
export function addWatchOption(command: Command): Command {
  return command.option("-w, --watch", "show it anew every second, until Ctrl-C");
}

/** The settings; here `--host` says whose figures are wanted, not what this host is called. */
export function sightSettings({ host: _, ...flags }: SightFlags): Config {
  return readSettings(flags);
}
