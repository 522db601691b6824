import { Command } from "commander";
import { parseGoDuration } from "../../registry/duration.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { createdToken } from "../identity-records.ts";
import { callRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface TokenFlags extends SettingsFlags {
  readonly ttl: string;
}

/** `hostmesh identity token`. */
export function identityTokenCommand(output: TerminalOutput): Command {
  const command = new Command("token")
    .summary("make a one-time join token for a host")
    .description(
      "Makes a token with which the daemon of one host gets its identity, once. It is shown here and kept nowhere: the registry stores a hash.",
    )
    .option("--host <name>", "the only host that may use it (default: any)")
    .option("--ttl <duration>", "how long it may be used, such as 30m or 24h", "1h")
    .action(async (flags: TokenFlags) => {
      const ttlMs = parseGoDuration(flags.ttl);
      if (ttlMs === null || ttlMs < 1_000) {
        const reason = `--ttl ${flags.ttl}: not a duration such as 30m or 24h, of at least 1s`;
        throw new CliError(reason, { exitCode: EXIT.usage });
      }
      const { host: _, ...settings } = flags;
      const answer = await callRegistry(readSettings(settings), {
        ...{ method: "POST", path: "/v1/identity/tokens" },
        body: { host: flags.host ?? null, ttlMs: Math.round(ttlMs) },
      });
      output.line(createdToken.parse(answer).token);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh identity token --host node-2 > join-token",
      "hostmesh identity token --ttl 24h",
    ],
    notes: [
      "Give it to the daemon in the file that identity.joinTokenFile names, and registry.urls an https URL of the TLS port.",
    ],
  });
}
