import { Histogram, type Registry } from "prom-client";
import type { HistogramMetric, HistogramSample, MetricsSources } from "./metric-declaration.ts";

interface Value {
  labels: Record<string, string | number>;
  sharedLabels: Record<string, string>;
  value: number;
  metricName: string;
}

/**
 * A histogram that is counted elsewhere. prom-client's own can only be observed into, one value at a
 * time; this one replaces what it hands to the registry: `getForPromString` for text, `get` for JSON.
 */
export class SharedHistogram extends Histogram {
  readonly #declared: HistogramMetric;
  readonly #sources: MetricsSources;

  constructor(declared: HistogramMetric, sources: MetricsSources, registry: Registry) {
    super({
      name: declared.name,
      help: declared.help,
      labelNames: [...declared.labels],
      buckets: [...declared.bounds],
      registers: [registry],
    });
    this.#declared = declared;
    this.#sources = sources;
  }

  override async get() {
    const values = this.#values().map(({ labels, sharedLabels, value, metricName }) => ({
      labels: { ...sharedLabels, ...labels },
      value,
      metricName,
    }));
    return { ...(await super.get()), values };
  }

  /** What prom-client's registry asks for first when it writes text. Labels that repeat are shared. */
  async getForPromString() {
    const { name, help, type } = this.#declared;
    return { name, help, type, aggregator: "sum", values: this.#values() };
  }

  #values(): Value[] {
    const values: Value[] = [];
    for (const sample of this.#declared.read(this.#sources)) this.#append(values, sample);
    return values;
  }

  #append(values: Value[], { labels, buckets, sum }: HistogramSample): void {
    const { name, bounds } = this.#declared;
    const sharedLabels: Record<string, string> = {};
    for (const [index, label] of this.#declared.labels.entries()) {
      sharedLabels[label] = labels[index] ?? "";
    }
    let count = 0;
    const metricName = `${name}_bucket`;
    for (const [index, bucket] of buckets.entries()) {
      count += bucket;
      const le = bounds[index] ?? "+Inf";
      values.push({ labels: { le }, sharedLabels, value: count, metricName });
    }
    values.push({ labels: {}, sharedLabels, value: sum, metricName: `${name}_sum` });
    values.push({ labels: {}, sharedLabels, value: count, metricName: `${name}_count` });
  }
}
