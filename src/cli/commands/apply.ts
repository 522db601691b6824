import { Command } from "commander";
import { printable } from "../../core/terminal.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import { callRegistry } from "../registry.ts";
import { inNamespace, type ResourceInFile, resourcesInFiles } from "../resource-files.ts";
import { type ResourceOutcome, resourceOutcomes } from "../resource-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** Resources in one request. */
const BATCH = 250;

interface ApplyFlags extends FormatFlag, SettingsFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
  readonly dryRun?: boolean;
}

/** One resource of a file and what became of it. */
interface Applied extends ResourceOutcome {
  readonly file: string;
  readonly line: number;
}

/** `hostmesh apply`. */
export function applyCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("apply")
    .summary("apply resources of Istio, SMI or Consul")
    .description(
      "Creates or replaces resources: policies as Istio, SMI and Consul write them. Each is taken or refused by itself. docs/dialects lists every field.",
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
      "hostmesh apply -f policies.yaml",
      "hostmesh apply -f policies/ --dry-run",
      "kubectl get authorizationpolicies -A -o yaml | hostmesh apply -f -",
    ],
  });
}

async function apply(
  output: TerminalOutput,
  errors: TerminalOutput,
  flags: ApplyFlags,
): Promise<void> {
  const config = readSettings(flags);
  const resources = await resourcesInFiles(flags.file);
  const bodies = resources.map((each) => inNamespace(each, flags.namespace));
  const path = flags.dryRun ? "/v1/mesh/resources/validate" : "/v1/mesh/resources";
  const applied: Applied[] = [];
  for (let start = 0; start < bodies.length; start += BATCH) {
    const body = bodies.slice(start, start + BATCH);
    const answer = await callRegistry(config, { method: "POST", path, body, alsoOk: [400] });
    applied.push(...outcomesOf(answer, resources.slice(start, start + BATCH)));
  }
  if (!printStructured(output, flags.output, applied)) {
    for (const each of applied) report(output, errors, each, flags.dryRun === true);
  }
  const refused = applied.filter(({ result }) => result === "refused");
  if (refused.length === 0) return;
  throw new CliError(`${refused.length} of ${applied.length} resources are refused`, {
    exitCode: EXIT.failure,
  });
}

function outcomesOf(answer: unknown, resources: readonly ResourceInFile[]): Applied[] {
  const parsed = resourceOutcomes.safeParse(answer);
  if (!parsed.success || parsed.data.results.length !== resources.length) {
    const said =
      typeof answer === "object" && answer !== null && "error" in answer
        ? String(answer.error)
        : "an answer that is not understood";
    throw new CliError(`the registry refused the request: ${said}`);
  }
  return parsed.data.results.flatMap((outcome, index) => {
    const from = resources[index];
    if (from === undefined) return [];
    const lined = <T extends { readonly path: string }>(found: readonly T[]) =>
      found.map((each) => ({ ...each, line: from.lineOf(each.path) }));
    const { file, line } = from;
    const [failures, warnings] = [lined(outcome.errors), lined(outcome.warnings)];
    return [{ file, line, ...outcome, errors: failures, warnings }];
  });
}

function report(
  output: TerminalOutput,
  errors: TerminalOutput,
  applied: Applied,
  isDryRun: boolean,
): void {
  const { file, line, kind = "", namespace = "", name = "", result } = applied;
  const at = (found: { path: string }, text: string) => {
    const place = "line" in found ? found.line : line;
    const field = found.path === "" ? "" : `${found.path}: `;
    return `${file}:${place}: ${field}${text}`;
  };
  for (const failure of applied.errors)
    errors.line(printable(`error: ${at(failure, failure.reason)}`));
  for (const warning of applied.warnings)
    errors.line(printable(`warning: ${at(warning, warning.message)}`));
  if (result === "refused") return;
  output.line(printable(`${kind} ${namespace}/${name} ${result}${isDryRun ? " (dry run)" : ""}`));
}
