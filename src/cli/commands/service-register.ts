import { Command, Option } from "commander";
import { BALANCER_POLICIES, DEFAULT_NAMESPACE } from "../../core/model.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { collectPair, parseNumber } from "../parse-number.ts";
import { registrationFile } from "../registration-file.ts";
import { callRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface RegisterFlags extends SettingsFlags {
  readonly port?: number;
  readonly address?: string;
  readonly id?: string;
  readonly tag?: readonly string[];
  readonly meta?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  readonly protocol?: string;
  readonly balancer?: string;
  readonly weight?: number;
  readonly mtls?: string;
  readonly checkHttp?: string;
  readonly checkTcp?: string;
  readonly checkTtl?: string;
  readonly interval?: string;
  readonly file?: string;
}

/** `hostmesh service register`. */
export function serviceRegisterCommand(output: TerminalOutput): Command {
  const command = new Command("register")
    .summary("register a place where a service is served")
    .description(
      "Registers one endpoint of a service; the first endpoint brings the service into being. The same id on the same host replaces what was registered before.",
    )
    .argument("[name]", "name of the service; not with --file")
    .option("-p, --port <port>", "port that it listens on", parseNumber(1, 65_535))
    .option(
      "--address <address>",
      "address that it listens on (default: the registry's own host, 127.0.0.1 for a local one)",
    )
    .option("--id <id>", "id on its host (default: the name)")
    .option("--host <name>", "host that it runs on (default: the registry's own host)")
    .option("--tag <tag...>", "tags")
    .option("--meta <key=value>", "metadata; may be repeated", collectPair)
    .option("--namespace <namespace>", `namespace (default: ${DEFAULT_NAMESPACE})`)
    .addOption(
      new Option("--protocol <protocol>", "what it speaks (default: found out)").choices([
        "http",
        "http2",
        "grpc",
        "tls",
        "tcp",
      ]),
    )
    .addOption(
      new Option("--balancer <policy>", "load balancing of the service").choices([
        ...BALANCER_POLICIES,
      ]),
    )
    .addOption(
      new Option("--mtls <demand>", "whether callers on other hosts must use mutual TLS").choices([
        "required",
      ]),
    )
    .option("--weight <weight>", "relative share of requests", parseNumber(0, 65_535))
    .addOption(
      new Option("--check-http <url>", "health check: GET this URL").conflicts([
        "checkTcp",
        "checkTtl",
      ]),
    )
    .addOption(
      new Option("--check-tcp <host:port>", "health check: connect here").conflicts("checkTtl"),
    )
    .option("--check-ttl <duration>", "health check: it reports by itself at least this often")
    .option("--interval <duration>", "time between checks (default: 10s)")
    .option("-f, --file <file>", "register what this file holds; - reads standard input")
    .action(async (name: string | undefined, flags: RegisterFlags) => {
      await register(output, name, flags);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh service register catalog --port 8080",
      "hostmesh service register catalog --id catalog-2 --address 10.0.0.7 --port 8080 --host node-2",
      "hostmesh service register catalog --port 8080 --check-http http://127.0.0.1:8080/health --interval 5s",
      "hostmesh service register db --port 5432 --protocol tcp --balancer least-request",
      "hostmesh service register -f services.yaml",
    ],
  });
}

async function register(
  output: TerminalOutput,
  name: string | undefined,
  flags: RegisterFlags,
): Promise<void> {
  const config = readSettings(withoutHost(flags));
  if (flags.file !== undefined) {
    if (name !== undefined) throw usage("give a name or --file, not both");
    const calls = await registrationFile(flags.file, config.host);
    for (const call of calls) await callRegistry(config, call);
    output.line(`registered what ${flags.file} holds`);
    return;
  }
  if (name === undefined) throw usage("name the service, or a file with --file");
  if (flags.port === undefined) throw usage("name the port with --port");
  const node = flags.host === undefined ? "" : `?node=${encodeURIComponent(flags.host)}`;
  await callRegistry(config, {
    method: "PUT",
    path: `/v1/agent/service/register${node}`,
    body: registration(name, flags),
  });
  output.line(`registered ${flags.id ?? name} of service ${name}`);
}

/** The body of Consul's call; what Consul has no field for travels in Meta. */
function registration(name: string, flags: RegisterFlags): Record<string, unknown> {
  const meta = {
    ...flags.meta,
    ...(flags.namespace === undefined ? {} : { "hostmesh-namespace": flags.namespace }),
    ...(flags.protocol === undefined ? {} : { "hostmesh-protocol": flags.protocol }),
    ...(flags.balancer === undefined ? {} : { "hostmesh-balancer": flags.balancer }),
    ...(flags.mtls === undefined ? {} : { "hostmesh-mtls": flags.mtls }),
  };
  return {
    Name: name,
    Port: flags.port,
    ...(flags.address === undefined ? {} : { Address: flags.address }),
    ...(flags.id === undefined ? {} : { ID: flags.id }),
    ...(flags.tag === undefined ? {} : { Tags: flags.tag }),
    ...(Object.keys(meta).length === 0 ? {} : { Meta: meta }),
    ...(flags.weight === undefined
      ? {}
      : { Weights: { Passing: flags.weight, Warning: flags.weight } }),
    ...checkOf(flags),
  };
}

function checkOf(flags: RegisterFlags): { Check?: Record<string, unknown> } {
  const { checkHttp, checkTcp, checkTtl, interval } = flags;
  if (checkTtl !== undefined) return { Check: { TTL: checkTtl } };
  const Interval = interval ?? "10s";
  if (checkHttp !== undefined) return { Check: { HTTP: checkHttp, Interval } };
  if (checkTcp !== undefined) return { Check: { TCP: checkTcp, Interval } };
  if (interval !== undefined) throw usage("--interval needs --check-http or --check-tcp");
  return {};
}

/** Here `--host` is the endpoint's host, not this daemon's. */
function withoutHost(flags: RegisterFlags): SettingsFlags {
  const { host: _, ...rest } = flags;
  return rest;
}

function usage(message: string): CliError {
  return new CliError(message, {
    exitCode: EXIT.usage,
    remedy: "hostmesh service register --help shows examples",
  });
}
