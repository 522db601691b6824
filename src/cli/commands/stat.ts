import { Command, Option } from "commander";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { openSight } from "../sight/open-sight.ts";
import { showReport } from "../sight/show.ts";
import {
  addSightOptions,
  addWatchOption,
  type SightFlags,
  sightSettings,
} from "../sight/sight-options.ts";
import { SORTS, type SortBy } from "../sight/sort-figures.ts";
import { STAT_GROUPS, type StatGroup, statPicture } from "../sight/stat-picture.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface StatFlags extends SightFlags {
  readonly by?: StatGroup;
  readonly from?: string;
  readonly to?: string;
  readonly namespace?: string;
  readonly sort: SortBy;
  readonly all?: boolean;
}

/** `hostmesh stat`. */
export function statCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("stat")
    .summary("show traffic, success and latency")
    .description(
      "Shows what all daemons together carry: per service, or per endpoint of one service. The registry asks them; where none can be reached, or with --admin, one daemon tells what it saw. Rates, success and percentiles are of the last seconds.",
    )
    .argument("[service]", "NAME or NAME.NAMESPACE: show its endpoints; as --to")
    .addOption(
      new Option(
        "--by <group>",
        "a line for each of these (default: service, of one its endpoints)",
      ).choices([...STAT_GROUPS]),
    )
    .option("--from <workload>", "only calls of this source")
    .option("--to <service>", "only calls of this service")
    .option("-n, --namespace <namespace>", "only this namespace")
    .addOption(
      new Option("--sort <order>", "order of the lines").choices([...SORTS]).default("name"),
    )
    .option("--all", "also the services without traffic, where there are many")
    .action(async (service: string | undefined, flags: StatFlags) => {
      const query = { ...flags, ...toOf(service, flags), wide: flags.output === "wide" };
      await showReport({
        output,
        flags,
        sight: openSight(sightSettings(flags), flags, errors),
        picture: (report) => statPicture(report, { ...query, all: flags.all === true }),
      });
    });
  addSightOptions(addWatchOption(command));
  return describeCommand(command, {
    examples: [
      "hostmesh stat",
      "hostmesh stat catalog",
      "hostmesh stat -w --sort p99",
      "hostmesh stat --from web",
      "hostmesh stat catalog --by source",
      "hostmesh stat --by host -o wide",
      "hostmesh stat -o json | jq '.services[] | {service, p99Ms}'",
    ],
    notes: [
      "SHARE is the endpoint's part of the service's requests. COST is the balancer's own estimate of the latency, in which a failure counts as slow; it may be far above what a caller sees.",
    ],
  });
}

function toOf(service: string | undefined, { to }: StatFlags): { readonly to?: string } {
  if (service !== undefined && to !== undefined) {
    throw new CliError("the service is named twice: as argument and with --to", {
      exitCode: EXIT.usage,
      remedy: "leave out one of them",
    });
  }
  const named = service ?? to;
  return named === undefined ? {} : { to: named };
}
