import type { Config } from "../src/config/schema.ts";
import { formatHostPort } from "../src/core/address.ts";
import type { RunningDashboard } from "../src/dashboard/server/start-dashboard.ts";
import type { RunningRegistry } from "../src/registry/registry.ts";
import type { ExpositionFormat } from "../src/telemetry/exposition.ts";
import type { Log } from "../src/telemetry/log.ts";
import { Metrics } from "../src/telemetry/metrics.ts";
import { REGISTRY_METRICS } from "../src/telemetry/registry-metrics.ts";
import { closeServer, listen } from "./control-server.ts";
import { metricsServer } from "./metrics-server.ts";
import { packageVersion } from "./package-version.ts";

export interface RunningRegistryMetrics {
  readonly port: number;
  close(): Promise<void>;
}

/** Serves a registry's metrics; null where their port cannot be had: the mesh does not need them. */
export async function beginRegistryMetrics(
  { registry: { metricsBind, metricsPort } }: Config,
  registry: Pick<RunningRegistry, "figures">,
  dashboard: Pick<RunningDashboard, "figures"> | null,
  log: Log,
): Promise<RunningRegistryMetrics | null> {
  let figures = registry.figures();
  const sources = {
    build: { version: packageVersion(), node: process.version },
    figures: () => figures,
    dashboard: () => dashboard?.figures() ?? null,
  };
  const metrics = new Metrics(sources, REGISTRY_METRICS);
  const metered = {
    expose(format: ExpositionFormat) {
      // Once for all metrics: it looks at every resource.
      figures = registry.figures();
      return metrics.expose(format);
    },
  };
  const server = metricsServer(metered, log);
  try {
    const port = await listen(server, "the registry's metrics", metricsBind, metricsPort);
    return { port, close: () => closeServer(server) };
  } catch (error) {
    const remedy = "choose another with --set registry.metricsPort=PORT";
    const address = formatHostPort(metricsBind, metricsPort);
    log.warn("no metrics of the registry: their port cannot be had", { address, remedy, error });
    return null;
  }
}
