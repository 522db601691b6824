import { Command } from "commander";
import { describeCommand } from "../describe-command.ts";
import { trustBundle } from "../identity-records.ts";
import { readRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh identity trust-bundle`. */
export function identityTrustBundleCommand(output: TerminalOutput): Command {
  const command = new Command("trust-bundle")
    .summary("print the authorities that are trusted now")
    .description("Prints the roots that every host trusts now, as PEM: two during a rotation.")
    .action(async (flags: SettingsFlags) => {
      const { anchors } = await readRegistry(
        readSettings(flags),
        "/v1/identity/trust",
        trustBundle,
      );
      output.write(anchors.join(""));
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh identity trust-bundle > anchors.pem",
      "openssl verify -CAfile anchors.pem /var/lib/hostmesh/identity/host.pem",
    ],
  });
}
