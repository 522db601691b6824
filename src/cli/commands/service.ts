import { Command } from "commander";
import { describeCommand } from "../describe-command.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { serviceDeregisterCommand } from "./service-deregister.ts";
import { serviceListCommand } from "./service-list.ts";
import { serviceRegisterCommand } from "./service-register.ts";

/** `hostmesh service`. */
export function serviceCommand(output: TerminalOutput): Command {
  const command = new Command("service").summary("register, deregister and list services");
  command.addCommand(serviceRegisterCommand(output));
  command.addCommand(serviceDeregisterCommand(output));
  command.addCommand(serviceListCommand(output));
  return describeCommand(command, {
    examples: [
      "hostmesh service register catalog --port 8080",
      "hostmesh service list catalog",
      "hostmesh service deregister catalog",
    ],
  });
}
