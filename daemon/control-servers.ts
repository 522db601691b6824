import type { Server } from "node:http";
import type { RootLog } from "../src/telemetry/log.ts";
import { Metrics, metricsOf } from "../src/telemetry/metrics.ts";
import { buildStatReport } from "../src/telemetry/stat-report.ts";
import { type AdminDeps, adminServer } from "./admin.ts";
import { configDump } from "./config-dump.ts";
import type { ExplainParts } from "./explain/explain-answer.ts";
import type { ExplainQueue } from "./explain/explain-queue.ts";
import { metricsServer, readyServer } from "./metrics-server.ts";
import { buildHostReport, type HostReportParts } from "./sight/host-report.ts";
import { metricsSources, statSources } from "./stat-sources.ts";

export interface ControlServers {
  readonly admin: Server;
  readonly metrics: Server;
  readonly ready: Server;
}

/** What they read from. */
export type ControlParts = HostReportParts & ExplainParts;

export interface ControlDeps
  extends Pick<AdminDeps, "ready" | "drain" | "release" | "logging" | "taps"> {
  readonly log: RootLog;
  readonly explains: ExplainQueue;
}

/** What the daemon serves to its operators; they do not listen yet. */
export function controlServers(parts: ControlParts, deps: ControlDeps): ControlServers {
  const { log, ready, drain, release, logging, taps, explains } = deps;
  const stats = statSources(parts);
  const admin = adminServer({
    configDump: (redacted) => configDump(parts, redacted),
    stats: () => buildStatReport(stats),
    report: () => buildHostReport(parts, true),
    explain: (request) => explains.answer(parts, request),
    ...{ ready, drain, release, logging, taps, log },
  });
  const metrics = metricsServer(new Metrics(metricsSources(parts), metricsOf(parts.config)), log);
  return { admin, metrics, ready: readyServer(ready, log) };
}
