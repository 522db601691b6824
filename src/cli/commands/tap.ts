import { Command, Option } from "commander";
import * as z from "zod";
import { parseGoDuration } from "../../registry/duration.ts";
import type { TapFilter, TapItem } from "../../sight/tap-event.ts";
import { tapFilterSchema, tapItemsSchema } from "../../sight/tap-schema.ts";
import { type AdminFlag, addAdminOption } from "../admin.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { parseNumber } from "../parse-number.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import { nameKey } from "../sight/names.ts";
import { openTap } from "../sight/open-tap.ts";
import { stopOnSignals } from "../sight/stop-on-signals.ts";
import {
  addTapFilterOptions,
  LONGEST_MS,
  type TapFilterFlags,
} from "../sight/tap-filter-options.ts";
import { tapHeader, tapItemLines } from "../sight/tap-lines.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface TapFlags extends SettingsFlags, AdminFlag, TapFilterFlags {
  readonly authority?: string;
  readonly status?: string;
  readonly headers?: boolean;
  readonly query?: boolean;
  readonly bothEnds?: boolean;
  readonly maxRps: number;
  readonly duration: string;
  readonly output: "table" | "wide" | "json";
}

/** `hostmesh tap`. */
export function tapCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = addTapFilterOptions(new Command("tap"))
    .summary("show requests one by one, live")
    .description(
      "Shows each request when it ends, until Ctrl-C or the end of --duration. Headers and the values of query strings are left out unless they are asked for; values that may be secrets are left out always, and bodies too. On each host only so many requests a second are shown; those that are left out are counted.",
    )
    .option("--authority <host>", "only requests for this authority (Host)")
    .option("--status <status>", "only this status, or a class such as 5xx")
    .option("--headers", "show headers, without the values that may be secrets")
    .option("--query", "show the values of query strings")
    .option("--both-ends", "show calls between hosts twice: as either host sees them")
    .option("--max-rps <number>", "requests a second and host", parseNumber(1, 1_000), 100)
    .option("--duration <time>", "end after so long, at most 1h", "10m")
    .option("--host <host>", "only what the daemon of this host sees")
    .addOption(
      new Option("-o, --output <format>", "form of the output; json: one object in each line")
        .choices(["table", "wide", "json"])
        .default("table"),
    )
    .action((service: string | undefined, flags: TapFlags) => tap(output, errors, service, flags));
  addSettingsOptions(addAdminOption(command), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh tap",
      "hostmesh tap catalog --failed",
      "hostmesh tap --from web --path /api --headers",
      "hostmesh tap --status 5xx --duration 30s -o json | jq .event.error",
    ],
    notes: [
      "Whoever may write to the registry may tap; with --admin, whoever reaches the daemon's loopback. At most 8 taps are open on a host.",
    ],
  });
}

async function tap(
  output: TerminalOutput,
  errors: TerminalOutput,
  service: string | undefined,
  flags: TapFlags,
): Promise<void> {
  const filter = filterOf(service, flags);
  const limits = { perSecond: flags.maxRps, durationMs: durationOf(flags.duration) };
  const { host: _, ...settings } = flags;
  const config = readSettings(settings);
  const view = { wide: flags.output === "wide", color: output.color };
  const isJson = flags.output === "json";
  const all = flags.bothEnds === true || flags.host !== undefined || flags.admin !== undefined;
  const { stop, release } = stopOnSignals();
  // A registry whose hosts do not tell in time that they have ended: a moment more than they have.
  const timer = setTimeout(() => stop.abort(), limits.durationMs + 5_000);
  try {
    const lines = await openTap(config, flags, { filter, limits }, errors, stop.signal);
    if (!isJson) output.line(tapHeader(view));
    for await (const item of itemsOf(lines, all)) {
      if (isJson) output.line(JSON.stringify(item));
      else for (const text of tapItemLines(item, view)) output.line(text);
    }
  } catch (reason) {
    if (!stop.signal.aborted) throw reason;
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** `all`: of a call between hosts both views. */
async function* itemsOf(lines: AsyncIterable<unknown>, all: boolean): AsyncGenerator<TapItem> {
  for await (const line of lines) {
    const item = itemOf(line);
    if (item !== null && (all || isCallersView(item))) yield item;
  }
}

const failure = z.looseObject({ type: z.literal("error"), error: z.string() });

/** Null: a later version may send more kinds of items. Throws where the tap failed. */
function itemOf(line: unknown): TapItem | null {
  const [item] = tapItemsSchema.safeParse([line]).data ?? [];
  if (item !== undefined) return item;
  const failed = failure.safeParse(line);
  if (!failed.success) return null;
  throw new CliError(`the tap ended: ${failed.data.error}`, {
    remedy: "call it again; hostmesh proxy-status shows who is connected",
  });
}

/** A call between hosts is seen at both: the caller's host knows more of it. */
function isCallersView(item: TapItem): boolean {
  return item.type !== "event" || item.event.entry !== "mesh";
}

function filterOf(service: string | undefined, flags: TapFlags): TapFilter {
  const { from, method, path, authority, status, failed, headers, query, namespace } = flags;
  if (service !== undefined && flags.to !== undefined) {
    throw new CliError("the service is named twice: as argument and with --to", {
      exitCode: EXIT.usage,
      remedy: "leave out one of them",
    });
  }
  const to = service ?? flags.to;
  const filter = tapFilterSchema.safeParse({
    ...(from === undefined ? {} : { source: nameKey(from, namespace) }),
    ...(to === undefined ? {} : { destination: nameKey(to, namespace) }),
    ...(method === undefined ? {} : { method: method.toUpperCase() }),
    ...(path === undefined ? {} : { pathPrefix: path }),
    ...(authority === undefined ? {} : { authority }),
    ...(status === undefined ? {} : { status }),
    ...(failed === true ? { failed } : {}),
    ...(headers === true ? { headers } : {}),
    ...(query === true ? { query } : {}),
  });
  if (filter.success) return filter.data;
  const [issue] = filter.error.issues;
  throw new CliError(`--${issue?.path.join(".")}: ${issue?.message}`, { exitCode: EXIT.usage });
}

function durationOf(text: string): number {
  const durationMs = parseGoDuration(text);
  if (durationMs !== null && durationMs > 0 && durationMs <= LONGEST_MS) return durationMs;
  throw new CliError(`--duration ${text}: not a duration such as 30s, at most 1h`, {
    exitCode: EXIT.usage,
  });
}
