import { Command } from "commander";
import type { Config } from "../../config/schema.ts";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { collectPair } from "../parse-number.ts";
import { printData } from "../print-data.ts";
import { callRegistry, readRegistry } from "../registry.ts";
import { workloadList } from "../service-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface RegisterFlags extends SettingsFlags {
  readonly address: readonly string[];
  readonly namespace: string;
  readonly serviceAccount?: string;
  readonly label?: Readonly<Record<string, string>>;
}

/** `hostmesh workload`. */
export function workloadCommand(output: TerminalOutput): Command {
  const command = new Command("workload").summary("register, deregister and list workloads");
  command.addCommand(registerCommand(output));
  command.addCommand(deregisterCommand(output));
  command.addCommand(listCommand(output));
  return describeCommand(command, {
    examples: ["hostmesh workload register web --address 10.0.0.5", "hostmesh workload list"],
    notes: ["A workload is a container: the addresses that the daemon of its host captures."],
  });
}

function registerCommand(output: TerminalOutput): Command {
  const command = new Command("register")
    .summary("tell the mesh of a container")
    .description(
      "Registers a container by its addresses. The daemon of its host captures what comes from them, counts it under the container's name and applies its quotas.",
    )
    .argument("<name>", "name of the workload")
    .requiredOption("--address <address...>", "addresses, IPv4 or IPv6")
    .option("--host <name>", "host that it runs on (default: this host)")
    .option("--namespace <namespace>", "namespace", DEFAULT_NAMESPACE)
    .option("--service-account <name>", "service account (default: default)")
    .option("--label <key=value>", "what policies select it by; may be repeated", collectPair)
    .action(async (name: string, flags: RegisterFlags) => {
      const config = readSettings(flags);
      await callRegistry(config, {
        method: "PUT",
        path: pathOf(flags.namespace, name),
        body: {
          addresses: flags.address,
          host: config.host,
          ...(flags.serviceAccount === undefined ? {} : { serviceAccount: flags.serviceAccount }),
          ...(flags.label === undefined ? {} : { labels: flags.label }),
        },
      });
      output.line(`registered workload ${flags.namespace}/${name} on ${config.host}`);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh workload register web --address 10.0.0.5 fd00::5",
      "hostmesh workload register web --address 10.0.0.5 --host node-2 --service-account web",
      "hostmesh workload register web --address 10.0.0.5 --label app=web --label tier=front",
    ],
  });
}

function deregisterCommand(output: TerminalOutput): Command {
  const command = new Command("deregister")
    .summary("forget a container")
    .description("Removes a workload; its connections are no longer captured.")
    .argument("<name>", "name of the workload")
    .option("--namespace <namespace>", "namespace", DEFAULT_NAMESPACE)
    .option("--host <name>", "only if it runs on that host")
    .action(async (name: string, flags: SettingsFlags & { namespace: string }) => {
      const config = readSettings(flags);
      if (flags.host !== undefined) await mustRunOn(flags.host, name, flags.namespace, config);
      const answer = await callRegistry(config, {
        method: "DELETE",
        path: pathOf(flags.namespace, name),
      });
      const removed =
        typeof answer === "object" && answer !== null && "removed" in answer && answer.removed;
      if (removed !== true) {
        throw new CliError(`no workload ${flags.namespace}/${name} is registered`, {
          remedy: "hostmesh workload list shows what is registered",
        });
      }
      output.line(`deregistered workload ${flags.namespace}/${name}`);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh workload deregister web",
      "hostmesh workload deregister web --host node-2",
    ],
  });
}

/** One that has moved on to another host must not be forgotten because it has left this one. */
async function mustRunOn(host: string, name: string, namespace: string, config: Config) {
  const all = await readRegistry(config, "/v1/mesh/workloads", workloadList);
  const found = all.find((one) => one.name === name && one.namespace === namespace);
  if (found === undefined || found.host === host) return;
  throw new CliError(`workload ${namespace}/${name} runs on ${found.host}, not on ${host}`, {
    remedy: "name that host, or leave --host out",
  });
}

function listCommand(output: TerminalOutput): Command {
  const command = new Command("list")
    .summary("list workloads")
    .description("Lists the registered workloads.")
    .option("--host <name>", "only workloads of this host")
    .action(async (flags: FormatFlag & SettingsFlags) => {
      const query = flags.host === undefined ? "" : `?host=${encodeURIComponent(flags.host)}`;
      const data = await readRegistry(
        readSettings(flags),
        `/v1/mesh/workloads${query}`,
        workloadList,
      );
      printData(output, flags.output, data, () => ({
        columns: [
          { title: "WORKLOAD", minWidth: 12 },
          { title: "NAMESPACE", minWidth: 9 },
          { title: "HOST", minWidth: 8 },
          { title: "SERVICE ACCOUNT", minWidth: 15 },
          { title: "ADDRESSES", minWidth: 12 },
          { title: "LABELS", minWidth: 6 },
        ],
        rows: data.map(({ name, namespace, host, serviceAccount, addresses, labels }) => [
          name,
          namespace,
          host,
          serviceAccount,
          addresses.join(" "),
          Object.entries(labels ?? {})
            .map((pair) => pair.join("="))
            .join(" "),
        ]),
        empty: "No workload is registered. Try: hostmesh workload register NAME --address ADDRESS",
      }));
    });
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: ["hostmesh workload list", "hostmesh workload list --host node-2 -o yaml"],
  });
}

function pathOf(namespace: string, name: string): string {
  return `/v1/mesh/workloads/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}
