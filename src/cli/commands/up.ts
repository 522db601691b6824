import { Command } from "commander";
import { describeCommand } from "../describe-command.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";

interface UpFlags extends SettingsFlags {
  readonly file?: readonly string[];
  readonly demo?: boolean;
}

/** `hostmesh up`. */
export function upCommand(onExit: (code: number) => void): Command {
  const command = new Command("up")
    .summary("run registry and daemon together")
    .description(
      "Runs a registry and a daemon in one command. As root on Linux the connections of registered workloads are captured; for anybody else the explicit proxy port serves.",
    )
    .option(
      "-f, --file <file...>",
      "register what these files hold: services, endpoints, workloads",
    )
    .option("--demo", "start the demo application and show a live table of its traffic")
    .action(async (flags: UpFlags) => {
      const config = readSettings(flags);
      const { runUp } = await import("../../../daemon/up.ts");
      onExit(
        await runUp({
          config,
          files: flags.file ?? [],
          demo: flags.demo === true,
          dataDir: config.dataDir,
          log: (line: string) => void process.stderr.write(`${line}\n`),
        }),
      );
    });
  addSettingsOptions(command, ["capture", "data"]);
  return describeCommand(command, {
    examples: [
      "hostmesh up",
      "hostmesh up --demo",
      "hostmesh up -f services.yaml --data ./mesh-data",
      "sudo hostmesh up --capture tproxy --on-death closed",
    ],
    notes: ["Ctrl-C or SIGTERM ends everything and leaves no rule, container or process behind."],
  });
}
