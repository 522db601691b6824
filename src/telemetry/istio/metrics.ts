import type {
  HistogramMetric,
  HistogramSample,
  MetricDeclaration,
  MetricsSources,
  Sample,
  ValueMetric,
} from "../metric-declaration.ts";
import { ISTIO_CONNECTION, ISTIO_REQUEST, SHAPES } from "../series.ts";
import { ISTIO_BOUNDS } from "./buckets.ts";
import { BOTH, REPORTER_AT, SECURITY_AT, UNKNOWN } from "./labels.ts";

type IstioTable = "istio_requests" | "istio_connections";
type IstioName = `istio_${string}`;

const sides = new WeakMap<readonly string[], readonly (readonly string[])[]>();

/** The labels of each side that reports: two for a call within one host. */
function reported(labels: readonly string[]): readonly (readonly string[])[] {
  const known = sides.get(labels);
  if (known !== undefined) return known;
  const reporter = labels[REPORTER_AT] ?? "";
  const names = reporter === BOTH ? ["source", "destination"] : [reporter];
  const made = names.map((name) =>
    labels.with(REPORTER_AT, name).with(SECURITY_AT, securityOf(name, labels)),
  );
  sides.set(labels, made);
  return made;
}

/** A caller's Envoy says of what is no mutual TLS that it does not know. */
function securityOf(reporter: string, labels: readonly string[]): string {
  const security = labels[SECURITY_AT] ?? "";
  return reporter === "source" && security === "none" ? UNKNOWN : security;
}

function counter(table: IstioTable, name: IstioName, help: string, word: number): ValueMetric {
  function* read({ series }: MetricsSources): Generator<Sample> {
    for (const group of series.groups(table)) {
      for (const labels of reported(group.labels)) yield [labels, group.sum(word)];
    }
  }
  return { type: "counter", name, help, labels: SHAPES[table].labels, read };
}

function histogram(name: IstioName, help: string, word: number): HistogramMetric {
  function* read({ series }: MetricsSources): Generator<HistogramSample> {
    for (const group of series.groups("istio_requests")) {
      const buckets = new Array<number>(ISTIO_BOUNDS.length + 1).fill(0);
      group.addTo(buckets, word + 1, buckets.length);
      const sum = group.sum(word);
      for (const labels of reported(group.labels)) yield { labels, buckets, sum };
    }
  }
  const { labels } = SHAPES.istio_requests;
  return { type: "histogram", name, help, labels, bounds: ISTIO_BOUNDS, read };
}

/** Istio's standard metrics, for what is made to read them (`telemetry.istioMetrics`). */
export const ISTIO_METRICS: readonly MetricDeclaration[] = [
  counter("istio_requests", "istio_requests_total", "Requests that ended", ISTIO_REQUEST.count),
  histogram("istio_request_duration_milliseconds", "Duration of requests", ISTIO_REQUEST.duration),
  histogram("istio_request_bytes", "Size of request bodies", ISTIO_REQUEST.requestBytes),
  histogram("istio_response_bytes", "Size of response bodies", ISTIO_REQUEST.responseBytes),
  counter(
    "istio_connections",
    "istio_tcp_connections_opened_total",
    "TCP connections opened",
    ISTIO_CONNECTION.opened,
  ),
  counter(
    "istio_connections",
    "istio_tcp_connections_closed_total",
    "TCP connections that ended",
    ISTIO_CONNECTION.closed,
  ),
  counter(
    "istio_connections",
    "istio_tcp_sent_bytes_total",
    "Bytes from the called end of TCP connections that ended",
    ISTIO_CONNECTION.sent,
  ),
  counter(
    "istio_connections",
    "istio_tcp_received_bytes_total",
    "Bytes from the caller of TCP connections that ended",
    ISTIO_CONNECTION.received,
  ),
];
