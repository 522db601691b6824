import {
  FINE_BUCKETS,
  PART_SECONDS,
  PROXY_SECONDS,
  QUEUE_SECONDS,
  REQUEST_SECONDS,
  SIZE_BYTES,
} from "./buckets.ts";
import type {
  HistogramMetric,
  HistogramSample,
  MetricDeclaration,
  MetricsSources,
  Sample,
} from "./metric-declaration.ts";
import { DESTINATION, ENDPOINT, FLOW, OUTCOME, PAIR, RETRY_REASONS, SHAPES } from "./series.ts";
import type { SeriesGroup } from "./series-reader.ts";
import type { TableName } from "./slot-table.ts";

/** What the label sets of one table say in one word each. */
function words(table: TableName, word: number): (sources: MetricsSources) => Iterable<Sample> {
  return function* ({ series }) {
    for (const group of series.groups(table)) yield [group.labels, group.sum(word)];
  };
}

function* retries({ series }: MetricsSources): Generator<Sample> {
  for (const group of series.groups("destinations")) {
    for (const [index, code] of RETRY_REASONS.entries()) {
      const count = group.sum(DESTINATION.retries + index);
      if (count > 0) yield [[...group.labels, code], count];
    }
  }
}

function zeroes(bounds: readonly number[]): number[] {
  return new Array<number>(bounds.length + 1).fill(0);
}

function durationOf(group: SeriesGroup): HistogramSample {
  const buckets = zeroes(REQUEST_SECONDS.bounds);
  group.addTo(buckets, FLOW.fine, FINE_BUCKETS, REQUEST_SECONDS.ofFine);
  return { labels: group.labels, buckets, sum: group.sum(FLOW.sumMs) / 1000 };
}

/** Rate, errors and duration of single routes or endpoints. */
function perPart(table: "routes" | "endpoints", what: "route" | "endpoint"): MetricDeclaration[] {
  const { labels } = SHAPES[table];
  return [
    {
      type: "counter",
      name: `hostmesh_${what}_requests_total`,
      help: `Requests and tunnels that ended, by ${what}`,
      labels,
      read: words(table, ENDPOINT.count),
    },
    {
      type: "counter",
      name: `hostmesh_${what}_failures_total`,
      help: FAILURES[what],
      labels,
      read: words(table, ENDPOINT.failures),
    },
    {
      type: "histogram",
      name: `hostmesh_${what}_duration_seconds`,
      help: `Duration of HTTP requests, by ${what}`,
      labels,
      bounds: PART_SECONDS.bounds,
      *read({ series }) {
        for (const group of series.groups(table)) {
          const buckets = zeroes(PART_SECONDS.bounds);
          group.addTo(buckets, ENDPOINT.fine, FINE_BUCKETS, PART_SECONDS.ofFine);
          yield { labels: group.labels, buckets, sum: group.sum(ENDPOINT.sumMs) / 1000 };
        }
      },
    },
  ];
}

const FAILURES = {
  route: "Those that the mesh or the service failed: 5xx, and errors that are not the client's own",
  endpoint: "Those that the endpoint itself failed",
} as const;

/** A histogram of what each destination saw: its sum and its buckets are neighbours in memory. */
function perDestination(
  name: HistogramMetric["name"],
  help: string,
  bounds: readonly number[],
  { sum, first, unit }: { sum: number; first: number; unit: number },
): HistogramMetric {
  function* read({ series }: MetricsSources): Generator<HistogramSample> {
    for (const group of series.groups("destinations")) {
      const buckets = zeroes(bounds);
      group.addTo(buckets, first, buckets.length);
      yield { labels: group.labels, buckets, sum: group.sum(sum) / unit };
    }
  }
  return { type: "histogram", name, help, labels: ["destination"], bounds, read };
}

function* proxyTime({ series }: MetricsSources): Generator<HistogramSample> {
  for (const protocol of ["http", "tcp"] as const) {
    const [sumMs = 0, ...buckets] = series.totals((region) => region.proxyTime(protocol));
    yield { labels: [protocol], buckets, sum: sumMs / 1000 };
  }
}

/** What callers asked of services, and how it went. */
export const TRAFFIC_METRICS: readonly MetricDeclaration[] = [
  {
    type: "counter",
    name: "hostmesh_requests_total",
    help: "Requests and tunnels that ended, by caller, service, class of the status and error code",
    labels: SHAPES.outcomes.labels,
    read: words("outcomes", OUTCOME.count),
  },
  {
    type: "histogram",
    name: "hostmesh_request_duration_seconds",
    help: "From the complete request head to the end of the response; of a tunnel, its whole life",
    labels: SHAPES.flows.labels,
    bounds: REQUEST_SECONDS.bounds,
    *read({ series }) {
      for (const group of series.groups("flows")) {
        yield { ...durationOf(group), exemplars: series.exemplars.of(group.key) };
      }
    },
  },
  {
    type: "gauge",
    name: "hostmesh_requests_in_flight",
    help: "Requests and tunnels that have begun and not ended",
    labels: SHAPES.pairs.labels,
    read: words("pairs", PAIR.inFlight),
  },
  {
    type: "counter",
    name: "hostmesh_request_bytes_total",
    help: "Bytes of request bodies with their chunked coding, or from the client through a tunnel",
    labels: SHAPES.flows.labels,
    read: words("flows", FLOW.requestBytes),
  },
  {
    type: "counter",
    name: "hostmesh_response_bytes_total",
    help: "Bytes of response bodies with their chunked coding, or to the client through a tunnel",
    labels: SHAPES.flows.labels,
    read: words("flows", FLOW.responseBytes),
  },
  {
    type: "counter",
    name: "hostmesh_request_messages_total",
    help: "Messages that callers sent in calls of gRPC",
    labels: SHAPES.flows.labels,
    read: words("flows", FLOW.requestMessages),
  },
  {
    type: "counter",
    name: "hostmesh_response_messages_total",
    help: "Messages that callers were sent in calls of gRPC",
    labels: SHAPES.flows.labels,
    read: words("flows", FLOW.responseMessages),
  },
  perDestination(
    "hostmesh_request_size_bytes",
    "Body of one HTTP request, with its chunked coding",
    SIZE_BYTES,
    {
      sum: DESTINATION.requestSum,
      first: DESTINATION.requestSizes,
      unit: 1,
    },
  ),
  perDestination(
    "hostmesh_response_size_bytes",
    "Body of one HTTP response, with its chunked coding",
    SIZE_BYTES,
    {
      sum: DESTINATION.responseSum,
      first: DESTINATION.responseSizes,
      unit: 1,
    },
  ),
  perDestination(
    "hostmesh_queue_time_seconds",
    "Time that an HTTP request waited for a pooled connection",
    QUEUE_SECONDS.bounds,
    { sum: DESTINATION.queueSumMs, first: DESTINATION.queue, unit: 1000 },
  ),
  {
    type: "histogram",
    name: "hostmesh_proxy_time_seconds",
    help: "Time that one exchange spent in the proxy itself",
    labels: ["protocol"],
    bounds: PROXY_SECONDS.bounds,
    read: proxyTime,
  },
  {
    type: "counter",
    name: "hostmesh_retries_total",
    help: "Requests sent again, by the error that made it necessary",
    labels: ["destination", "error"],
    read: retries,
  },
  {
    type: "counter",
    name: "hostmesh_ejections_total",
    help: "Endpoints taken out of balancing for failing",
    labels: ["destination"],
    read: words("destinations", DESTINATION.ejections),
  },
  ...perPart("routes", "route"),
  ...perPart("endpoints", "endpoint"),
];
