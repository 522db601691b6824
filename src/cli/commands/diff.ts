import { Command } from "commander";
import { stringify } from "yaml";
import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { paint, printable, type Style } from "../../core/terminal.ts";
import { identify } from "../../dialects/translate.ts";
import { TranslationError } from "../../dialects/translator.ts";
import { withoutForeign } from "../applied-resources.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { readRegistry } from "../registry.ts";
import { inNamespace, type ResourceInFile, readFiles } from "../resource-files.ts";
import { resourceRecord } from "../resource-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { unifiedDiff } from "../unified-diff.ts";

interface DiffFlags extends SettingsFlags {
  readonly file: readonly string[];
  readonly namespace?: string;
}

const STYLES: Readonly<Record<string, Style>> = { "+": "good", "-": "bad", "@": "dim" };

/** `hostmesh diff`. */
export function diffCommand(
  output: TerminalOutput,
  errors: TerminalOutput,
  onExit: (code: number) => void,
): Command {
  const command = new Command("diff")
    .summary("compare files with what is applied")
    .description(
      "Shows what `hostmesh apply` of the same files would change, as a unified diff of what the registry holds and what the files say.",
    )
    .requiredOption("-f, --file <file...>", "files or folders; - reads standard input")
    .option("-n, --namespace <namespace>", "namespace of resources that name none")
    .action(async (flags: DiffFlags) => {
      const isDifferent = await asOwnFailure(() => diff(output, errors, flags));
      if (isDifferent) onExit(EXIT.failure);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: ["hostmesh diff -f reviews.yaml", "hostmesh diff -f mesh/ && echo up to date"],
    notes: ["Resources that are applied but are in none of the files are not shown."],
    ownExitCodes: "0 no difference, 1 a difference, 2 anything else, as kubectl diff",
  });
}

/** 1 is for a difference: whatever goes wrong ends with more. */
async function asOwnFailure(work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof CliError)) throw cause;
    const { message, remedy } = cause;
    const more = remedy === undefined ? {} : { remedy };
    throw new CliError(message, { exitCode: EXIT.usage, ...more, cause });
  }
}

async function diff(
  output: TerminalOutput,
  errors: TerminalOutput,
  flags: DiffFlags,
): Promise<boolean> {
  const config = readSettings(flags);
  const { resources, unreadable } = await readFiles(flags.file);
  const { own } = withoutForeign(resources);
  const wanted = [
    ...unreadable.map(({ message }) => ({ refusal: message })),
    ...own.map((each) => keyedContent(each, flags.namespace)),
  ];
  const applied = await appliedContents(config);
  let isDifferent = false;
  let refused = 0;
  for (const each of wanted) {
    if ("refusal" in each) {
      errors.line(printable(`error: ${each.refusal}`));
      refused++;
      continue;
    }
    const before = applied.get(each.key);
    const lines = unifiedDiff(before === undefined ? "" : textOf(before), textOf(each.content));
    if (lines.length === 0) continue;
    isDifferent = true;
    const from = before === undefined ? "/dev/null" : `applied/${each.key}`;
    for (const line of [`--- ${from}`, `+++ ${each.file}`]) {
      output.line(paint(printable(line), "strong", output.color));
    }
    for (const line of lines) {
      output.line(paint(printable(line), STYLES[line.slice(0, 1)], output.color));
    }
  }
  if (refused > 0)
    throw new CliError(`${refused} of ${wanted.length} resources are not understood`);
  return isDifferent;
}

type Wanted =
  | { readonly key: string; readonly content: unknown; readonly file: string }
  | { readonly refusal: string };

function keyedContent(each: ResourceInFile, namespace: string | undefined): Wanted {
  const content = inNamespace(each, namespace);
  try {
    return { key: identify(content).key, content, file: each.file };
  } catch (error) {
    if (!(error instanceof TranslationError)) throw error;
    const { line, column } = each.placeOf(error.issues[0]?.path ?? "");
    return { refusal: `${each.file}:${line}:${column}: ${error.message}` };
  }
}

async function appliedContents(config: Config): Promise<Map<string, unknown>> {
  const found = await readRegistry(config, "/v1/mesh/resources", z.array(resourceRecord));
  return new Map(found.map(({ key, content }) => [key, content]));
}

/** With sorted names: the order of fields is no difference. */
function textOf(content: unknown): string {
  return stringify(content, { sortMapEntries: true, lineWidth: 0, aliasDuplicateObjects: false });
}
