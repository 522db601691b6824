import { Command } from "commander";
import { describeCommand } from "../describe-command.ts";
import { issuedList } from "../identity-records.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import { readRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh identity list`. */
export function identityListCommand(output: TerminalOutput): Command {
  const command = new Command("list")
    .summary("list the certificates that are in force")
    .description(
      "Lists the newest certificate of every identity on every host, unless it has expired.",
    )
    .action(async (flags: FormatFlag & SettingsFlags) => {
      const data = await readRegistry(readSettings(flags), "/v1/identity/issued", issuedList);
      printData(output, flags.output, data, () => ({
        columns: [
          { title: "IDENTITY", minWidth: 20 },
          { title: "HOST", minWidth: 8 },
          { title: "EXPIRES" },
          { title: "ISSUER" },
        ],
        rows: data.map(({ identity, host, notAfterMs, issuer }) => [
          identity,
          host,
          new Date(notAfterMs).toISOString(),
          issuer.slice(0, 16),
        ]),
        empty: "No certificate is in force: no host has enrolled. Try: hostmesh identity token",
      }));
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: ["hostmesh identity list", "hostmesh identity list -o json | jq '.[].identity'"],
  });
}
