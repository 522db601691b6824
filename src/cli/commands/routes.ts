import { Command, Option } from "commander";
import { describeCommand } from "../describe-command.ts";
import { openSight } from "../sight/open-sight.ts";
import { routesPicture } from "../sight/routes-picture.ts";
import { showReport } from "../sight/show.ts";
import {
  addSightOptions,
  addWatchOption,
  type SightFlags,
  sightSettings,
} from "../sight/sight-options.ts";
import { SORTS, type SortBy } from "../sight/sort-figures.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface RoutesFlags extends SightFlags {
  readonly from?: string;
  readonly namespace?: string;
  readonly sort: SortBy;
}

/** `hostmesh routes`. */
export function routesCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("routes")
    .summary("show the traffic of each route, and what retries hide")
    .description(
      "Shows for each service what callers saw by route and source (effective), and below it what the tries at its endpoints came to (actual). Where the two differ, retries are at work.",
    )
    .argument("[service]", "NAME or NAME.NAMESPACE: only this one")
    .option("--from <workload>", "only routes that this source took")
    .option("-n, --namespace <namespace>", "only services of this namespace")
    .addOption(
      new Option("--sort <order>", "order of the lines").choices([...SORTS]).default("name"),
    )
    .action(async (service: string | undefined, flags: RoutesFlags) => {
      const query = {
        ...flags,
        ...(service === undefined ? {} : { service }),
        wide: flags.output === "wide",
      };
      await showReport({
        output,
        flags,
        sight: openSight(sightSettings(flags), flags, errors),
        picture: (report) => routesPicture(report, query),
      });
    });
  addSightOptions(addWatchOption(command));
  return describeCommand(command, {
    examples: [
      "hostmesh routes",
      "hostmesh routes catalog",
      "hostmesh routes catalog --from front -w",
      "hostmesh routes -o json | jq '.services[] | {service, tries: .actual.perRequest}'",
    ],
    notes: [
      "A route has the name that its resource gives it, or the resource and the place of the rule in it; `default` is what no rule matched.",
    ],
  });
}
