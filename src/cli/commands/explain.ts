import { Command } from "commander";
import type { Config } from "../../config/schema.ts";
import { parseHostPort } from "../../core/address.ts";
import type { ExplainRequest, Explanation } from "../../core/explanation.ts";
import { paint, printable } from "../../core/terminal.ts";
import { type AdminFlag, addAdminOption, adminUrl, DAEMON_REMEDY } from "../admin.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { parseExplanation } from "../explain-records.ts";
import { httpJson } from "../http-json.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printStructured } from "../print-data.ts";
import { callRegistry, readRegistry } from "../registry.ts";
import { endpointList, workloadList } from "../service-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface ExplainFlags extends SettingsFlags, AdminFlag, FormatFlag {
  readonly from?: string;
  readonly header?: readonly string[];
}

/** `hostmesh explain`. */
export function explainCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("explain")
    .summary("say what would become of one request, and why")
    .description(
      "Runs one imagined request through routing and policy of the caller's host, with the code of its data path and without sending anything, and shows each decision and the resource that it comes from. Where the endpoint is on another host, that one is asked whether the caller may.",
    )
    .argument("<method>", "method of HTTP; may be left out")
    .argument(
      "[url]",
      "http://HOST[:PORT]/PATH, or tcp://HOST:PORT for what is no HTTP; a host name is looked up as the caller's would be",
    )
    .option(
      "--from <workload>",
      "caller: NAMESPACE/NAME of a workload or of a service, or an address (default: a stranger)",
    )
    .option("-H, --header <line>", "a header, NAME: VALUE; may be repeated", collect)
    .option("--host <host>", "ask the daemon of this host (default: the caller's)")
    .action(async (method: string, url: string | undefined, flags: ExplainFlags) => {
      // Here --host says whom to ask, not what this host is called.
      const { host: _, ...others } = flags;
      const config = readSettings(others);
      const asked =
        url === undefined ? requestOf("GET", method, flags) : requestOf(method, url, flags);
      const found = await explainAll(config, flags, asked, errors);
      if (printStructured(output, flags.output, found)) return;
      for (const one of found) print(output, one);
    });
  addSettingsOptions(addAdminOption(addOutputOption(command)), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh explain --from shop/web GET http://catalog/api?x=1",
      "hostmesh explain --from shop/web -H 'x-user: ann' http://catalog:8080/api",
      "hostmesh explain --from 10.0.0.7 tcp://db:5432",
      "hostmesh explain --from shop/web http://catalog/ -o json | jq '.[-1].outcome'",
    ],
    notes: [
      "The answer has one part for each host that decides: the caller's, then the endpoint's.",
    ],
  });
}

function collect(line: string, before: readonly string[] = []): string[] {
  return [...before, line];
}

function requestOf(
  method: string,
  url: string,
  { from = "", header = [] }: ExplainFlags,
): ExplainRequest {
  const [, scheme = "http", authority = "", rest = ""] =
    /^(?:(\w+):\/\/)?([^/?#]+)([^#]*)/.exec(url) ?? [];
  if (
    parseHostPort(authority, 80) === null ||
    !["http", "https", "tcp"].includes(scheme.toLowerCase())
  ) {
    throw new CliError(`${url}: expected http://HOST/PATH or tcp://HOST:PORT`, {
      exitCode: EXIT.usage,
    });
  }
  const path = rest.startsWith("/") ? rest : `/${rest}`;
  const headers = header.map((line) => {
    const [, name = "", value = ""] = /^([^:\s]+):\s*(.*?)\s*$/.exec(line) ?? [];
    if (name !== "") return [name, value] as const;
    throw new CliError(`--header ${line}: expected NAME: VALUE`, { exitCode: EXIT.usage });
  });
  const destination = `${scheme.toLowerCase()}://${authority}`;
  return { source: from, destination, method: method.toUpperCase(), path, headers };
}

/** The caller's host, and then the endpoint's where that is another one. */
async function explainAll(
  config: Config,
  flags: ExplainFlags,
  asked: ExplainRequest,
  errors: TerminalOutput,
): Promise<Explanation[]> {
  const ask = await asker(config, flags, errors);
  const first = parseExplanation(await ask.explain(asked, flags.host));
  const { next } = first.outcome;
  if (next === null) return [first];
  if (!ask.reachesAll) {
    errors.line(`${next.host} judges whether the caller may; only a registry can ask it`);
    return [first];
  }
  return [first, parseExplanation(await ask.explain(next.request, next.host))];
}

interface Asker {
  readonly reachesAll: boolean;
  explain(request: ExplainRequest, host?: string): Promise<unknown>;
}

/** The registry, which reaches all hosts, or this host's daemon where --admin names it or no registry can be reached. */
async function asker(config: Config, flags: ExplainFlags, errors: TerminalOutput): Promise<Asker> {
  const here: Asker = {
    reachesAll: false,
    explain: (request) => askDaemon(config, flags, request),
  };
  if (flags.admin !== undefined) return here;
  try {
    await callRegistry(config, { method: "GET", path: "/v1/mesh/status" });
  } catch (reason) {
    if (!(reason instanceof CliError) || reason.remedy === undefined) throw reason;
    errors.line(`${reason.message}; asking the daemon of this host`);
    return here;
  }
  return {
    reachesAll: true,
    explain: (request, host) => askRegistry(config, request, host),
  };
}

/** The registry knows the host of a workload; that of one which serves a service of this name is looked up before. */
async function askRegistry(
  config: Config,
  request: ExplainRequest,
  wanted: string | undefined,
): Promise<unknown> {
  const host = wanted ?? (await hostServing(config, request.source));
  return callRegistry(config, {
    method: "POST",
    path: "/v1/mesh/sight/explain",
    body: { ...(host === undefined ? {} : { host }), request },
  });
}

/** Undefined: it is the name of a workload, an address or nobody, or nothing serves it. */
async function hostServing(config: Config, source: string): Promise<string | undefined> {
  const [namespace = "", name = "", ...rest] = source.split("/");
  if (name === "" || rest.length > 0) return undefined;
  const where = (field: string) => `?${new URLSearchParams({ namespace, [field]: name })}`;
  const workloads = await readRegistry(config, `/v1/mesh/workloads${where("name")}`, workloadList);
  if (workloads.length > 0) return undefined;
  const endpoints = await readRegistry(
    config,
    `/v1/mesh/endpoints${where("service")}`,
    endpointList,
  );
  return endpoints.find(({ host }) => host !== "")?.host;
}

function askDaemon(config: Config, flags: AdminFlag, request: ExplainRequest): Promise<unknown> {
  return httpJson({
    method: "POST",
    url: `${adminUrl(flags, config)}/sight/explain`,
    body: request,
    peer: "the daemon",
    remedy: DAEMON_REMEDY,
  });
}

function print(output: TerminalOutput, { host, revision, steps, outcome }: Explanation): void {
  const { color } = output;
  output.line(paint(printable(`on ${host}, revision ${revision}`), "strong", color));
  for (const { stage, decision, because, resource, details } of steps) {
    output.line(`  ${paint(stage.padEnd(13), "dim", color)}  ${printable(decision)}`);
    const by = resource === null ? "" : ` [${resource}]`;
    output.line(`  ${" ".repeat(13)}    ${printable(because + by)}`);
    for (const line of details) output.line(`  ${" ".repeat(13)}      - ${printable(line)}`);
  }
  const { kind, status, error, text } = outcome;
  const style = kind === "refused" ? "bad" : "good";
  const code = [status, error].filter((each) => each !== null).join(" ");
  const result = `${kind}${code === "" ? "" : ` ${code}`}: ${text}`;
  output.line(
    `  ${paint("=>".padEnd(13), "dim", color)}  ${paint(printable(result), style, color)}`,
  );
  output.line("");
}
