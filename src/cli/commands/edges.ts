import { Command, Option } from "commander";
import { describeCommand } from "../describe-command.ts";
import { edgesPicture } from "../sight/edges-picture.ts";
import { openSight } from "../sight/open-sight.ts";
import { showReport } from "../sight/show.ts";
import {
  addSightOptions,
  addWatchOption,
  type SightFlags,
  sightSettings,
} from "../sight/sight-options.ts";
import { SORTS, type SortBy } from "../sight/sort-figures.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface EdgesFlags extends SightFlags {
  readonly from?: string;
  readonly to?: string;
  readonly namespace?: string;
  readonly sort: SortBy;
  readonly notSecured?: boolean;
}

/** `hostmesh edges`. */
export function edgesCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("edges")
    .summary("show who talks to whom, secured or not, and why not")
    .description(
      "Shows a line for each source, destination and protocol: whether its traffic was secured, and where not, why and what to do about it. Traffic within one host never leaves its kernel, which vouches for the caller.",
    )
    .option("--from <workload>", "only what this source calls")
    .option("--to <service>", "only who calls this service")
    .option("-n, --namespace <namespace>", "only edges with an end in this namespace")
    .option("--not-secured", "only what is not secured, wholly or partly")
    .addOption(
      new Option("--sort <order>", "order of the lines").choices([...SORTS]).default("name"),
    )
    .action(async (flags: EdgesFlags) => {
      const { notSecured = false } = flags;
      const query = { ...flags, notSecured, wide: flags.output === "wide" };
      await showReport({
        output,
        flags,
        sight: openSight(sightSettings(flags), flags, errors),
        picture: (report) => edgesPicture(report, query),
      });
    });
  addSightOptions(addWatchOption(command));
  return describeCommand(command, {
    examples: [
      "hostmesh edges",
      "hostmesh edges --not-secured",
      "hostmesh edges --to catalog",
      "hostmesh edges -o json | jq '.edges[] | select(.secured | not) | {source, destination, kinds}'",
    ],
    notes: ["It ends with 0 whether everything is secured or not."],
  });
}
