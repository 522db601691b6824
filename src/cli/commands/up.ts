import { Command } from "commander";
import { loadConfig } from "../../config/load.ts";
import { describeCommand } from "../describe-command.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import { startFailure } from "../start-failure.ts";

/** Of the environment only what the default of the data folder depends on. */
const { XDG_STATE_HOME } = process.env;
const NO_SETTINGS = { env: { XDG_STATE_HOME }, flags: {} };

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
      const named = flags.data !== undefined || config.dataDir !== loadConfig(NO_SETTINGS).dataDir;
      try {
        const code = await runUp({
          config,
          files: flags.file ?? [],
          demo: flags.demo === true,
          dataDir: named ? config.dataDir : null,
          log: (line: string) => void process.stderr.write(`${line}\n`),
        });
        onExit(code);
      } catch (reason) {
        throw startFailure(reason);
      }
    });
  addSettingsOptions(command, ["capture", "data"]);
  return describeCommand(command, {
    examples: [
      "hostmesh up",
      "hostmesh up --demo",
      "hostmesh up -f services.yaml --data ./mesh-data",
      "sudo hostmesh up --capture tproxy --on-death closed",
    ],
    notes: [
      "Ctrl-C or SIGTERM ends everything and leaves no rule, container or process behind. The demo's registry is removed too, unless --data names a folder for it.",
    ],
  });
}
