import { CODES, type MeshErrorCode } from "../core/errors.ts";
import {
  type DataEvent,
  type Detection,
  EVENTS,
  type RequestFacts,
  type RetryReason,
} from "../core/facts.ts";
import {
  HTTP2_COUNTS,
  HTTP2_ERRORS,
  HTTP2_SIDES,
  type Http2Count,
  type Http2Side,
  http2ErrorIndex,
} from "../core/http2.ts";
import { FINE_BUCKETS, fineBucket, PROXY_SECONDS, QUEUE_SECONDS, SIZE_BYTES } from "./buckets.ts";
import { ISTIO_BOUNDS } from "./istio/buckets.ts";
import { CONNECTION_LABELS, REQUEST_LABELS } from "./istio/labels.ts";
import { SlotTable, type TableName, type TableShape } from "./slot-table.ts";

/** Every failure code. */
export const ERROR_CODES = Object.keys(CODES) as readonly MeshErrorCode[];

/** Every reason for a retry, in the order in which they are counted. */
export const RETRY_REASONS: readonly RetryReason[] = [...ERROR_CODES, "STATUS"];

const DETECTION_INDEX: Readonly<Record<Detection, number>> = {
  declared: 0,
  remembered: 1,
  http: 2,
  "client-first": 3,
  "server-first": 4,
  timeout: 5,
};

/** Every outcome of protocol detection, in the order in which they are counted. */
export const DETECTIONS = Object.keys(DETECTION_INDEX) as readonly Detection[];

/** Requests in flight of one source to one destination. */
export const PAIR = { started: 0, inFlight: 1 } as const;
/** Volume and latency between one source and one destination. Durations in ms. */
export const FLOW = {
  ...{ count: 0, requestBytes: 1, responseBytes: 2 },
  ...{ requestMessages: 3, responseMessages: 4, sumMs: 5, fine: 6 },
} as const;
/** How exchanges of one flow ended. */
export const OUTCOME = { count: 0 } as const;
/** What one endpoint got, or one route. Only HTTP exchanges count into latency: a tunnel's life is none. */
export const ENDPOINT = {
  ...{ count: 0, failures: 1, sumMs: 2, requestBytes: 3, responseBytes: 4, fine: 5 },
} as const;
export const ROUTE = ENDPOINT;

const SIZES = SIZE_BYTES.length + 1;
const QUEUES = QUEUE_SECONDS.bounds.length + 1;
const PROXIES = PROXY_SECONDS.bounds.length + 1;

/** What one destination saw, whoever called. `uses` only tells whether it is idle. */
export const DESTINATION = {
  uses: 0,
  ejections: 1,
  queueSumMs: 2,
  queue: 3,
  requestSum: 3 + QUEUES,
  requestSizes: 4 + QUEUES,
  responseSum: 4 + QUEUES + SIZES,
  responseSizes: 5 + QUEUES + SIZES,
  retries: 5 + QUEUES + 2 * SIZES,
} as const;

/** Sum and buckets of one of Istio's histograms. */
const ISTIO_HISTOGRAM = 1 + ISTIO_BOUNDS.length + 1;
/** Requests under Istio's labels: their number, and where each histogram begins. Durations in ms. */
export const ISTIO_REQUEST = {
  count: 0,
  duration: 1,
  requestBytes: 1 + ISTIO_HISTOGRAM,
  responseBytes: 1 + 2 * ISTIO_HISTOGRAM,
} as const;
/** TCP connections under Istio's labels. `uses` only tells whether it is idle. */
export const ISTIO_CONNECTION = { uses: 0, opened: 1, closed: 2, sent: 3, received: 4 } as const;

/** The label sets that are counted, in the order in which their tables lie in memory. */
export const SHAPES: Readonly<Record<TableName, TableShape>> = {
  pairs: { name: "pairs", labels: ["source", "destination"], words: 2 },
  flows: {
    name: "flows",
    labels: ["source", "destination", "entry", "protocol", "security"],
    words: FLOW.fine + FINE_BUCKETS,
  },
  outcomes: {
    name: "outcomes",
    labels: ["source", "destination", "code", "error", "entry", "protocol", "security"],
    words: 1,
  },
  destinations: {
    name: "destinations",
    labels: ["destination"],
    words: DESTINATION.retries + RETRY_REASONS.length,
  },
  endpoints: {
    name: "endpoints",
    labels: ["destination", "endpoint"],
    words: ENDPOINT.fine + FINE_BUCKETS,
  },
  routes: {
    name: "routes",
    labels: ["source", "destination", "route"],
    words: ROUTE.fine + FINE_BUCKETS,
  },
  istio_requests: {
    name: "istio_requests",
    labels: REQUEST_LABELS,
    words: ISTIO_REQUEST.responseBytes + ISTIO_HISTOGRAM,
  },
  istio_connections: { name: "istio_connections", labels: CONNECTION_LABELS, words: 5 },
};

export const TABLES = Object.keys(SHAPES) as readonly TableName[];

const EVENT_INDEX = Object.fromEntries(EVENTS.map((event, index) => [event, index])) as Readonly<
  Record<DataEvent, number>
>;

/** Counters without labels: words of one array. */
const FIXED = {
  detections: EVENTS.length,
  accessLogLines: EVENTS.length + DETECTIONS.length,
  accessLogDropped: EVENTS.length + DETECTIONS.length + 1,
  /** Twice a sum in ms and the buckets of `PROXY_SECONDS`: for HTTP, then for TCP. */
  proxy: EVENTS.length + DETECTIONS.length + 2,
} as const;
const VERSIONS_AT = FIXED.proxy + 2 * (1 + PROXIES);
/** Major versions of HTTP: 0 (none), 1, 2. */
const MAJORS = 3;
/** For each side and each kind of count one word for each error code. */
const HTTP2_AT = VERSIONS_AT + MAJORS * MAJORS;
const CODES_EACH = HTTP2_ERRORS.length;
const FIXED_WORDS = HTTP2_AT + HTTP2_SIDES.length * HTTP2_COUNTS.length * CODES_EACH;
const FIXED_BYTES = Math.ceil((FIXED_WORDS * 8) / 64) * 64;

/**
 * The counters of one worker in a region of shared memory: fixed ones, and tables of label sets. The
 * worker is the only writer (plain stores), the main thread reads. A worker that replaces a dead one
 * gets the same region, so counters never go backwards.
 */
export class Series {
  readonly tables: Readonly<Record<TableName, SlotTable>>;
  readonly #fixed: Float64Array;

  /** `seriesPerWorker` is `limits.metricSeries`: label sets per table. The region starts as zeroes. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, seriesPerWorker: number) {
    this.#fixed = new Float64Array(buffer, byteOffset, FIXED_WORDS);
    let offset = byteOffset + FIXED_BYTES;
    const table = (shape: TableShape): SlotTable => {
      const made = new SlotTable(buffer, offset, shape, seriesPerWorker);
      offset += SlotTable.bytesFor(shape, seriesPerWorker);
      return made;
    };
    this.tables = {
      pairs: table(SHAPES.pairs),
      flows: table(SHAPES.flows),
      outcomes: table(SHAPES.outcomes),
      destinations: table(SHAPES.destinations),
      endpoints: table(SHAPES.endpoints),
      routes: table(SHAPES.routes),
      istio_requests: table(SHAPES.istio_requests),
      istio_connections: table(SHAPES.istio_connections),
    };
  }

  /** Bytes of one worker's region; a multiple of 64. Pages that no label set uses stay untouched. */
  static bytesFor(seriesPerWorker: number): number {
    let bytes = FIXED_BYTES;
    for (const name of TABLES) bytes += SlotTable.bytesFor(SHAPES[name], seriesPerWorker);
    return bytes;
  }

  /**
   * Takes the region over from a worker that is gone: what it had open ended with it. Counters stay,
   * gauges fall to zero. Does nothing to a fresh region.
   */
  adopt(): void {
    this.#settle("connection_opened", "connection_closed");
    this.#settle("upstream_connection_opened", "upstream_connection_closed");
    this.#settle("tunnel_opened", "tunnel_closed");
    const { words, capacity } = this.tables.pairs;
    for (let slot = 0; slot < capacity; slot += 1) {
      const index = slot * SHAPES.pairs.words + PAIR.inFlight;
      if (words[index] !== 0) words[index] = 0;
    }
  }

  #settle(opened: DataEvent, closed: DataEvent): void {
    this.#fixed[EVENT_INDEX[closed]] = this.event(opened);
  }

  countEvent(event: DataEvent): void {
    this.#add(EVENT_INDEX[event], 1);
  }

  countDetection(found: Detection): void {
    this.#add(FIXED.detections + DETECTION_INDEX[found], 1);
  }

  /** Counts the proxy's own time. Takes the facts whole: a number as argument may cost an allocation. */
  countProxyTime(facts: Pick<RequestFacts, "protocol" | "proxyMs">): void {
    const base = FIXED.proxy + (facts.protocol === "http" ? 0 : 1 + PROXIES);
    this.#add(base, facts.proxyMs);
    this.#add(base + 1 + (PROXY_SECONDS.ofFine[fineBucket(facts.proxyMs)] ?? 0), 1);
  }

  /** Counts an exchange by the versions of HTTP on both sides. */
  countVersions({ version, upstreamVersion }: Pick<RequestFacts, "version" | "upstreamVersion">) {
    this.#add(VERSIONS_AT + version * MAJORS + upstreamVersion, 1);
  }

  countHttp2(side: Http2Side, what: Http2Count, code: number): void {
    this.#add(http2At(side, what) + http2ErrorIndex(code), 1);
  }

  /** A line that the access log took, or refused because too much was waiting. */
  countAccessLog(taken: boolean): void {
    this.#add(taken ? FIXED.accessLogLines : FIXED.accessLogDropped, 1);
  }

  /** Lines that were taken, but could not be written. */
  countAccessLogLost(lines: number): void {
    this.#add(FIXED.accessLogDropped, lines);
  }

  event(event: DataEvent): number {
    return this.#fixed[EVENT_INDEX[event]] ?? 0;
  }

  detection(found: Detection): number {
    return this.#fixed[FIXED.detections + DETECTION_INDEX[found]] ?? 0;
  }

  accessLogLines(): number {
    return this.#fixed[FIXED.accessLogLines] ?? 0;
  }

  accessLogDropped(): number {
    return this.#fixed[FIXED.accessLogDropped] ?? 0;
  }

  /** Sum in ms, then the buckets of `PROXY_SECONDS`. A view, not a copy. */
  proxyTime(protocol: "http" | "tcp"): Float64Array {
    const base = FIXED.proxy + (protocol === "http" ? 0 : 1 + PROXIES);
    return this.#fixed.subarray(base, base + 1 + PROXIES);
  }

  /** Exchanges by the major versions of HTTP of client and endpoint. */
  versions(client: number, upstream: number): number {
    return this.#fixed[VERSIONS_AT + client * MAJORS + upstream] ?? 0;
  }

  /** Counts in the order of `HTTP2_ERRORS`. A view, not a copy. */
  http2(side: Http2Side, what: Http2Count): Float64Array {
    const base = http2At(side, what);
    return this.#fixed.subarray(base, base + CODES_EACH);
  }

  #add(index: number, value: number): void {
    this.#fixed[index] = (this.#fixed[index] ?? 0) + value;
  }
}

function http2At(side: Http2Side, what: Http2Count): number {
  const kind = HTTP2_SIDES.indexOf(side) * HTTP2_COUNTS.length + HTTP2_COUNTS.indexOf(what);
  return HTTP2_AT + kind * CODES_EACH;
}
