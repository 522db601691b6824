import { collectDefaultMetrics, Registry } from "prom-client";
import { DAEMON_METRICS } from "./daemon-metrics.ts";
import { Exposition, type ExpositionFormat } from "./exposition.ts";
import { HTTP_METRICS } from "./http-metrics.ts";
import { ISTIO_METRICS } from "./istio/metrics.ts";
import type { MetricDeclaration, MetricsSources } from "./metric-declaration.ts";
import { TRAFFIC_METRICS } from "./traffic-metrics.ts";

/** Every metric of hostmesh, in the order of the exposition; `docs/metrics.md` is compared with it. */
export const METRICS: readonly MetricDeclaration[] = [
  ...TRAFFIC_METRICS,
  ...HTTP_METRICS,
  ...DAEMON_METRICS,
];

/** Those that the settings ask for. */
export function metricsOf({
  telemetry,
}: {
  readonly telemetry: { readonly istioMetrics: "on" | "off" };
}): readonly MetricDeclaration[] {
  return telemetry.istioMetrics === "on" ? [...METRICS, ...ISTIO_METRICS] : METRICS;
}

/** Prefix of prom-client's own metrics of the process (`process_...`, `nodejs_...`). */
const DEFAULT_METRICS_PREFIX = "hostmesh_";

/** A piece of an exposition is hardly longer, which takes about a millisecond to make. In characters. */
export const PIECE_LENGTH = 131_072;

/**
 * What `/metrics` shows. Nothing is counted here: each scrape reads the workers' shared memory and the getters of `sources`.
 * prom-client gives the metrics of the process, and how values and labels are written; it does not write the traffic's
 * itself, as it takes three times as long, in one go.
 */
export class Metrics<Sources = MetricsSources> {
  readonly #sources: Sources;
  readonly #declared: readonly MetricDeclaration<Sources>[];
  readonly #process = new Registry();

  constructor(sources: Sources, declared: readonly MetricDeclaration<Sources>[]) {
    this.#sources = sources;
    this.#declared = declared;
    collectDefaultMetrics({
      register: this.#process,
      prefix: DEFAULT_METRICS_PREFIX,
      // At its default of 10 ms the look at the event loop would be most of what an idle daemon does.
      eventLoopMonitoringPrecision: 100,
    });
  }

  /** The exposition in pieces. Whoever asks for the next one lets others have their turn before. */
  async *expose(format: ExpositionFormat): AsyncGenerator<string> {
    const into = new Exposition(format);
    for (const declared of this.#declared) yield* this.#pieces(declared, into);
    for (const family of await this.#process.getMetricsAsJSON()) writeProcess(family, into);
    into.end();
    yield into.take();
  }

  *#pieces(declared: MetricDeclaration<Sources>, into: Exposition): Generator<string> {
    into.begin(declared);
    for (const _ of written(declared, this.#sources, into)) {
      if (into.length >= PIECE_LENGTH) yield into.take();
    }
  }
}

/** Writes one sample at each step. */
function* written<Sources>(
  declared: MetricDeclaration<Sources>,
  sources: Sources,
  into: Exposition,
): Generator<void> {
  if (declared.type === "histogram") {
    for (const sample of declared.read(sources)) yield into.histogram(declared, sample);
    return;
  }
  const { name, labels } = declared;
  for (const sample of declared.read(sources)) yield into.value(name, labels, sample);
}

type ProcessFamily = Awaited<ReturnType<Registry["getMetricsAsJSON"]>>[number];

function writeProcess(family: ProcessFamily, into: Exposition): void {
  into.begin({ ...family, type: `${family.type}` });
  for (const sample of family.values) {
    const name = "metricName" in sample ? String(sample.metricName) : family.name;
    const labels = Object.entries(sample.labels).map(
      ([label, value]) => [label, String(value)] as const,
    );
    into.plain(name, labels, sample.value);
  }
}
