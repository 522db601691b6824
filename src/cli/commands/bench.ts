import { Command, Option } from "commander";
import { BenchError, UsageError } from "../../../bench/lib/bench-error.ts";
import {
  type BenchFlags,
  DEFAULTS,
  LIMIT,
  MULTIPLEXED,
  readOptions,
  STREAMED_MESSAGES,
} from "../../../bench/run/options.ts";
import type { BenchOutcome } from "../../../bench/run/run-bench.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { benchCompareCommand } from "./bench-compare.ts";

/** What a shell says of a command that a signal ended. */
const SIGNAL_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type Signal = keyof typeof SIGNAL_CODES;

/** `hostmesh bench`. */
export function benchCommand(
  output: TerminalOutput,
  errors: TerminalOutput,
  onExit: (code: number) => void,
): Command {
  const command = new Command("bench")
    .summary("measure one shared proxy per host against sidecars")
    .description(
      "Measures calls without a proxy, through one shared proxy, and through a pair of sidecars, with hostmesh and every other proxy that is installed. Contestants take turns in rounds; medians count. Writes result.json, report.html and all generated configuration into a folder. Leaves no process, file or namespace behind.",
    )
    .action(async (flags: BenchFlags & FormatFlag) => {
      onExit(await run(commandLine(command), flags, output, errors));
    });
  addMatrixOptions(command);
  addRunOptions(command);
  addOutputOption(command);
  command.addCommand(benchCompareCommand(output));
  return describeCommand(command, {
    examples: [
      "hostmesh bench --quick",
      "hostmesh bench --rate max,2000,8000 --body 115,10k",
      "hostmesh bench --peers hostmesh,haproxy --modes host --repeat 9",
      "hostmesh bench --protocol grpc --connections 8 --streams 16",
      "hostmesh bench --calls --idle 50 --scale --out ./bench-result",
      "hostmesh bench compare before/result.json after/result.json",
    ],
    notes: [
      "Ctrl-C breaks off: everything is removed, and what was measured in whole rounds is reported.",
      "bench/README.md explains the method and each figure.",
    ],
    exitCodes: "1 also where a round or a contestant failed, 130 broken off by Ctrl-C",
  });
}

function addMatrixOptions(command: Command): void {
  const preset = (name: keyof typeof DEFAULTS) => `(default: ${DEFAULTS[name]})`;
  const choice = (flags: string, text: string, choices: string[]) =>
    command.addOption(new Option(flags, text).choices(choices));
  command
    .option("--modes <list>", `direct, host, sidecar ${preset("modes")}`)
    .option("--peers <list>", `hostmesh, nginx, haproxy, envoy ${preset("peers")}`);
  choice(
    "--topology <where>",
    `client and server on one host, or in two network namespaces, for which it takes root ${preset("topology")}`,
    ["same-host", "cross-host"],
  );
  choice("--protocol <protocol>", `what is spoken ${preset("protocol")}`, [
    ...["http1", "http2", "grpc", "tcp"],
  ]);
  choice("--tls <switch>", `mutual TLS between two proxies ${preset("tls")}`, [
    ...["on", "off", "both"],
  ]);
  command
    .option("--services <n>", `services, each called in turn ${preset("services")}`)
    .option("--connections <n>", `connections of the load ${preset("connections")}`)
    .option(
      "--streams <n>",
      `requests at a time on each (default: 1; http2 and grpc: ${MULTIPLEXED.streams}, on ${MULTIPLEXED.connections} connections)`,
    )
    .addOption(
      new Option(
        "--grpc-call <kind>",
        "one message each way, one and a stream of answers, or as many each way in turn (default: unary)",
      ).choices(["unary", "server", "bidi"]),
    )
    .option(
      "--messages <n>",
      `messages of the answer to a gRPC call that streams (default: ${STREAMED_MESSAGES})`,
    )
    .option(
      "--rate <list>",
      `requests per second, or max: as fast as answers come ${preset("rate")}`,
    )
    .option("--body <list>", `sizes of answers, such as 0,115,10k,1m ${preset("body")}`)
    .option("--workers <n>", `workers or threads of each proxy ${preset("workers")}`)
    .option(
      "--cores <how>",
      `own: each proxy of a path on cores of its own; shared: all on as many CPUs as one has workers ${preset("cores")}`,
    )
    .option("--vary", "no two requests with the same head")
    .option("--envoy-binary <file>", "Envoy to use where none is on PATH");
}

function addRunOptions(command: Command): void {
  command
    .option("--duration <time>", `length of one measurement (default: ${DEFAULTS.duration})`)
    .option("--repeat <n>", `rounds (default: ${DEFAULTS.repeat})`)
    .option("--quick", "short rounds, for a first look: the calls in less than a minute")
    .option("--baseline <name>", "contestant that ratios refer to (default: the fairest)")
    .option(
      "--idle <n>",
      `memory of n idle sidecars against one daemon (up to ${LIMIT.idle}), instead of calls`,
    )
    .option("--scale", "cost as services, endpoints and connections grow, instead of calls")
    .option("--calls", "calls too, where --idle or --scale is given")
    .option("--out <dir>", "folder of the result (default: ./hostmesh-bench-DATE)")
    .option("--force", "overwrite the result in that folder");
}

async function run(
  command: string,
  flags: BenchFlags & FormatFlag,
  output: TerminalOutput,
  errors: TerminalOutput,
): Promise<number> {
  const stop = new AbortController();
  let signal: Signal | null = null;
  const onSignal = (name: Signal) => {
    // Later ones change nothing: what is being ended ends in bounded time.
    signal ??= name;
    stop.abort();
  };
  const names = Object.keys(SIGNAL_CODES) as Signal[];
  for (const name of names) process.on(name, onSignal);
  try {
    const options = readOptions(flags);
    const { runBench } = await import("../../../bench/run/run-bench.ts");
    const outcome = await runBench(options, { command, progress: errors, signal: stop.signal });
    await print(outcome, flags, output);
    return codeOf(signal) ?? (outcome.isValid ? EXIT.ok : EXIT.failure);
  } catch (reason) {
    const code = codeOf(signal);
    if (code === null) throw asCliError(reason);
    errors.line("broken off before a round was complete; nothing was written");
    return code;
  } finally {
    for (const name of names) process.off(name, onSignal);
  }
}

function codeOf(signal: Signal | null): number | null {
  return signal === null ? null : SIGNAL_CODES[signal];
}

async function print(
  { result, files }: BenchOutcome,
  flags: FormatFlag,
  output: TerminalOutput,
): Promise<void> {
  if (printStructured(output, flags.output, result)) return;
  const { resultTables } = await import("../../../bench/result/table.ts");
  const options = { width: output.width(), color: output.color };
  for (const line of resultTables(result, options)) output.line(line);
  output.line("");
  output.line(`result:        ${files.result}`);
  output.line(`report:        ${files.report}`);
  output.line(`configuration: ${files.config}`);
}

function asCliError(reason: unknown): unknown {
  if (!(reason instanceof BenchError)) return reason;
  return reason instanceof UsageError
    ? new CliError(reason.message, {
        exitCode: EXIT.usage,
        remedy: "`hostmesh bench --help` lists options and examples",
        cause: reason,
      })
    : new CliError(reason.message, { cause: reason });
}

/** The command line as it would have to be typed again. */
function commandLine(command: Command): string {
  const words = command.options.flatMap((option) => {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== "cli" || name === "output") return [];
    const value: unknown = command.getOptionValue(name);
    return value === true ? [option.long ?? ""] : [option.long ?? "", quoted(String(value))];
  });
  return ["hostmesh bench", ...words].join(" ");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
