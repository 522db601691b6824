import { type CheckGroup, type Finding, ok, skipped, warning } from "./finding.ts";

/** Counters of what a daemon had to leave out, by name and labels, and what to do about each. */
const LOSSES: readonly (readonly [pattern: RegExp, remedy: string])[] = [
  [
    /^hostmesh_metric_series_folded_total\b/,
    "Raise limits.metricSeries, or look for a label that has too many values (docs/metrics.md).",
  ],
  [
    /^hostmesh_access_log_dropped_total\b/,
    "Who reads the daemon's standard output is too slow: sample the access log, or log failures only.",
  ],
  [
    /^hostmesh_trace_spans_total\{result="dropped"\}/,
    "Can the collector of telemetry.tracing be reached, and does it keep up? Lower the sampling rate.",
  ],
  [
    /^hostmesh_trace_spans_total\{result="refused"\}/,
    "The collector does not take them: the daemon's log has its status. Look at telemetry.tracing.endpoint and headersFile.",
  ],
  [/^hostmesh_rate_limit_overflows_total\b/, "Raise limits.rateBuckets."],
];

const PATIENCE_MS = 5_000;
const SAMPLE = /^(\w+)(\{[^}]*\})? (\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/i;

/** Has this host's daemon lost anything that it should have told: metrics, log lines, spans? */
export function lossesGroup(metricsPort: number): CheckGroup {
  return {
    title: "telemetry",
    async run() {
      const text = await scrape(metricsPort);
      return text === null
        ? [skipped(`the metrics at port ${metricsPort} of this host cannot be read`)]
        : lossFindings(text);
    },
  };
}

async function scrape(port: number): Promise<string | null> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`, {
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return answer.ok ? await answer.text() : null;
  } catch {
    // Whoever is not there has been told of by the group of the daemon.
    return null;
  }
}

/** What a text of Prometheus' format says of losses. */
export function lossFindings(text: string): Finding[] {
  const found = text.split("\n").flatMap((line) => {
    const [, name = "", labels = "", value = "0"] = SAMPLE.exec(line) ?? [];
    const [, remedy] = LOSSES.find(([pattern]) => pattern.test(name + labels)) ?? [];
    return remedy === undefined || Number(value) === 0
      ? []
      : [warning(`${name}${labels} is ${value} since the start`, remedy)];
  });
  return found.length > 0 ? found : [ok("no metric, log line or span was lost")];
}
