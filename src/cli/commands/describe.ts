import { Command } from "commander";
import { paint, printable } from "../../core/terminal.ts";
import { describeThing } from "../describe/describe-thing.ts";
import type { Description, Line } from "../describe/description.ts";
import { readMeshFacts } from "../describe/mesh-facts.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface DescribeFlags extends FormatFlag, SettingsFlags {
  readonly namespace?: string;
}

/** `hostmesh describe`. */
export function describeThingCommand(output: TerminalOutput): Command {
  const command = new Command("describe")
    .summary("show what applies to a service, workload or host, and which resource says so")
    .description(
      "Shows endpoints, routes, traffic policy, subsets, mutual TLS, who may call, identities with their certificates, quotas and live figures, each with the resource that says so in brackets, and what is wrong with these.",
    )
    .argument(
      "<service>",
      "NAME, NAME.NAMESPACE or NAMESPACE/NAME; svc/, workload/ or host/ before it says which kind is meant",
    )
    .option("-n, --namespace <namespace>", "namespace of a name that names none")
    .action(async (name: string, flags: DescribeFlags) => {
      const facts = await readMeshFacts(readSettings(flags));
      const description = describeThing(facts, name, flags.namespace);
      if (printStructured(output, flags.output, description)) return;
      print(output, description);
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh describe catalog.shop",
      "hostmesh describe svc/catalog -n shop",
      "hostmesh describe workload/catalog-1.shop",
      "hostmesh describe host/node-a -o json",
    ],
  });
}

function print(output: TerminalOutput, { kind, name, sections, warnings }: Description): void {
  const { color } = output;
  output.line(paint(printable(`${kind} ${name}`), "strong", color));
  for (const { title, lines } of sections) {
    output.line(`${paint(title, "dim", color)}:`);
    if (lines.length === 0) output.line("  none");
    for (const each of lines) output.line(`  ${textOf(each)}`);
  }
  if (warnings.length === 0) return;
  output.line(`${paint("warnings", "warn", color)}:`);
  for (const each of warnings) output.line(`  ${textOf(each)}`);
}

function textOf({ text, resource }: Line): string {
  return printable(resource === null ? text : `${text} [${resource}]`);
}
