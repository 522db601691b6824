import { Command, Option } from "commander";
import { makeToken } from "../../dashboard/server/tokens.ts";
import { userName } from "../../dashboard/server/users.ts";
import { ROLES, type Role } from "../../dashboard/server/visitor.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface UserFlags {
  readonly role: Role;
  readonly tap?: boolean;
}

/** `hostmesh dashboard user`. The line goes to standard output, so that `>>` takes it alone. */
export function dashboardUserCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("user")
    .summary("make a login for the dashboard")
    .description(
      "Makes a token for a user of the dashboard. Prints the line for the users file (dashboard.usersFile) on standard output, and on standard error the token, which is shown here and kept nowhere: the file holds a hash.",
    )
    .argument("<name>", "name of the user, as logs and histories show it")
    .addOption(
      new Option("--role <role>", "viewer reads; editor changes resources and sees live requests")
        .choices(ROLES)
        .makeOptionMandatory(),
    )
    .option("--tap", "a viewer who sees live requests too")
    .action(async (name: string, { role, tap }: UserFlags) => {
      const parsed = userName.safeParse(name);
      if (!parsed.success) {
        const message = `${JSON.stringify(name)} is no name for a user`;
        const remedy = "take letters, digits and . _ @ -, at most 64, a letter or digit first";
        throw new CliError(message, { exitCode: EXIT.usage, remedy });
      }
      const { token, hash } = await makeToken(parsed.data);
      const more = tap === true ? ", tap: true" : "";
      output.line(`  - {name: "${parsed.data}", role: ${role}${more}, hash: "${hash}"}`);
      errors.line(`token, shown once: ${token}`);
    });
  return describeCommand(command, {
    examples: [
      "hostmesh dashboard user ann --role editor",
      "(echo users:; hostmesh dashboard user ann --role editor) > users.yaml",
      "hostmesh dashboard user vic --role viewer --tap >> users.yaml",
    ],
    notes: [
      "The registry reads the file again when it changes. Who is taken out of it is logged out within seconds.",
    ],
  });
}
