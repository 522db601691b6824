import { Command } from "commander";
import type { Config } from "../../config/schema.ts";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import type { ResourceName } from "../../dialects/translator.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData } from "../print-data.ts";
import { readRegistry } from "../registry.ts";
import { historyList, resourceHistory } from "../resource-records.ts";
import { resourcePath, resourceTarget } from "../resource-target.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface HistoryFlags extends FormatFlag, SettingsFlags {
  readonly namespace?: string;
  readonly all?: boolean;
}

interface Revision {
  readonly generation: number;
  readonly atMs: number | null;
  readonly by: string;
  readonly cause: string;
}

/** `hostmesh history`. */
export function historyCommand(output: TerminalOutput): Command {
  const command = new Command("history")
    .summary("list what applied resources were before")
    .description(
      "Lists the revisions that the registry keeps of a resource, newest first; without one, those of all, removed ones included. With -o yaml or json of one resource also their contents.",
    )
    .argument("[resource]", "KIND/NAME, or KIND")
    .argument("[name]", "NAME, behind a KIND alone")
    .option("-n, --namespace <namespace>", `namespace (default: ${DEFAULT_NAMESPACE}; of all: any)`)
    .option("--all", "the revisions of all resources (the default without one)")
    .action(async (target: string | undefined, name: string | undefined, flags: HistoryFlags) => {
      const config = readSettings(flags);
      if (target === undefined) return listAll(output, config, flags);
      if (flags.all === true) {
        throw new CliError("give KIND/NAME or --all, not both", { exitCode: EXIT.usage });
      }
      return listOne(output, config, resourceTarget(target, name, flags.namespace), flags);
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh history virtualservice/reviews -n shop",
      "hostmesh history vs/reviews -o yaml",
      "hostmesh history --all",
    ],
    notes: ["The setting registry.historyPerResource says how many are kept of each."],
  });
}

async function listOne(
  output: TerminalOutput,
  config: Config,
  resource: ResourceName,
  flags: HistoryFlags,
): Promise<void> {
  const path = `${resourcePath(resource)}/history`;
  const { revisions } = await readRegistry(config, path, resourceHistory);
  printData(output, flags.output, revisions, () => ({
    columns: REVISION_COLUMNS,
    rows: revisions.map(cellsOf),
    empty: "No revision is kept.",
  }));
}

async function listAll(output: TerminalOutput, config: Config, flags: HistoryFlags): Promise<void> {
  const { namespace } = flags;
  const query = namespace === undefined ? "" : `?${new URLSearchParams({ namespace })}`;
  const found = await readRegistry(config, `/v1/mesh/history${query}`, historyList);
  const all = found
    .flatMap(({ revisions, ...name }) => revisions.map((each) => ({ ...name, ...each })))
    .sort((a, b) => (b.atMs ?? 0) - (a.atMs ?? 0) || b.generation - a.generation);
  printData(output, flags.output, all, () => ({
    columns: [
      { title: "KIND", minWidth: 12 },
      { title: "NAMESPACE", minWidth: 9 },
      { title: "NAME", minWidth: 12 },
      ...REVISION_COLUMNS,
    ],
    rows: all.map((each) => [each.kind, each.namespace, each.name, ...cellsOf(each)]),
    empty: "Nothing has been applied yet. Try: hostmesh apply -f FILE",
  }));
}

const REVISION_COLUMNS = [
  { title: "GENERATION", minWidth: 10 },
  { title: "CHANGE", minWidth: 11 },
  { title: "WHEN", minWidth: 20 },
  { title: "BY", minWidth: 12 },
];

function cellsOf({ generation, atMs, by, cause }: Revision): string[] {
  const when = atMs === null ? "-" : `${new Date(atMs).toISOString().slice(0, 19)}Z`;
  return [String(generation), cause, when, by === "" ? "-" : by];
}
