import { Command, Option } from "commander";
import type { Config } from "../../config/schema.ts";
import { wallClock } from "../../core/clock.ts";
import { paint, printable, type Style } from "../../core/terminal.ts";
import { analyze, type GivenResource, reaches, unreadable } from "../analyze/analyze.ts";
import { type Finding, LEVELS, type Level } from "../analyze/codes.ts";
import { analysisSettings, readHoldings, registryFindings } from "../analyze/registry-side.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import { filesOf, inNamespace, resourcesInFile } from "../resource-files.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface AnalyzeFlags extends FormatFlag, SettingsFlags {
  readonly file?: readonly string[];
  readonly namespace?: string;
  readonly offline?: boolean;
  readonly suppress?: readonly string[];
  readonly failureThreshold: Level;
}

const STYLES: Readonly<Record<Level, Style>> = { error: "bad", warning: "warn", info: "dim" };

/** `hostmesh analyze`. */
export function analyzeCommand(output: TerminalOutput, onExit: (code: number) => void): Command {
  const command = new Command("analyze")
    .summary("find mistakes in resources before they are applied")
    .description(
      "Says what is wrong with resources, alone and together with what the registry holds: refused fields, references that lead nowhere, rules that no request reaches. Without -f, what is applied is judged. docs/analyze.md lists all codes.",
    )
    .option("-f, --file <file...>", "files or folders; - reads standard input")
    .option("-n, --namespace <namespace>", "namespace of resources that name none")
    .option("--offline", "look at the files alone and ask no registry")
    .option("-S, --suppress <code...>", "leave these codes out, such as HM0401")
    .addOption(
      new Option("--failure-threshold <level>", "least level that ends it with 79")
        .choices([...LEVELS])
        .default("error"),
    )
    .action(async (flags: AnalyzeFlags) => {
      await run(output, onExit, flags);
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh analyze -f reviews.yaml",
      "hostmesh analyze -f mesh/ --offline --failure-threshold warning",
      "hostmesh analyze -o json",
    ],
    exitCodes: "65 a file is no YAML, 79 something was found (as istioctl analyze)",
  });
}

async function run(
  output: TerminalOutput,
  onExit: (code: number) => void,
  flags: AnalyzeFlags,
): Promise<void> {
  if (flags.file === undefined && flags.offline === true) {
    throw new CliError("--offline needs files: give some with -f", { exitCode: EXIT.usage });
  }
  const config = readSettings(flags);
  const { given, findings: bad } = await read(flags.file ?? [], flags.namespace);
  const all = [...bad, ...(await findingsOf(config, given, flags))];
  const suppressed = new Set(flags.suppress);
  const findings = all.filter(({ code }) => !suppressed.has(code));
  if (!printStructured(output, flags.output, findings)) print(output, findings, given.length);
  if (findings.some(({ code }) => code === "HM0001")) return onExit(EXIT.unreadable);
  const { failureThreshold } = flags;
  if (findings.some(({ level }) => reaches(level, failureThreshold))) onExit(EXIT.findings);
}

async function findingsOf(
  config: Config,
  given: readonly GivenResource[],
  { file, offline }: AnalyzeFlags,
): Promise<Finding[]> {
  const settings = analysisSettings(config);
  const holdings = offline === true ? null : await readHoldings(config);
  const nowMs = wallClock.now();
  const judgesHoldings = file === undefined;
  const findings = analyze({ given, holdings, judgesHoldings, settings, nowMs });
  if (holdings === null || given.length === 0) return findings;
  return [...findings, ...(await registryFindings(config, given, findings))];
}

/** A document that is no YAML is told and does not keep the others from being judged. */
async function read(
  names: readonly string[],
  namespace: string | undefined,
): Promise<{ readonly given: readonly GivenResource[]; readonly findings: readonly Finding[] }> {
  const given: GivenResource[] = [];
  const findings: Finding[] = [];
  for (const file of (await Promise.all(names.map(filesOf))).flat()) {
    const { resources, unreadable: bad } = await resourcesInFile(file);
    for (const each of resources) {
      given.push({ ...each, content: inNamespace(each, namespace) });
    }
    for (const { place, reason } of bad) findings.push(unreadable(file, place, reason));
  }
  return { given, findings };
}

function print(output: TerminalOutput, findings: readonly Finding[], given: number): void {
  for (const { code, level, file, line, column, resource, path, message, remedy } of findings) {
    const place = file === null ? resource : `${file}:${line}:${column}`;
    const about = file === null ? [path] : [resource, path];
    const field = about.filter((part) => part !== "").join(" ");
    const head = paint(`${level} ${code}`, STYLES[level], output.color);
    const text = field === "" ? message : `${field}: ${message}`;
    output.line(`${head} ${printable(`${place}: ${text}`)}`);
    if (level !== "info") output.line(`  ${paint("to do:", "dim", output.color)} ${remedy}`);
  }
  const counts = LEVELS.toReversed()
    .map((level) => [level, findings.filter((each) => each.level === level).length] as const)
    .filter(([, count]) => count > 0)
    .map(([level, count]) => `${count} ${level}${count === 1 || level === "info" ? "" : "s"}`);
  const looked = given === 0 ? "what is applied" : `${given} resource${given === 1 ? "" : "s"}`;
  output.line(counts.length === 0 ? `Nothing to say of ${looked}.` : `${counts.join(", ")}`);
}
