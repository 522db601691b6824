import type { MeshErrorCode } from "../core/errors.ts";
import type {
  DataEvent,
  Detection,
  Recorder,
  RequestFacts,
  RetryReason,
  TrafficSource,
} from "../core/facts.ts";
import { judgedStatus } from "../core/grpc.ts";
import type { Http2Count, Http2Side } from "../core/http2.ts";
import { SECURITIES } from "../core/security.ts";
import type { DataEndpoint, DataService } from "../core/snapshot.ts";
import { fineBucket, QUEUE_SECONDS, sizeBucket } from "./buckets.ts";
import type { TracedRequest } from "./exemplar-book.ts";
import { ExemplarPicker } from "./exemplar-picker.ts";
import type { FailureTeller } from "./failure-teller.ts";
import { IstioRecorder } from "./istio/recorder.ts";
import {
  CODE_CLASSES,
  codeClass,
  HTTP,
  isEndpointFailure,
  isFailedExchange,
  PROTOCOLS,
  protocolOf,
} from "./outcome.ts";
import {
  ENTRIES,
  type Flow,
  isRouted,
  NO_DESTINATION,
  nameOf,
  PASSTHROUGH,
  type Pair,
  SECURITY_INDEX,
} from "./pair.ts";
import {
  DESTINATION,
  ENDPOINT,
  FLOW,
  OUTCOME,
  PAIR,
  RETRY_REASONS,
  ROUTE,
  type Series,
} from "./series.ts";
import { type Handle, type SeriesLabel, SlotAllotter } from "./slot-allotter.ts";
import type { SlotTable, TableName } from "./slot-table.ts";

/** Takes the facts of each exchange; `false`: it had to be dropped, null: it is none for the log. */
export interface ExchangeLog {
  write(facts: Readonly<RequestFacts>): boolean | null;
}

export interface WorkerRecorderOptions {
  readonly series: Series;
  /** What `SeriesReader.known` says of this region: the slots of the worker that had it before. */
  readonly known?: readonly SeriesLabel[];
  /** Called once per new label set, synchronously; post it to the main thread. */
  readonly onSeries: (label: SeriesLabel) => void;
  readonly log?: ExchangeLog | null;
  /** Told of exchanges that failed. */
  readonly failures?: Pick<FailureTeller, "tell"> | null;
  /** Called at a low rate for requests whose trace is recorded; absent: nobody asks for them. */
  readonly onTraced?: (request: TracedRequest) => void;
  /** Name of the cluster, for Istio's metrics; absent: they are not counted. */
  readonly istioCluster?: string;
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
  /** Who looks at each exchange; may be set and taken away at any time. */
  log: ExchangeLog | null;
  readonly #series: Series;
  readonly #failures: Pick<FailureTeller, "tell"> | null;
  readonly #exemplars: ExemplarPicker | null;
  readonly #istio: IstioRecorder | null;
  readonly #pairs: SlotAllotter;
  readonly #flows: SlotAllotter;
  readonly #outcomes: SlotAllotter;
  readonly #destinations: SlotAllotter;
  readonly #endpoints: SlotAllotter;
  readonly #routes: SlotAllotter;
  /** By source, of which there are few, then by service. */
  readonly #bySource = new WeakMap<object, WeakMap<object, Pair>>();
  /** For what is counted once in a while and has no source. */
  readonly #byService = new WeakMap<object, Handle>();
  /** By the endpoint's slot in the shared endpoint state, which is dense. */
  readonly #byEndpoint: (EndpointSeries | undefined)[] = [];

  constructor(options: WorkerRecorderOptions) {
    const { series, known = [], onSeries, log = null, failures = null } = options;
    const { onTraced, istioCluster } = options;
    this.#series = series;
    this.log = log;
    this.#failures = failures;
    this.#istio =
      istioCluster === undefined ? null : new IstioRecorder(series, known, onSeries, istioCluster);
    this.#exemplars = onTraced === undefined ? null : new ExemplarPicker(onTraced);
    series.adopt();
    const allotter = (name: TableName) => new SlotAllotter(series.tables[name], known, onSeries);
    this.#pairs = allotter("pairs");
    this.#flows = allotter("flows");
    this.#outcomes = allotter("outcomes");
    this.#destinations = allotter("destinations");
    this.#endpoints = allotter("endpoints");
    this.#routes = allotter("routes");
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
    // What comes from another host counts there: else the mesh's sums would have it twice.
    if (facts.endpoint !== null && facts.entry !== "mesh")
      this.#countEndpoint(facts.endpoint, facts, fine);
    if (isRouted(facts)) this.#countRoute(pair, facts, fine);
    const flow = pair.handles.flows[pair.flowIndex];
    if (flow !== undefined) this.#exemplars?.offer(flow, facts, fine);
    this.#istio?.exchange(facts);
    this.#series.countProxyTime(facts);
    if (facts.version !== 0) this.#series.countVersions(facts);
    if (this.log !== null) this.#tell(this.log, facts);
    if (this.#failures !== null && hasFailed(facts)) this.#failures.tell(facts);
  }

  #tell(log: ExchangeLog, facts: Readonly<RequestFacts>): void {
    const taken = log.write(facts);
    if (taken !== null) this.#series.countAccessLog(taken);
  }

  opened(facts: Readonly<RequestFacts>): void {
    this.#istio?.opened(facts);
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
    add(words, base + ENDPOINT.requestBytes, facts.requestBytes);
    add(words, base + ENDPOINT.responseBytes, facts.responseBytes);
    if (isEndpointFailure(judgedStatus(facts.status, facts.grpcStatus), facts.error))
      add(words, base + ENDPOINT.failures, 1);
    if (protocolOf(facts) !== HTTP) return;
    words[base + ENDPOINT.sumMs] = (words[base + ENDPOINT.sumMs] ?? 0) + facts.durationMs;
    add(words, base + ENDPOINT.fine + fine, 1);
  }

  #countRoute(pair: Pair, facts: Readonly<RequestFacts>, fine: number): void {
    if (pair.routeName !== facts.route) {
      pair.routeName = facts.route;
      pair.route = this.#routes.base(
        pair.handles.routes.get(facts.route) ?? this.#newRoute(pair, facts),
      );
    }
    const base = pair.route;
    const { words } = this.#series.tables.routes;
    this.#routes.use(base);
    add(words, base + ROUTE.count, 1);
    add(words, base + ROUTE.requestBytes, facts.requestBytes);
    add(words, base + ROUTE.responseBytes, facts.responseBytes);
    const status = judgedStatus(facts.status, facts.grpcStatus);
    if (isFailedExchange(status, facts.error)) add(words, base + ROUTE.failures, 1);
    if (protocolOf(facts) !== HTTP) return;
    words[base + ROUTE.sumMs] = (words[base + ROUTE.sumMs] ?? 0) + facts.durationMs;
    add(words, base + ROUTE.fine + fine, 1);
  }

  #newRoute(pair: Pair, { source, service, route }: Readonly<RequestFacts>): Handle {
    const labels = [nameOf(source), service?.key ?? NO_DESTINATION, route];
    const handle = this.#routes.handle(labels);
    pair.handles.routes.set(route, handle);
    return handle;
  }

  /** Grows whenever a slot of a pair's tables was released: until then its bases hold. */
  get #releases(): number {
    const served = this.#pairs.releases + this.#destinations.releases;
    return served + this.#flows.releases + this.#outcomes.releases + this.#routes.releases;
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
      pair.routeName = "";
    }
    return pair;
  }

  #newPair(source: TrafficSource | null, service: DataService | null): Pair {
    const labels = [nameOf(source), service?.key ?? NO_DESTINATION];
    const inFlight = this.#pairs.handle(labels);
    const handles = {
      inFlight,
      destination: this.#destinationOf(service),
      flows: [],
      routes: new Map(),
    };
    const bases = { inFlight: 0, destination: 0, flow: 0, outcome: 0, route: 0, routeName: "" };
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
    const kind = ENTRIES[facts.entry] * PROTOCOLS.length + protocolOf(facts);
    const index = kind * SECURITIES.length + SECURITY_INDEX[facts.security];
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
    const protocol = PROTOCOLS[protocolOf(facts)] ?? facts.protocol;
    const outside = facts.entry === "passthrough" ? PASSTHROUGH : NO_DESTINATION;
    const source = nameOf(facts.source);
    const key = facts.service?.key ?? outside;
    const labels = [source, key, facts.entry, protocol, facts.security] as const;
    const flow = { handle: this.#flows.handle(labels), labels, clean: [], failed: new Map() };
    pair.handles.flows[index] = flow;
    return flow;
  }

  #outcome(flow: Flow, code: number, error: MeshErrorCode | null): Handle {
    const byClass = error === null ? flow.clean : flow.failed.get(error);
    return byClass?.[code] ?? this.#newOutcome(flow, code, error);
  }

  #newOutcome(flow: Flow, code: number, error: MeshErrorCode | null): Handle {
    const [source, destination, ...how] = flow.labels;
    const name = CODE_CLASSES[code] ?? CODE_CLASSES[0];
    const handle = this.#outcomes.handle([source, destination, name, error ?? "", ...how]);
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

function hasFailed({ status, grpcStatus, error }: Readonly<RequestFacts>): boolean {
  return isFailedExchange(judgedStatus(status, grpcStatus), error);
}

/** For whole numbers: a fraction would be boxed wherever the compiler does not inline the call. */
function add(words: SlotTable["words"], index: number, value: number): void {
  words[index] = (words[index] ?? 0) + value;
}
