import { Command } from "commander";
import * as z from "zod";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import { readRegistry } from "../registry.ts";
import { resourceKind } from "../resource-kinds.ts";
import { resourceRecord } from "../resource-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface GetFlags extends FormatFlag, SettingsFlags {
  readonly namespace?: string;
}

/** `hostmesh get`. */
export function getCommand(output: TerminalOutput): Command {
  const command = new Command("get")
    .summary("list applied resources")
    .description(
      "Lists the resources that were applied, with the number of records that they became and what the registry warns of.",
    )
    .argument("[kind]", "AuthorizationPolicy, TrafficTarget, ...; plural and short names are taken")
    .argument("[name]", "name of one resource")
    .option("-n, --namespace <namespace>", "only of this namespace (default: all)")
    .action(async (kind: string | undefined, name: string | undefined, flags: GetFlags) => {
      await get(output, kind, name, flags);
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh get",
      "hostmesh get authorizationpolicies -n shop",
      "hostmesh get ap deny-admin -o yaml",
    ],
  });
}

async function get(
  output: TerminalOutput,
  kind: string | undefined,
  name: string | undefined,
  flags: GetFlags,
): Promise<void> {
  const query = new URLSearchParams({
    ...(kind === undefined ? {} : resourceKind(kind)),
    ...(name === undefined ? {} : { name }),
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
  });
  const config = readSettings(flags);
  const path = `/v1/mesh/resources?${query}`;
  const found = await readRegistry(config, path, z.array(resourceRecord));
  if (name !== undefined && found.length === 0) {
    throw new CliError(`there is no ${kind} ${name}`, {
      remedy: "hostmesh get lists what there is",
    });
  }
  found.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  printData(output, flags.output, found, () => ({
    columns: [
      { title: "KIND", minWidth: 12 },
      { title: "NAMESPACE", minWidth: 9 },
      { title: "NAME", minWidth: 12 },
      { title: "RECORDS", minWidth: 7 },
      { title: "WARNINGS", minWidth: 8 },
      { title: "GENERATION", minWidth: 10 },
      { title: "CREATED", minWidth: 20 },
    ],
    rows: found.map((each) => [
      each.kind,
      each.namespace,
      each.name,
      String(each.records.length),
      String(each.warnings.length),
      String(each.generation),
      `${new Date(each.createdMs).toISOString().slice(0, 19)}Z`,
    ]),
    empty: "No resource is applied. Try: hostmesh apply -f FILE",
  }));
}

function keyOf({ kind, namespace, name }: z.infer<typeof resourceRecord>): string {
  return `${kind} ${namespace} ${name}`;
}
