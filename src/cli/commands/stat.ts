import { Command } from "commander";
import { liveTable } from "../../../daemon/demo/live-table.ts";
import { type ServiceView, type StatView, statView } from "../../../daemon/demo/stat-view.ts";
import { paint } from "../../core/terminal.ts";
import { textTable } from "../../core/text-table.ts";
import { type AdminFlag, addAdminOption, adminUrl, readAdmin } from "../admin.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { printData, type TableData } from "../print-data.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import { endpointNotes, endpointsTable, servicesTable, shortName } from "../stat-tables.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface StatFlags extends FormatFlag, SettingsFlags, AdminFlag {
  readonly watch?: boolean;
}

/** `hostmesh stat`. */
export function statCommand(output: TerminalOutput): Command {
  const command = new Command("stat")
    .summary("show traffic, success and latency")
    .description(
      "Shows what the daemon of this host carries: per service, or per endpoint of one service. Per service, rates, success and percentiles are of the last seconds, and retries are counted since the data path's start. Per endpoint, a line below the table says what is of when.",
    )
    .argument("[service]", "NAME or NAME.NAMESPACE: show its endpoints")
    .option("-w, --watch", "show it anew every second, until Ctrl-C")
    .action(async (service: string | undefined, flags: StatFlags) => {
      const admin = adminUrl(flags, readSettings(flags));
      if (flags.watch !== true) return print(output, flags, await readStats(admin), service);
      if (flags.output !== "table") {
        throw new CliError("--watch shows tables only", {
          exitCode: EXIT.usage,
          remedy: "leave out -o, or call stat without --watch in a loop",
        });
      }
      await watch(output, admin, service);
    });
  addSettingsOptions(addAdminOption(addOutputOption(command)), []);
  return describeCommand(command, {
    examples: [
      "hostmesh stat",
      "hostmesh stat catalog",
      "hostmesh stat -w",
      "hostmesh stat -o json | jq '.services[] | {service, p99Ms}'",
    ],
    notes: [
      "SHARE is the endpoint's part of the service's requests. COST is the balancer's own estimate of the latency, in which a failure counts as slow; it may be far above what a caller sees.",
    ],
  });
}

async function readStats(admin: string): Promise<StatView> {
  const parsed = statView.safeParse(await readAdmin(admin, "/stats"));
  if (parsed.success) return parsed.data;
  throw new CliError(`${admin}/stats is not what this version of hostmesh understands`, {
    cause: parsed.error,
  });
}

function print(
  output: TerminalOutput,
  flags: StatFlags,
  stats: StatView,
  service: string | undefined,
): void {
  const data = service === undefined ? stats : findService(stats, service);
  printData(output, flags.output, data, () => tableOf(stats, service));
  if (flags.output === "table") for (const line of notes(stats, service)) output.line(line);
}

function tableOf(stats: StatView, service: string | undefined): TableData {
  return service === undefined
    ? servicesTable(stats.services)
    : endpointsTable(findService(stats, service).endpoints);
}

function findService(stats: StatView, wanted: string): ServiceView {
  const key = wanted.includes("/") ? shortName(wanted) : wanted;
  const found = stats.services.find(({ service }) => shortName(service) === key);
  if (found !== undefined) return found;
  const names = stats.services.map(({ service }) => shortName(service)).slice(0, 10);
  throw new CliError(`the daemon knows no service ${wanted}`, {
    remedy:
      names.length === 0
        ? "none is registered; try: hostmesh service register NAME --port PORT"
        : `it knows ${names.join(", ")}`,
  });
}

/** Traffic that belongs to no service is worth a line only where there is some. */
function notes(stats: StatView, service: string | undefined): string[] {
  if (service !== undefined) return ["", ...endpointNotes(stats.windowMs)];
  const lines: string[] = [];
  if (stats.idleServices > 0)
    lines.push(`${stats.idleServices} services without traffic are not shown.`);
  if (stats.passthrough.requests > 0) {
    lines.push(`${stats.passthrough.requests} connections went to destinations outside the mesh.`);
  }
  if (stats.unrouted.requests > 0) {
    lines.push(`${stats.unrouted.requests} requests named no service of the mesh.`);
  }
  return lines.length === 0 ? [] : ["", ...lines];
}

async function watch(
  output: TerminalOutput,
  admin: string,
  service: string | undefined,
): Promise<void> {
  // The first reading is asked for outside the loop: a wrong name or no daemon ends the command.
  tableOf(await readStats(admin), service);
  const stop = new AbortController();
  // Not once: a Ctrl-C under npm comes twice, and the second must not end this before the cursor is back.
  process.on("SIGINT", () => stop.abort());
  process.on("SIGTERM", () => stop.abort());
  const lines = (stats: StatView, width: number): string[] => {
    const { columns, rows } = tableOf(stats, service);
    return textTable(columns, rows, { width, color: output.color });
  };
  await liveTable({
    read: () => readStats(admin),
    frame: (stats, { width }) => [...lines(stats, width), ...notes(stats, service)],
    lines: (stats) => [...lines(stats, Number.POSITIVE_INFINITY), ""],
    footer: paint("Ctrl-C ends.", "dim", output.color),
    output: process.stdout,
    color: output.color,
    signal: stop.signal,
  });
}
