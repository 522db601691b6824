import type { HistogramMetric, HistogramSample, Sample } from "./metric-declaration.ts";

/**
 * `text`: Prometheus' text format 0.0.4. `openmetrics`: OpenMetrics 1.0.0, which alone carries exemplars.
 */
export type ExpositionFormat = "text" | "openmetrics";

/** The last request that fell into a bucket and whose trace is kept. */
export interface Exemplar {
  readonly traceId: string;
  /** In the unit of the histogram's bounds. */
  readonly value: number;
  /** Time of day, since 1970. */
  readonly atMs: number;
}

/** A metric family of which only the samples are to come. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
}

const TOTAL = "_total";

/** Label values of the shared label sets are the same arrays at every scrape. */
const texts = new WeakMap<readonly string[], { readonly names: readonly string[]; text: string }>();

/**
 * Writes samples in the form and with the escapes of prom-client, in a third of its time: texts of labels are kept, and nothing
 * is made for a sample but its line. Take what is written whenever `length` has grown: so a scrape of any size is made in
 * pieces, between which others have their turn.
 */
export class Exposition {
  readonly #openMetrics: boolean;
  #text = "";
  /** Of the histogram at hand: what stands before the other labels of each bucket. */
  #buckets: readonly string[] = [];
  #histogram: HistogramMetric<never> | null = null;

  constructor(format: ExpositionFormat) {
    this.#openMetrics = format === "openmetrics";
  }

  get length(): number {
    return this.#text.length;
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  begin({ name, help, type }: Family): void {
    const family = this.#openMetrics && type === "counter" ? withoutTotal(name) : name;
    this.#text += `# HELP ${family} ${escapeHelp(help, this.#openMetrics)}\n`;
    this.#text += `# TYPE ${family} ${type}\n`;
  }

  value(name: string, names: readonly string[], [labels, value]: Sample): void {
    const text = labelText(names, labels);
    this.#text += text === "" ? name : `${name}{${text}}`;
    this.#text += ` ${numberText(value)}\n`;
  }

  /** A sample whose labels are not shared with others. */
  plain(name: string, labels: readonly (readonly [string, string])[], value: number): void {
    const text = labels.map(([label, one]) => `${label}="${escapeValue(one)}"`).join(",");
    this.#text += text === "" ? `${name} ` : `${name}{${text}} `;
    this.#text += `${numberText(value)}\n`;
  }

  histogram(declared: HistogramMetric<never>, sample: HistogramSample): void {
    const { name, labels: names } = declared;
    if (this.#histogram !== declared) this.#prepare(declared);
    const text = labelText(names, sample.labels);
    const behind = text === "" ? "} " : `,${text}} `;
    const { exemplars } = sample;
    let count = 0;
    let written = "";
    for (let index = 0; index < sample.buckets.length; index += 1) {
      count += sample.buckets[index] ?? 0;
      written += this.#buckets[index] + behind + count;
      const exemplar = exemplars?.[index];
      if (exemplar !== undefined && this.#openMetrics) written += exemplarText(exemplar);
      written += "\n";
    }
    const labels = text === "" ? " " : `{${text}} `;
    written += `${name}_sum${labels}${numberText(sample.sum)}\n${name}_count${labels}${count}\n`;
    this.#text += written;
  }

  /** Nothing comes after it. */
  end(): void {
    if (this.#openMetrics) this.#text += "# EOF\n";
  }

  /** OpenMetrics writes whole numbers as `1.0`, and Prometheus takes `1` of the text format for that since version 3. */
  #prepare(declared: HistogramMetric<never>): void {
    const { name, bounds } = declared;
    const texts = bounds.map((bound) =>
      this.#openMetrics && Number.isInteger(bound) ? `${bound}.0` : `${bound}`,
    );
    this.#buckets = [...texts, "+Inf"].map((text) => `${name}_bucket{le="${text}"`);
    this.#histogram = declared;
  }
}

function withoutTotal(name: string): string {
  return name.endsWith(TOTAL) ? name.slice(0, -TOTAL.length) : name;
}

function labelText(names: readonly string[], values: readonly string[]): string {
  const known = texts.get(values);
  if (known?.names === names) return known.text;
  let text = "";
  for (const [index, name] of names.entries()) {
    text += `${index === 0 ? "" : ","}${name}="${escapeValue(values[index] ?? "")}"`;
  }
  texts.set(values, { names, text });
  return text;
}

function exemplarText({ traceId, value, atMs }: Exemplar): string {
  return ` # {trace_id="${escapeValue(traceId)}"} ${numberText(value)} ${atMs / 1000}`;
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : `${value}`;
}

function escapeHelp(text: string, quotes: boolean): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return quotes ? escaped.replaceAll('"', '\\"') : escaped;
}

function escapeValue(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
