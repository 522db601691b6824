import type { Command } from "commander";
import type { Config } from "../config/schema.ts";
import { httpJson } from "./http-json.ts";

export interface AdminFlag {
  readonly admin?: string;
}

export const DAEMON_REMEDY =
  "start the daemon with `hostmesh up` or `hostmesh daemon`, or name its admin API with --admin URL";

/** `--admin URL`. */
export function addAdminOption(command: Command): Command {
  return command.option("--admin <url>", "admin API of the daemon (default: this host's)");
}

/** Base address of the daemon's admin API, without a slash at its end. */
export function adminUrl(flag: AdminFlag, config: Config): string {
  return (flag.admin ?? `http://127.0.0.1:${config.ports.admin}`).replace(/\/+$/, "");
}

/** Reads one page of the admin API; throws a CliError that says how to start the daemon. */
export function readAdmin(base: string, path: string): Promise<unknown> {
  return httpJson({
    method: "GET",
    url: base + path,
    peer: "the daemon",
    remedy: DAEMON_REMEDY,
  });
}
