import type { MeshErrorCode } from "../core/errors.ts";
import type {
  DataEvent,
  Detection,
  Entry,
  Recorder,
  RequestFacts,
  RetryReason,
  TrafficSource,
} from "../core/facts.ts";
import { judgedStatus } from "../core/grpc.ts";
import type { Http2Count, Http2Side } from "../core/http2.ts";
import { keyOf } from "../core/model.ts";
import type { DataEndpoint, DataService } from "../core/snapshot.ts";
import { fineBucket, QUEUE_SECONDS, sizeBucket } from "./buckets.ts";
import {
  CODE_CLASSES,
  codeClass,
  HTTP,
  isEndpointFailure,
  PROTOCOLS,
  protocolOf,
} from "./outcome.ts";
import {
  DESTINATION,
  ENDPOINT,
  FLOW,
  OUTCOME,
  PAIR,
  RETRY_REASONS,
  type Series,
} from "./series.ts";
import { type Handle, type SeriesLabel, SlotAllotter } from "./slot-allotter.ts";
import type { SlotTable, TableName } from "./slot-table.ts";

/** Takes the facts of each exchange; `false`: it had to be dropped. */
export interface ExchangeLog {
  write(facts: Readonly<RequestFacts>): boolean;
}

export interface WorkerRecorderOptions {
  readonly series: Series;
  /** What `SeriesReader.known` says of this region: the slots of the worker that had it before. */
  readonly known?: readonly SeriesLabel[];
  /** Called once per new label set, synchronously; post it to the main thread. */
  readonly onSeries: (label: SeriesLabel) => void;
  readonly log?: ExchangeLog | null;
}

/** Label values of `source` and `destination` where there is no workload or no service. */
const UNKNOWN_SOURCE = "unknown";
const PASSTHROUGH = "passthrough";
/** Places of the entries among a pair's flows. */
const ENTRIES: Readonly<Record<Entry, number>> = {
  captured: 0,
  explicit: 1,
  passthrough: 2,
  mesh: 3,
  inbound: 4,
};
const NO_DESTINATION = "none";

interface Flow {
  readonly handle: Handle;
  readonly labels: readonly [source: string, destination: string, entry: Entry, protocol: string];
  /** By code class; exchanges without an error. */
  readonly clean: (Handle | undefined)[];
  readonly failed: Map<MeshErrorCode, (Handle | undefined)[]>;
}

/**
 * One source and one service. What nearly every request needs stands in this one object, because with many services
 * each object that is looked at is one more that is in no cache.
 */
interface Pair {
  /** Of all tables, when the bases were found. */
  releases: number;
  inFlight: number;
  destination: number;
  /** Flow and outcome of the last exchange, which most likely are those of the next one, too. */
  flowIndex: number;
  flow: number;
  code: number;
  error: MeshErrorCode | null;
  outcome: number;
  readonly handles: {
    readonly inFlight: Handle;
    readonly destination: Handle;
    /** By entry, then protocol. */
    readonly flows: (Flow | undefined)[];
  };
}

interface EndpointSeries {
  readonly endpoint: DataEndpoint;
  readonly handle: Handle;
  releases: number;
  base: number;
}

/** Keys of the caches where there is no object to use. */
const NO_SERVICE = {};
const NO_SOURCE = {};
/** No index and no number of releases. */
const NOTHING = -1;

/**
 * Counts what one worker does in its region of shared memory. Label sets are found through the identity
 * of the snapshot's objects, so that the hot path makes no string and allocates nothing; only the first
 * use of an object looks its labels up by name. Every `started` is ended by one `exchange` that names the
 * same source and service.
 */
export class WorkerRecorder implements Recorder {
  readonly #series: Series;
  readonly #log: ExchangeLog | null;
  readonly #pairs: SlotAllotter;
  readonly #flows: SlotAllotter;
  readonly #outcomes: SlotAllotter;
  readonly #destinations: SlotAllotter;
  readonly #endpoints: SlotAllotter;
  /** By source, of which there are few, then by service. */
  readonly #bySource = new WeakMap<object, WeakMap<object, Pair>>();
  /** For what is counted once in a while and has no source. */
  readonly #byService = new WeakMap<object, Handle>();
  /** By the endpoint's slot in the shared endpoint state, which is dense. */
  readonly #byEndpoint: (EndpointSeries | undefined)[] = [];

  constructor({ series, known = [], onSeries, log = null }: WorkerRecorderOptions) {
    this.#series = series;
    this.#log = log;
    series.adopt();
    const allotter = (name: TableName) => new SlotAllotter(series.tables[name], known, onSeries);
    this.#pairs = allotter("pairs");
    this.#flows = allotter("flows");
    this.#outcomes = allotter("outcomes");
    this.#destinations = allotter("destinations");
    this.#endpoints = allotter("endpoints");
  }

  started(source: TrafficSource | null, service: DataService | null): void {
    const base = this.#pair(source, service).inFlight;
    const { words } = this.#series.tables.pairs;
    this.#pairs.use(base);
    add(words, base + PAIR.started, 1);
    add(words, base + PAIR.inFlight, 1);
  }

  exchange(facts: Readonly<RequestFacts>): void {
    const pair = this.#pair(facts.source, facts.service);
    this.#ended(pair.inFlight);
    this.#choose(pair, facts);
    const fine = fineBucket(facts.durationMs);
    this.#countFlow(pair.flow, facts, fine);
    this.#outcomes.use(pair.outcome);
    add(this.#series.tables.outcomes.words, pair.outcome + OUTCOME.count, 1);
    this.#countDestination(pair.destination, facts);
    if (facts.endpoint !== null) this.#countEndpoint(facts.endpoint, facts, fine);
    this.#series.countProxyTime(facts);
    if (facts.version !== 0) this.#series.countVersions(facts);
    if (this.#log !== null) this.#series.countAccessLog(this.#log.write(facts));
  }

  event(event: DataEvent): void {
    this.#series.countEvent(event);
  }

  detection(found: Detection): void {
    this.#series.countDetection(found);
  }

  http2(side: Http2Side, what: Http2Count, code: number): void {
    this.#series.countHttp2(side, what, code);
  }

  retry(service: DataService | null, reason: RetryReason): void {
    const base = this.#destination(service);
    const { words } = this.#series.tables.destinations;
    add(words, base + DESTINATION.uses, 1);
    add(words, base + DESTINATION.retries + RETRY_REASONS.indexOf(reason), 1);
  }

  ejection(service: DataService | null, _endpoint: DataEndpoint): void {
    const base = this.#destination(service);
    const { words } = this.#series.tables.destinations;
    add(words, base + DESTINATION.uses, 1);
    add(words, base + DESTINATION.ejections, 1);
  }

  #ended(base: number): void {
    const { words } = this.#series.tables.pairs;
    const index = base + PAIR.inFlight;
    this.#pairs.use(base);
    // The label set may have moved to a fresh slot since it started: a gauge never falls below zero.
    if ((words[index] ?? 0) > 0) add(words, index, -1);
  }

  #countFlow(base: number, facts: Readonly<RequestFacts>, fine: number): void {
    const { words } = this.#series.tables.flows;
    this.#flows.use(base);
    add(words, base + FLOW.count, 1);
    add(words, base + FLOW.requestBytes, facts.requestBytes);
    add(words, base + FLOW.responseBytes, facts.responseBytes);
    add(words, base + FLOW.requestMessages, facts.requestMessages);
    add(words, base + FLOW.responseMessages, facts.responseMessages);
    words[base + FLOW.sumMs] = (words[base + FLOW.sumMs] ?? 0) + facts.durationMs;
    add(words, base + FLOW.fine + fine, 1);
  }

  #countDestination(base: number, facts: Readonly<RequestFacts>): void {
    const { words } = this.#series.tables.destinations;
    this.#destinations.use(base);
    add(words, base + DESTINATION.uses, 1);
    if (protocolOf(facts) !== HTTP) return;
    add(words, base + DESTINATION.requestSum, facts.requestBytes);
    add(words, base + DESTINATION.requestSizes + sizeBucket(facts.requestBytes), 1);
    add(words, base + DESTINATION.responseSum, facts.responseBytes);
    add(words, base + DESTINATION.responseSizes + sizeBucket(facts.responseBytes), 1);
    if (facts.endpoint === null) return;
    const queue = QUEUE_SECONDS.ofFine[fineBucket(facts.queueMs)] ?? 0;
    words[base + DESTINATION.queueSumMs] =
      (words[base + DESTINATION.queueSumMs] ?? 0) + facts.queueMs;
    add(words, base + DESTINATION.queue + queue, 1);
  }

  #countEndpoint(endpoint: DataEndpoint, facts: Readonly<RequestFacts>, fine: number): void {
    const base = this.#endpoint(endpoint, facts.service);
    const { words } = this.#series.tables.endpoints;
    this.#endpoints.use(base);
    add(words, base + ENDPOINT.count, 1);
    if (isEndpointFailure(judgedStatus(facts.status, facts.grpcStatus), facts.error))
      add(words, base + ENDPOINT.failures, 1);
    if (protocolOf(facts) !== HTTP) return;
    words[base + ENDPOINT.sumMs] = (words[base + ENDPOINT.sumMs] ?? 0) + facts.durationMs;
    add(words, base + ENDPOINT.fine + fine, 1);
  }

  /** Grows whenever a slot of a pair's tables was released: until then its bases hold. */
  get #releases(): number {
    const served = this.#pairs.releases + this.#destinations.releases;
    return served + this.#flows.releases + this.#outcomes.releases;
  }

  /** With the bases of the pair itself as they are now. */
  #pair(source: TrafficSource | null, service: DataService | null): Pair {
    const services = this.#bySource.get(source ?? NO_SOURCE);
    const pair = services?.get(service ?? NO_SERVICE) ?? this.#newPair(source, service);
    const releases = this.#releases;
    if (pair.releases !== releases) {
      pair.releases = releases;
      pair.inFlight = this.#pairs.base(pair.handles.inFlight);
      pair.destination = this.#destinations.base(pair.handles.destination);
      pair.flowIndex = NOTHING;
    }
    return pair;
  }

  #newPair(source: TrafficSource | null, service: DataService | null): Pair {
    const labels = [nameOf(source), service?.key ?? NO_DESTINATION];
    const inFlight = this.#pairs.handle(labels);
    const handles = { inFlight, destination: this.#destinationOf(service), flows: [] };
    const bases = { inFlight: 0, destination: 0, flow: 0, outcome: 0 };
    const last = { releases: NOTHING, flowIndex: NOTHING, code: NOTHING, error: null };
    const pair: Pair = { ...bases, ...last, handles };
    let services = this.#bySource.get(source ?? NO_SOURCE);
    if (services === undefined) {
      services = new WeakMap();
      this.#bySource.set(source ?? NO_SOURCE, services);
    }
    services.set(service ?? NO_SERVICE, pair);
    return pair;
  }

  #destination(service: DataService | null): number {
    const base = this.#destinations.base(this.#destinationOf(service));
    this.#destinations.use(base);
    return base;
  }

  #destinationOf(service: DataService | null): Handle {
    const known = this.#byService.get(service ?? NO_SERVICE);
    if (known !== undefined) return known;
    const handle = this.#destinations.handle([service?.key ?? NO_DESTINATION]);
    this.#byService.set(service ?? NO_SERVICE, handle);
    return handle;
  }

  /** Sets the pair's bases of flow and outcome to those of this exchange. */
  #choose(pair: Pair, facts: Readonly<RequestFacts>): void {
    const index = ENTRIES[facts.entry] * PROTOCOLS.length + protocolOf(facts);
    const code = codeClass(judgedStatus(facts.status, facts.grpcStatus));
    if (pair.flowIndex === index && pair.code === code && pair.error === facts.error) return;
    const flow = pair.handles.flows[index] ?? this.#newFlow(pair, index, facts);
    pair.flowIndex = index;
    pair.flow = this.#flows.base(flow.handle);
    pair.code = code;
    pair.error = facts.error;
    pair.outcome = this.#outcomes.base(this.#outcome(flow, code, facts.error));
  }

  #newFlow(pair: Pair, index: number, facts: Readonly<RequestFacts>): Flow {
    const protocol = PROTOCOLS[index % PROTOCOLS.length] ?? facts.protocol;
    const outside = facts.entry === "passthrough" ? PASSTHROUGH : NO_DESTINATION;
    const source = nameOf(facts.source);
    const labels = [source, facts.service?.key ?? outside, facts.entry, protocol] as const;
    const flow = { handle: this.#flows.handle(labels), labels, clean: [], failed: new Map() };
    pair.handles.flows[index] = flow;
    return flow;
  }

  #outcome(flow: Flow, code: number, error: MeshErrorCode | null): Handle {
    const byClass = error === null ? flow.clean : flow.failed.get(error);
    return byClass?.[code] ?? this.#newOutcome(flow, code, error);
  }

  #newOutcome(flow: Flow, code: number, error: MeshErrorCode | null): Handle {
    const [source, destination, entry, protocol] = flow.labels;
    const name = CODE_CLASSES[code] ?? CODE_CLASSES[0];
    const handle = this.#outcomes.handle([source, destination, name, error ?? "", entry, protocol]);
    const byClass = error === null ? flow.clean : (flow.failed.get(error) ?? []);
    byClass[code] = handle;
    if (error !== null) flow.failed.set(error, byClass);
    return handle;
  }

  #endpoint(endpoint: DataEndpoint, service: DataService | null): number {
    const known = this.#byEndpoint[endpoint.slot];
    const series = known?.endpoint === endpoint ? known : this.#newEndpoint(endpoint, service);
    const { releases } = this.#endpoints;
    if (series.releases !== releases) {
      series.releases = releases;
      series.base = this.#endpoints.base(series.handle);
    }
    return series.base;
  }

  #newEndpoint(endpoint: DataEndpoint, service: DataService | null): EndpointSeries {
    const handle = this.#endpoints.handle([service?.key ?? NO_DESTINATION, endpoint.id]);
    const series = { endpoint, handle, releases: NOTHING, base: 0 };
    this.#byEndpoint[endpoint.slot] = series;
    return series;
  }
}

/** The containers of one service that nobody registered by name have keys of their own but one name. */
function nameOf(source: TrafficSource | null): string {
  return source === null ? UNKNOWN_SOURCE : keyOf(source);
}

/** For whole numbers: a fraction would be boxed wherever the compiler does not inline the call. */
function add(words: SlotTable["words"], index: number, value: number): void {
  words[index] = (words[index] ?? 0) + value;
}
