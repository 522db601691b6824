import type { Config } from "../../config/schema.ts";
import { paint } from "../../core/terminal.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import { adminUrl, readAdmin } from "../admin.ts";
import { CliError } from "../cli-error.ts";
import { callRegistry } from "../registry.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { meshReportSchema } from "./mesh-report-schema.ts";
import { MESH_REPORT_PATH, REPORT_PATIENCE_MS } from "./read-mesh-report.ts";
import { reportOfHost } from "./report-of-host.ts";
import type { SightFlags } from "./sight-options.ts";

/** Who tells what was seen. */
export interface Sight {
  /** Throws a CliError where nobody can be asked. */
  read(): Promise<MeshReport>;
}

/**
 * The registry; with `--admin` the daemon there; where no registry tells, the daemon of this host, which is said once on
 * standard error and then stays so.
 */
export function openSight(config: Config, flags: SightFlags, errors: TerminalOutput): Sight {
  const admin = adminUrl(flags, config);
  if (flags.admin !== undefined) return { read: () => ofDaemon(admin, flags.host) };
  const path = reportPath(flags.host);
  let fellBack = false;
  return {
    async read() {
      if (fellBack) return ofDaemon(admin, flags.host);
      const told = await ofRegistry(config, path, flags.host);
      if (typeof told !== "string") return told;
      const report = await ofDaemonInstead(admin, flags.host, told);
      fellBack = true;
      errors.line(
        `${paint("note:", "warn", errors.color)} ${told}: showing what the daemon at ${admin} saw`,
      );
      return report;
    },
  };
}

function reportPath(host: string | undefined): string {
  if (host === undefined) return MESH_REPORT_PATH;
  return `/v1/mesh/sight/hosts/${encodeURIComponent(host)}/report`;
}

/** The registry's report, or why it gives none. Throws what a look at a daemon would not mend. */
async function ofRegistry(
  config: Config,
  path: string,
  host: string | undefined,
): Promise<MeshReport | string> {
  let answer: unknown;
  try {
    answer = await callRegistry(config, {
      method: "GET",
      path,
      timeoutMs: REPORT_PATIENCE_MS,
      alsoOk: [401, 403, 404],
    });
  } catch (reason) {
    // Only an unreachable registry carries a remedy; one that answers has the last word.
    if (reason instanceof CliError && reason.remedy !== undefined) return reason.message;
    throw reason;
  }
  const refusal = refusalOf(answer);
  if (refusal !== null) {
    if (host === undefined) return `the registry gives no report (${refusal})`;
    throw new CliError(`the registry gives no report of host ${host}: ${refusal}`, {
      remedy: "hostmesh proxy-status lists the hosts",
    });
  }
  if (host !== undefined) return reportOfHost(answer, "the registry");
  const parsed = meshReportSchema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new CliError("the registry's report is not what this version of hostmesh understands", {
    cause: parsed.error,
  });
}

/** A report of any version has hosts, or is one's. */
function refusalOf(answer: unknown): string | null {
  if (typeof answer !== "object" || answer === null) return String(answer).slice(0, 200);
  return "error" in answer ? String(answer.error) : null;
}

async function ofDaemonInstead(
  admin: string,
  host: string | undefined,
  told: string,
): Promise<MeshReport> {
  try {
    return await ofDaemon(admin, host);
  } catch (reason) {
    if (!(reason instanceof CliError)) throw reason;
    throw new CliError(`${told}; and ${reason.message}`, {
      cause: reason,
      remedy:
        "start both with `hostmesh up`, or name the one that runs with --registry URL or --admin URL",
    });
  }
}

async function ofDaemon(admin: string, host: string | undefined): Promise<MeshReport> {
  const report = reportOfHost(await readAdmin(admin, "/sight/report"), `the daemon at ${admin}`);
  const own = report.hosts[0]?.host;
  if (host === undefined || host === own) return report;
  throw new CliError(`the daemon at ${admin} is that of host ${own}, not of ${host}`, {
    remedy: "leave out --host, or name the registry with --registry URL",
  });
}
