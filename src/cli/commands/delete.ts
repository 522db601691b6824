import { Command } from "commander";
import type { Config } from "../../config/schema.ts";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import { printable } from "../../core/terminal.ts";
import { identify } from "../../dialects/translate.ts";
import { type ResourceName, TranslationError } from "../../dialects/translator.ts";
import { reportAffected, withoutForeign } from "../applied-resources.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { callRegistry } from "../registry.ts";
import { inNamespace, type ResourceInFile, resourcesInFiles } from "../resource-files.ts";
import { resourceKind } from "../resource-kinds.ts";
import { type RemovalAnswer, removalAnswer } from "../resource-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface DeleteFlags extends SettingsFlags {
  readonly file?: readonly string[];
  readonly namespace?: string;
}

/** `hostmesh delete`. */
export function deleteCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("delete")
    .summary("remove applied resources")
    .description("Removes resources, named one by one or by the files that they were applied from.")
    .argument("[kind]", "AuthorizationPolicy, TrafficTarget, ...; plural and short names are taken")
    .argument("[name]", "name of the resource")
    .option("-f, --file <file...>", "files or folders; - reads standard input")
    .option("-n, --namespace <namespace>", `namespace (default: ${DEFAULT_NAMESPACE})`)
    .action(async (kind: string | undefined, name: string | undefined, flags: DeleteFlags) => {
      const config = readSettings(flags);
      const names = await namesOf(kind, name, flags);
      const missing: string[] = [];
      for (const each of names) {
        const label = printable(`${each.kind} ${each.namespace}/${each.name}`);
        const { removed, affected } = await remove(config, each);
        if (removed) output.line(`${label} deleted`);
        else missing.push(label);
        reportAffected(errors, affected);
      }
      if (missing.length === 0) return;
      throw new CliError(`there is no ${missing.join(", ")}`, {
        remedy: "hostmesh get lists what there is",
      });
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh delete authorizationpolicy deny-admin -n shop",
      "hostmesh delete -f policies.yaml",
    ],
    notes: ["What was removed can be had back: hostmesh rollback KIND/NAME."],
  });
}

async function namesOf(
  kind: string | undefined,
  name: string | undefined,
  { file, namespace }: DeleteFlags,
): Promise<ResourceName[]> {
  if (file !== undefined && kind === undefined) {
    const { own } = withoutForeign(await resourcesInFiles(file));
    return own.map((each) => nameIn(each, namespace));
  }
  if (file !== undefined || kind === undefined || name === undefined) {
    throw new CliError("give KIND and NAME, or files with -f", { exitCode: EXIT.usage });
  }
  return [{ ...resourceKind(kind), namespace: namespace ?? DEFAULT_NAMESPACE, name }];
}

function nameIn(each: ResourceInFile, namespace: string | undefined): ResourceName {
  try {
    return identify(inNamespace(each, namespace)).name;
  } catch (cause) {
    if (!(cause instanceof TranslationError)) throw cause;
    const path = cause.issues[0]?.path ?? "";
    const { line, column } = each.placeOf(path);
    throw new CliError(`${each.file}:${line}:${column}: ${cause.message}`, {
      exitCode: EXIT.usage,
      cause,
    });
  }
}

async function remove(
  config: Config,
  { group, kind, namespace, name }: ResourceName,
): Promise<RemovalAnswer> {
  const path = [group, kind, namespace, name].map(encodeURIComponent).join("/");
  const answer = await callRegistry(config, {
    method: "DELETE",
    path: `/v1/mesh/resources/${path}`,
  });
  return removalAnswer.parse(answer);
}
