import { Command, Option } from "commander";
import { parseGoDuration } from "../../registry/duration.ts";
import type { TapFilter } from "../../sight/tap-event.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { parseNumber } from "../parse-number.ts";
import { nameKey } from "../sight/names.ts";
import { openTap } from "../sight/open-tap.ts";
import { collectTop, liveTop } from "../sight/run-top.ts";
import { printPicture } from "../sight/show.ts";
import { addSightOptions, type SightFlags, sightSettings } from "../sight/sight-options.ts";
import { stopOnSignals } from "../sight/stop-on-signals.ts";
import {
  addTapFilterOptions,
  LONGEST_MS,
  type TapFilterFlags,
} from "../sight/tap-filter-options.ts";
import { topPicture } from "../sight/top-picture.ts";
import { TOP_SORTS, type TopSort, TopTable } from "../sight/top-table.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface TopFlags extends SightFlags, TapFilterFlags {
  readonly routes?: boolean;
  readonly hideSources?: boolean;
  readonly fullPaths?: boolean;
  readonly sort: TopSort;
  readonly maxRps: number;
  readonly duration?: string;
}

/** How long it looks where nobody can press a key. */
const ONCE_MS = 5_000;

/** `hostmesh top`. */
export function topCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = addTapFilterOptions(new Command("top"))
    .summary("show the requests that are most frequent, slowest or failing, live")
    .description(
      "Adds up live requests by source, destination, method and path, with the best, the worst and the last duration. On a terminal it goes on until q (s: other order, p: hold); elsewhere it looks for 5 s and prints once. Requests are taken from a tap, which is limited on each host.",
    )
    .option("--routes", "by route in place of method and path")
    .option("--hide-sources", "all sources as one")
    .option("--full-paths", "tell paths apart that differ in a number or another identifier only")
    .addOption(new Option("--sort <order>", "first order").choices([...TOP_SORTS]).default("count"))
    .option(
      "--max-rps <number>",
      "requests a second and host that are looked at",
      parseNumber(1, 1_000),
      100,
    )
    .option("--duration <time>", "look for so long, then print once, such as 30s")
    .action((service: string | undefined, flags: TopFlags) => top(output, errors, service, flags));
  addSightOptions(command);
  return describeCommand(command, {
    examples: [
      "hostmesh top",
      "hostmesh top catalog --sort worst",
      "hostmesh top --from web --routes",
      "hostmesh top --failed --duration 30s -o json | jq '.rows[0]'",
    ],
    notes: [
      "Calls between hosts are counted at the caller's; with --host or --admin also what came from other hosts. Numbers, UUIDs and long hexadecimal parts of a path are shown as *.",
    ],
  });
}

async function top(
  output: TerminalOutput,
  errors: TerminalOutput,
  service: string | undefined,
  flags: TopFlags,
): Promise<void> {
  const { routes = false, hideSources = false, fullPaths = false } = flags;
  const onceMs = onceFor(output, flags);
  const filter = filterOf(service, flags);
  const { stop, release } = stopOnSignals();
  const timer = onceMs === null ? undefined : setTimeout(() => stop.abort(), onceMs);
  const limits = { perSecond: flags.maxRps, durationMs: LONGEST_MS };
  const grouping = { routes, hideSources, fullPaths };
  const wide = flags.output === "wide";
  const view = { grouping, wide, sort: flags.sort, perSecond: flags.maxRps };
  const table = new TopTable(grouping);
  try {
    const config = sightSettings(flags);
    const items = await openTap(config, flags, { filter, limits }, errors, stop.signal);
    const bothEnds = flags.host !== undefined || flags.admin !== undefined;
    const collected = collectTop(items, table, bothEnds)
      .catch((reason: unknown) => {
        if (!stop.signal.aborted) throw reason;
      })
      .finally(() => stop.abort());
    if (onceMs === null) {
      const terminal = { output: process.stdout, keys: process.stdin };
      await Promise.all([collected, liveTop({ table, view, terminal, color: output.color, stop })]);
      return;
    }
    await collected;
    printPicture(output, flags.output, topPicture(table, { ...view, maxLines: 50 }));
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** Null: until a key ends it. */
function onceFor(output: TerminalOutput, { duration, output: format }: TopFlags): number | null {
  const isLive = output.isTerminal && (format === "table" || format === "wide");
  if (duration === undefined) return isLive ? null : ONCE_MS;
  const durationMs = parseGoDuration(duration);
  if (durationMs !== null && durationMs > 0 && durationMs <= LONGEST_MS) return durationMs;
  throw new CliError(`--duration ${duration}: not a duration such as 30s, at most 1h`, {
    exitCode: EXIT.usage,
  });
}

function filterOf(service: string | undefined, flags: TopFlags): TapFilter {
  const { from, method, path, failed, namespace } = flags;
  if (service !== undefined && flags.to !== undefined) {
    throw new CliError("the service is named twice: as argument and with --to", {
      exitCode: EXIT.usage,
      remedy: "leave out one of them",
    });
  }
  const to = service ?? flags.to;
  return {
    ...(from === undefined ? {} : { source: nameKey(from, namespace) }),
    ...(to === undefined ? {} : { destination: nameKey(to, namespace) }),
    ...(method === undefined ? {} : { method: method.toUpperCase() }),
    ...(path === undefined ? {} : { pathPrefix: path }),
    ...(failed === true ? { failed } : {}),
  };
}
