import { Command } from "commander";
import type { Config } from "../../config/schema.ts";
import { formatHostPort } from "../../core/address.ts";
import type { Health } from "../../core/model.ts";
import type { Style } from "../../core/terminal.ts";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData, type TableData } from "../print-data.ts";
import { readRegistry } from "../registry.ts";
import { endpointList, serviceList, splitServiceName } from "../service-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

const HEALTH_STYLE: Readonly<Record<Health, Style>> = {
  passing: "good",
  warning: "warn",
  critical: "bad",
};

/** `hostmesh service list`. */
export function serviceListCommand(output: TerminalOutput): Command {
  const command = new Command("list")
    .summary("list services, or the endpoints of one")
    .description("Lists the registered services; with a name, the endpoints of that service.")
    .argument("[service]", "NAME or NAME.NAMESPACE")
    .option("--namespace <namespace>", "only services of this namespace")
    .action(
      async (
        service: string | undefined,
        flags: FormatFlag & SettingsFlags & { namespace?: string },
      ) => {
        const config = readSettings(flags);
        const query = new URLSearchParams(
          flags.namespace === undefined ? {} : { namespace: flags.namespace },
        );
        if (service === undefined) {
          const data = await readRegistry(config, `/v1/mesh/services?${query}`, serviceList);
          return printData(output, flags.output, data, () => servicesTable(data));
        }
        const data = await endpointsOf(config, service, query);
        if (data.length === 0) {
          throw new CliError(`no endpoint of service ${service} is registered`, {
            remedy: "hostmesh service list shows what is registered",
          });
        }
        printData(output, flags.output, data, () => endpointsTable(data));
      },
    );
  addSettingsOptions(addOutputOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh service list",
      "hostmesh service list catalog",
      "hostmesh service list -o json | jq '.[].name'",
    ],
  });
}

/** Of a service of just this name, such as a host that a ServiceEntry brought; else of NAME.NAMESPACE. */
async function endpointsOf(
  config: Config,
  service: string,
  query: URLSearchParams,
): Promise<(typeof endpointList)["_output"]> {
  const found = (name: string) => {
    query.set("service", name);
    return readRegistry(config, `/v1/mesh/endpoints?${query}`, endpointList);
  };
  const named = await found(service);
  if (named.length > 0) return named;
  for (const { name, namespace } of splitServiceName(service)) {
    query.set("namespace", namespace);
    const data = await found(name);
    if (data.length > 0) return data;
  }
  return [];
}

function servicesTable(services: (typeof serviceList)["_output"]): TableData {
  return {
    columns: [
      { title: "SERVICE", minWidth: 12 },
      { title: "NAMESPACE", minWidth: 9 },
      { title: "HEALTHY", align: "right" },
      { title: "PROTOCOL" },
      { title: "BALANCER" },
      { title: "ADDRESSES", minWidth: 12 },
    ],
    rows: services.map(({ name, namespace, endpoints, protocol, balancer, addresses }) => {
      const all = endpoints.passing + endpoints.warning + endpoints.critical;
      const healthy = all - endpoints.critical;
      const style: Style = healthy === 0 ? "bad" : healthy < all ? "warn" : "good";
      return [
        name,
        namespace,
        { text: `${healthy}/${all}`, style },
        protocol ?? "detected",
        balancer.policy,
        addresses.join(" "),
      ];
    }),
    empty: "No service is registered. Try: hostmesh service register NAME --port PORT",
  };
}

function endpointsTable(endpoints: (typeof endpointList)["_output"]): TableData {
  return {
    columns: [
      { title: "ENDPOINT", minWidth: 12 },
      { title: "ADDRESS" },
      { title: "HEALTH" },
      { title: "WEIGHT", align: "right" },
      { title: "HOST", minWidth: 8 },
      { title: "CHECKS", minWidth: 10 },
    ],
    rows: endpoints.map(({ id, address, port, health, weight, host, checks }) => [
      id.slice(id.indexOf("/") + 1),
      formatHostPort(address, port),
      { text: health, style: HEALTH_STYLE[health] },
      String(weight),
      host,
      checks.map((check) => `${check.id}: ${check.output || check.status}`).join(", "),
    ]),
    empty: "",
  };
}
