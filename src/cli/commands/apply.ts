import { Command } from "commander";
import { printable } from "../../core/terminal.ts";
import {
  type Applied,
  outcomesOf,
  refusedText,
  reportAffected,
  reportIssues,
  reportSkipped,
  withoutForeign,
  withoutUnsendable,
} from "../applied-resources.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import { postResources } from "../resource-batches.ts";
import { inNamespace, type ResourceInFile, readFiles } from "../resource-files.ts";
import type { AffectedResource } from "../resource-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface ApplyFlags extends FormatFlag, SettingsFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
  readonly dryRun?: boolean;
}

/** `hostmesh apply`. */
export function applyCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("apply")
    .summary("apply resources of Istio, Gateway API, SMI, Linkerd, Consul or Kubernetes")
    .description(
      "Creates or replaces resources: routes, traffic policies and security policies as other meshes write them. Each is taken or refused by itself. docs/dialects lists every field.",
    )
    .requiredOption("-f, --file <file...>", "files or folders; - reads standard input")
    .option("-n, --namespace <namespace>", "namespace of resources that name none")
    .option("--dry-run", "have the registry check everything and change nothing")
    .action(async (flags: ApplyFlags) => {
      await apply(output, errors, flags);
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh apply -f reviews.yaml",
      "hostmesh apply -f mesh/ --dry-run",
      "kubectl get virtualservices -A -o yaml | hostmesh apply -f -",
    ],
  });
}

async function apply(
  output: TerminalOutput,
  errors: TerminalOutput,
  flags: ApplyFlags,
): Promise<void> {
  const config = readSettings(flags);
  const { resources, unreadable } = await readFiles(flags.file);
  const { own, skipped } = withoutForeign(resources);
  const named = own.map((each) => ({ ...each, resource: inNamespace(each, flags.namespace) }));
  const { sendable, refused: unsent } = withoutUnsendable(named);
  const path = flags.dryRun ? "/v1/mesh/resources/validate" : "/v1/mesh/resources";
  const applied: Applied[] = [...unreadable.map(refusedText), ...unsent];
  const affected: AffectedResource[] = [];
  for await (const { answer, batch } of postResources(config, path, sendable, contentOf)) {
    const outcomes = outcomesOf(answer, batch);
    applied.push(...outcomes.applied);
    affected.push(...outcomes.affected);
  }
  const all = [...applied, ...skipped];
  if (!printStructured(output, flags.output, all)) {
    for (const each of applied) report(output, errors, each, flags.dryRun === true);
    reportSkipped(output, skipped);
    reportAffected(errors, affected);
    if (skipped.length > 0) errors.line(`${skipped.length} of ${all.length} are skipped`);
  }
  const refused = applied.filter(({ result }) => result === "refused");
  if (refused.length === 0) return;
  throw new CliError(`${refused.length} of ${all.length} resources are refused`, {
    exitCode: EXIT.failure,
  });
}

function contentOf({ resource }: ResourceInFile): unknown {
  return resource;
}

function report(
  output: TerminalOutput,
  errors: TerminalOutput,
  applied: Applied,
  isDryRun: boolean,
): void {
  const { kind = "", namespace = "", name = "", result } = applied;
  reportIssues(errors, applied);
  if (result === "refused") return;
  const label = namespace === "" ? name : `${namespace}/${name}`;
  output.line(printable(`${kind} ${label} ${result}${isDryRun ? " (dry run)" : ""}`));
}
