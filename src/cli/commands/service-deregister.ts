import { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { callRegistry, readRegistry } from "../registry.ts";
import { endpointList } from "../service-records.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh service deregister`. */
export function serviceDeregisterCommand(output: TerminalOutput): Command {
  const command = new Command("deregister")
    .summary("take an endpoint out of the mesh")
    .description(
      "Removes one endpoint. Its idle connections are closed at once, requests in flight end. A service goes with its last endpoint, unless it was declared by itself.",
    )
    .argument("<id>", "id of the endpoint, as `service list SERVICE` shows it")
    .option("--host <name>", "host of the endpoint, where the id is on several")
    .action(async (id: string, flags: SettingsFlags) => {
      const { host, ...rest } = flags;
      const config = readSettings(rest);
      const endpoints = await readRegistry(config, "/v1/mesh/endpoints", endpointList);
      const found = endpoints.filter(
        (endpoint) =>
          (host === undefined || endpoint.host === host) &&
          (endpoint.id === id || endpoint.id === `${endpoint.host}/${id}`),
      );
      const [first, ...others] = found;
      if (first === undefined) {
        throw new CliError(`no endpoint has the id ${id}`, {
          remedy: "hostmesh service list SERVICE shows the ids of its endpoints",
        });
      }
      if (others.length > 0) {
        const hosts = found.map((endpoint) => endpoint.host).join(", ");
        throw new CliError(`${id} is registered on several hosts: ${hosts}`, {
          remedy: "name one with --host",
        });
      }
      const path = first.id.split("/").map(encodeURIComponent).join("/");
      await callRegistry(config, { method: "DELETE", path: `/v1/mesh/endpoints/${path}` });
      output.line(`deregistered ${first.id} of service ${first.service}`);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh service deregister catalog-2",
      "hostmesh service deregister catalog-2 --host node-2",
    ],
  });
}
