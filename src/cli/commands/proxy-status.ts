import { Command } from "commander";
import { describeCommand } from "../describe-command.ts";
import { openSight } from "../sight/open-sight.ts";
import { proxyStatusPicture } from "../sight/proxy-status-picture.ts";
import { showReport } from "../sight/show.ts";
import {
  addSightOptions,
  addWatchOption,
  type SightFlags,
  sightSettings,
} from "../sight/sight-options.ts";
import { type WatchingDaemon, watchingDaemons } from "../sight/watching-daemons.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh proxy-status`. */
export function proxyStatusCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("proxy-status")
    .summary("show what each daemon runs with, and what it refused")
    .description(
      "Shows a line for each daemon: version, whether it reports, the revision that it acts on and how far that is behind the registry's, capture, workers, the first of its certificates to expire, and for how long it has been connected.",
    )
    .action(async (flags: SightFlags) => {
      const config = sightSettings(flags);
      const sight = openSight(config, flags, errors);
      let watching: ReadonlyMap<string, WatchingDaemon> = new Map();
      await showReport({
        output,
        flags,
        sight: {
          async read() {
            const report = await sight.read();
            if (flags.admin === undefined) watching = await watchingDaemons(config);
            return report;
          },
        },
        picture: (report) => proxyStatusPicture(report, watching, flags.output === "wide"),
      });
    });
  addSightOptions(addWatchOption(command));
  return describeCommand(command, {
    examples: [
      "hostmesh proxy-status",
      "hostmesh proxy-status -o wide",
      "hostmesh proxy-status -o json | jq '.daemons[] | select(.behind > 0) | .host'",
    ],
    notes: [
      "STATE: reporting; silent: it is connected and does not answer in time; old: its version cannot report; gone: it is known, and not connected.",
    ],
  });
}
