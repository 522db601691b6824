import { Command } from "commander";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import { printable } from "../../core/terminal.ts";
import { reportAffected } from "../applied-resources.ts";
import { describeCommand } from "../describe-command.ts";
import { parseNumber } from "../parse-number.ts";
import { callRegistry } from "../registry.ts";
import { rollbackAnswer } from "../resource-records.ts";
import { resourcePath, resourceTarget } from "../resource-target.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface RollbackFlags extends SettingsFlags {
  readonly namespace?: string;
  readonly to?: number;
  readonly dryRun?: boolean;
}

/** `hostmesh rollback`. */
export function rollbackCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("rollback")
    .summary("make an earlier content of a resource hold again")
    .description(
      "Applies an earlier content of a resource again, as a new generation; also of one that was removed.",
    )
    .argument("<resource>", "KIND/NAME, or KIND")
    .argument("[name]", "NAME, behind a KIND alone")
    .option("-n, --namespace <namespace>", `namespace (default: ${DEFAULT_NAMESPACE})`)
    .option(
      "--to <generation>",
      "which one (default: the newest that is another)",
      parseNumber(1, 1e9),
    )
    .option("--dry-run", "have the registry check it and change nothing")
    .action(async (target: string, name: string | undefined, flags: RollbackFlags) => {
      await rollback(output, errors, { target, name }, flags);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh rollback virtualservice/reviews -n shop",
      "hostmesh rollback vs/reviews --to 3 --dry-run",
    ],
    notes: ["hostmesh history KIND/NAME lists what there is to go back to."],
  });
}

async function rollback(
  output: TerminalOutput,
  errors: TerminalOutput,
  { target, name }: { readonly target: string; readonly name: string | undefined },
  flags: RollbackFlags,
): Promise<void> {
  const resource = resourceTarget(target, name, flags.namespace);
  const answer = await callRegistry(readSettings(flags), {
    method: "POST",
    path: `${resourcePath(resource)}/rollback`,
    body: {
      ...(flags.to === undefined ? {} : { generation: flags.to }),
      dryRun: flags.dryRun === true,
    },
  });
  const { result, from, generation, warnings, affected } = rollbackAnswer.parse(answer);
  for (const { path, message } of warnings) {
    errors.line(printable(`warning: ${path === "" ? "" : `${path}: `}${message}`));
  }
  reportAffected(errors, affected);
  const label = `${resource.kind} ${resource.namespace}/${resource.name}`;
  const end = flags.dryRun ? " (dry run)" : "";
  const text =
    result === "unchanged"
      ? `${label} unchanged: it is as generation ${from} was`
      : `${label} rolled back to generation ${from}, which is now generation ${generation}${end}`;
  output.line(printable(text));
}
