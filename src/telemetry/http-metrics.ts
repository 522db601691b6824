import { HTTP2_ERRORS, HTTP2_SIDES, type Http2Count, type Http2Side } from "../core/http2.ts";
import type { MetricDeclaration, MetricsSources, Sample } from "./metric-declaration.ts";

/** Names of the major versions, as the access log has them. */
const CLIENTS = [
  [1, "HTTP/1"],
  [2, "HTTP/2"],
] as const;
const ENDPOINTS = [[0, "none"], ...CLIENTS] as const;

function* versions({ series }: MetricsSources): Generator<Sample> {
  for (const [client, name] of CLIENTS) {
    for (const [upstream, upstreamName] of ENDPOINTS) {
      yield [[name, upstreamName], series.total((region) => region.versions(client, upstream))];
    }
  }
}

/** By side and error code. Codes that never came have no line: there are 15, and most never come. */
function* byCode(
  { series }: MetricsSources,
  what: Http2Count,
  more: readonly string[] = [],
): Generator<Sample> {
  for (const side of HTTP2_SIDES) {
    for (const [code, count] of countsOf(series, side, what).entries()) {
      if (count > 0) yield [[side, ...more, HTTP2_ERRORS[code] ?? "UNKNOWN"], count];
    }
  }
}

function countsOf(
  series: MetricsSources["series"],
  side: Http2Side,
  what: Http2Count,
): readonly number[] {
  return series.totals((region) => region.http2(side, what));
}

function* goaways(sources: MetricsSources): Generator<Sample> {
  yield* byCode(sources, "goaway-sent", ["sent"]);
  yield* byCode(sources, "goaway-received", ["received"]);
}

/** Which versions of HTTP are spoken, and what happens to connections of HTTP/2. */
export const HTTP_METRICS: readonly MetricDeclaration[] = [
  {
    type: "counter",
    name: "hostmesh_http_versions_total",
    help: "HTTP requests by the version that the client speaks, and the one that the endpoint was spoken to in",
    labels: ["client", "upstream"],
    read: versions,
  },
  {
    type: "counter",
    name: "hostmesh_http2_streams_refused_total",
    help: "Requests of HTTP/2 turned away unseen, as their connection had too many, or was ending",
    labels: [],
    read: ({ series }) => [[[], sum(countsOf(series, "downstream", "refused"))]],
  },
  {
    type: "counter",
    name: "hostmesh_http2_sessions_failed_total",
    help: "Connections of HTTP/2 that were ended here for an error, by its code",
    labels: ["side", "reason"],
    read: (sources) => byCode(sources, "failed"),
  },
  {
    type: "counter",
    name: "hostmesh_http2_goaways_total",
    help: "GOAWAY frames, by their error code",
    labels: ["side", "direction", "reason"],
    read: goaways,
  },
  {
    type: "counter",
    name: "hostmesh_http2_resets_received_total",
    help: "RST_STREAM frames that peers sent, by their error code",
    labels: ["side", "reason"],
    read: (sources) => byCode(sources, "reset-received"),
  },
];

function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}
