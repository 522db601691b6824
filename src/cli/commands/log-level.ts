import { Argument, Command, Option } from "commander";
import * as z from "zod";
import { LOG_LEVELS } from "../../telemetry/log.ts";
import { type AdminFlag, addAdminOption, adminUrl, DAEMON_REMEDY } from "../admin.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { httpJson } from "../http-json.ts";
import { addOutputOption, type FormatFlag } from "../output-option.ts";
import { parseShare } from "../parse-number.ts";
import { printData } from "../print-data.ts";
import { callRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface LogFlags extends SettingsFlags, AdminFlag, FormatFlag {
  readonly accessLog?: "on" | "off" | "reset";
  readonly workload?: string;
  readonly sample?: number;
  readonly errors?: "on" | "off";
}

const mark = z.looseObject({
  enabled: z.boolean().optional(),
  sample: z.number().optional(),
});
const stateSchema = z.looseObject({
  level: z.string(),
  accessLog: z.looseObject({
    default: z.looseObject({ enabled: z.boolean(), sample: z.number() }),
    errors: z.boolean(),
    workloads: z.record(z.string(), mark),
  }),
});
type State = z.infer<typeof stateSchema>;

/** `hostmesh log-level`. */
export function logLevelCommand(output: TerminalOutput): Command {
  const command = new Command("log-level")
    .summary("show or change what a running daemon logs")
    .description(
      "Shows the level of a daemon's own log and who has an access log, or changes it while the daemon runs. A change is forgotten when the daemon starts again: then its settings and the registrations hold.",
    )
    .addArgument(
      new Argument("[level]", "from now on only lines of this level or worse").choices([
        ...LOG_LEVELS,
      ]),
    )
    .addOption(
      new Option(
        "--access-log <switch>",
        "of everybody, or of --workload; reset: as settings and registrations have it again",
      ).choices(["on", "off", "reset"]),
    )
    .option("--workload <name>", "NAMESPACE/NAME: whose access log, as caller and as called")
    .option("--sample <share>", "share of the exchanges that are written, 0 to 1", parseShare)
    .addOption(
      new Option("--errors <switch>", "write every failure, whatever the share is").choices([
        "on",
        "off",
      ]),
    )
    .option("--host <host>", "the daemon of this host, by the registry (default: this host's)")
    .action((level: string | undefined, flags: LogFlags) => run(output, level, flags));
  addSettingsOptions(addAdminOption(addOutputOption(command)), ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh log-level",
      "hostmesh log-level debug",
      "hostmesh log-level --access-log on --workload shop/web --sample 0.1",
      "hostmesh log-level --access-log reset --workload shop/web --host node-2",
    ],
  });
}

async function run(
  output: TerminalOutput,
  level: string | undefined,
  flags: LogFlags,
): Promise<void> {
  const change = changeOf(level, flags);
  const state = stateSchema.safeParse(await ask(flags, change));
  if (!state.success) {
    throw new CliError("the daemon's answer is not what this version of hostmesh understands", {
      cause: state.error,
    });
  }
  printData(output, flags.output, state.data, () => tableOf(state.data));
}

/** Null: nothing is to be changed. */
function changeOf(level: string | undefined, flags: LogFlags): object | null {
  const accessLog = accessLogOf(flags);
  if (level === undefined && accessLog === null) return null;
  return {
    ...(level === undefined ? {} : { level }),
    ...(accessLog === null ? {} : { accessLog }),
  };
}

/** Throws where the flags contradict each other. */
function checkFlags({ accessLog, workload, sample }: LogFlags): void {
  if (accessLog === "reset" && (workload === undefined || sample !== undefined)) {
    throw new CliError("--access-log reset takes back what was set of a workload", {
      exitCode: EXIT.usage,
      remedy: "name it with --workload NAMESPACE/NAME, without --sample",
    });
  }
  if (workload !== undefined && accessLog === undefined && sample === undefined) {
    throw new CliError("--workload says of whom, but not what", {
      exitCode: EXIT.usage,
      remedy: "add --access-log on, off or reset, or --sample SHARE",
    });
  }
}

function accessLogOf(flags: LogFlags): object | null {
  checkFlags(flags);
  const { workload, errors } = flags;
  const one = markOf(flags);
  const parts = {
    ...(errors === undefined ? {} : { errors: errors === "on" }),
    ...(workload !== undefined ? { workloads: { [workload]: one } } : {}),
    ...(workload === undefined && one !== undefined ? { default: one } : {}),
  };
  return Object.keys(parts).length === 0 ? null : parts;
}

/** Null: what was set is taken back; undefined: nothing is said. */
function markOf({ accessLog, sample }: LogFlags): object | null | undefined {
  if (accessLog === "reset") return null;
  if (accessLog === undefined && sample === undefined) return undefined;
  return {
    ...(accessLog === undefined ? {} : { enabled: accessLog === "on" }),
    ...(sample === undefined ? {} : { sample }),
  };
}

function ask(flags: LogFlags, change: object | null): Promise<unknown> {
  const { host, ...settings } = flags;
  const config = readSettings(settings);
  if (host !== undefined && flags.admin === undefined) {
    const path = `/v1/mesh/sight/hosts/${encodeURIComponent(host)}/logging`;
    return callRegistry(config, { method: "PUT", path, body: change ?? {} });
  }
  const url = `${adminUrl(flags, config)}/logging`;
  const call = { url, peer: "the daemon", remedy: DAEMON_REMEDY };
  if (change === null) return httpJson({ ...call, method: "GET" });
  return httpJson({ ...call, method: "PUT", body: change });
}

function tableOf({ level, accessLog }: State) {
  const usual = accessLog.default;
  const switched = (enabled: boolean | undefined) =>
    enabled === undefined ? "as by default" : enabled ? "on" : "off";
  const share = (sample: number | undefined) => (sample === undefined ? "-" : String(sample));
  return {
    columns: [{ title: "WHAT" }, { title: "NOW" }, { title: "SAMPLE" }],
    rows: [
      ["log of the daemon", level, "-"],
      ["access log", switched(usual.enabled), share(usual.sample)],
      ["access log of failures", accessLog.errors ? "all" : "as others", "-"],
      ...Object.entries(accessLog.workloads).map(([name, one]) => [
        `access log of ${name}`,
        switched(one.enabled),
        share(one.sample),
      ]),
    ],
    empty: "",
  };
}
