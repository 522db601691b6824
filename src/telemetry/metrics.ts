import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { DAEMON_METRICS } from "./daemon-metrics.ts";
import { HTTP_METRICS } from "./http-metrics.ts";
import type { MetricDeclaration, MetricsSources, ValueMetric } from "./metric-declaration.ts";
import { SharedHistogram } from "./shared-histogram.ts";
import { TRAFFIC_METRICS } from "./traffic-metrics.ts";

/** Every metric of hostmesh, in the order of the exposition; `docs/metrics.md` is compared with it. */
export const METRICS: readonly MetricDeclaration[] = [
  ...TRAFFIC_METRICS,
  ...HTTP_METRICS,
  ...DAEMON_METRICS,
];

/** Prefix of prom-client's own metrics of the process (`process_...`, `nodejs_...`). */
const DEFAULT_METRICS_PREFIX = "hostmesh_";

/**
 * The registry behind `/metrics`. Nothing is counted here: each scrape reads the workers' shared memory
 * and the getters of `sources`. Serve `await registry.metrics()` as `registry.contentType`.
 */
export function createMetrics(sources: MetricsSources): Registry {
  const registry = new Registry();
  for (const declared of METRICS) {
    if (declared.type === "histogram") new SharedHistogram(declared, sources, registry);
    else registerValue(declared, sources, registry);
  }
  collectDefaultMetrics({
    register: registry,
    prefix: DEFAULT_METRICS_PREFIX,
    // At its default of 10 ms the look at the event loop would be most of what an idle daemon does.
    eventLoopMonitoringPrecision: 100,
  });
  return registry;
}

function registerValue(declared: ValueMetric, sources: MetricsSources, registry: Registry): void {
  const Kind = declared.type === "counter" ? Counter : Gauge;
  const metric: Counter | Gauge = new Kind({
    name: declared.name,
    help: declared.help,
    labelNames: [...declared.labels],
    registers: [registry],
    collect: () => {
      metric.reset();
      for (const [labels, value] of declared.read(sources)) {
        metric.inc(named(declared.labels, labels), value);
      }
    },
  });
}

function named(names: readonly string[], values: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [index, name] of names.entries()) labels[name] = values[index] ?? "";
  return labels;
}
