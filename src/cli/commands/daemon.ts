import { Command } from "commander";
import type { DaemonRunner } from "../daemon-start.ts";
import { describeCommand } from "../describe-command.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";

/** `hostmesh daemon`. */
export function daemonCommand(onExit: (code: number) => void, runDaemon: DaemonRunner): Command {
  const command = new Command("daemon")
    .summary("run the daemon of this host")
    .description(
      "Runs the daemon that carries the traffic of every container on this host. As root on Linux it captures their connections; for anybody else it serves the explicit proxy port. Needs a registry, but starts and serves without one from the last good snapshot.",
    )
    .option(
      "--keep-rules",
      "leave capture rules in place at an orderly stop, as if the daemon had died",
    )
    .option("--user <uid:gid>", "user of the data path, which then has no privilege")
    .action(async (flags: SettingsFlags & { keepRules?: boolean }) => {
      const config = readSettings(flags);
      onExit(await runDaemon({ config, keepRules: flags.keepRules === true }));
    });
  addSettingsOptions(command, ["capture", "registry", "data"]);
  return describeCommand(command, {
    examples: [
      "hostmesh daemon --registry http://mesh-registry:15010",
      "hostmesh daemon --config /etc/hostmesh.yaml --capture tproxy --on-death closed",
      "hostmesh daemon --user 1000:1000",
      "hostmesh daemon --capture explicit --set ports.bind=0.0.0.0",
    ],
    notes: ["SIGTERM and Ctrl-C drain: requests in flight end, then the daemon does."],
  });
}
