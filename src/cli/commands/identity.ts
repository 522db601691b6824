import { Command } from "commander";
import { describeCommand } from "../describe-command.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { identityInspectCommand } from "./identity-inspect.ts";
import { identityListCommand } from "./identity-list.ts";
import { identityRotateCaCommand } from "./identity-rotate-ca.ts";
import { identityTokenCommand } from "./identity-token.ts";
import { identityTrustBundleCommand } from "./identity-trust-bundle.ts";

/** `hostmesh identity`. */
export function identityCommand(output: TerminalOutput): Command {
  const command = new Command("identity").summary(
    "join tokens, certificates, and the authority behind them",
  );
  command.addCommand(identityTokenCommand(output));
  command.addCommand(identityListCommand(output));
  command.addCommand(identityInspectCommand(output));
  command.addCommand(identityRotateCaCommand(output));
  command.addCommand(identityTrustBundleCommand(output));
  return describeCommand(command, {
    examples: [
      "hostmesh identity token --host node-2",
      "hostmesh identity list",
      "hostmesh identity rotate-ca",
    ],
    notes: ["These are for operators: they talk to the registry's plain port, on its own host."],
  });
}
