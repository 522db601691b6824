import type { MeshErrorCode } from "../core/errors.ts";
import type { DataEvent, Detection, Entry, Recorder, RequestFacts } from "../core/facts.ts";
import { keyOf } from "../core/model.ts";
import type { DataEndpoint, DataService, DataWorkload } from "../core/snapshot.ts";
import { fineBucket, QUEUE_SECONDS, sizeBucket } from "./buckets.ts";
import {
  CODE_CLASSES,
  codeClass,
  HTTP,
  isEndpointFailure,
  PROTOCOLS,
  protocolOf,
} from "./outcome.ts";
import { DESTINATION, ENDPOINT, ERROR_CODES, FLOW, OUTCOME, PAIR, type Series } from "./series.ts";
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
const NO_DESTINATION = "none";

interface Flow {
  readonly handle: Handle;
  readonly labels: readonly [source: string, destination: string, entry: Entry, protocol: string];
  /** By code class; exchanges without an error. */
  readonly clean: (Handle | undefined)[];
  readonly failed: Map<MeshErrorCode, (Handle | undefined)[]>;
}

interface Pair {
  readonly inFlight: Handle;
  /** By entry, then protocol. */
  readonly flows: (Flow | undefined)[];
}

interface Destination {
  readonly handle: Handle;
  readonly pairs: WeakMap<object, Pair>;
}

/** Keys of the caches where there is no object to use. */
const NO_SERVICE = {};
const NO_SOURCE = {};

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
  readonly #byService = new WeakMap<object, Destination>();
  /** What was looked up last: the end of a request asks for what its start has just found. */
  #lastService: DataService | null | undefined;
  #lastSource: DataWorkload | null | undefined;
  #lastDestination: Destination | undefined;
  #lastPair: Pair | undefined;
  /** By the endpoint's slot in the shared endpoint state, which is dense. */
  readonly #byEndpoint: ({ endpoint: DataEndpoint; handle: Handle } | undefined)[] = [];

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

  started(source: DataWorkload | null, service: DataService | null): void {
    const base = this.#pairs.base(this.#pair(source, service).inFlight);
    const words = this.#series.tables.pairs.words;
    add(words, base + PAIR.started, 1);
    add(words, base + PAIR.inFlight, 1);
  }

  exchange(facts: Readonly<RequestFacts>): void {
    const destination = this.#destination(facts.service);
    const pair = this.#pairOf(destination, facts.source, facts.service);
    this.#ended(pair);
    const flow = this.#flow(pair, facts);
    const fine = fineBucket(facts.durationMs);
    const { words } = this.#series.tables.flows;
    const base = this.#flows.base(flow.handle);
    add(words, base + FLOW.count, 1);
    add(words, base + FLOW.requestBytes, facts.requestBytes);
    add(words, base + FLOW.responseBytes, facts.responseBytes);
    words[base + FLOW.sumMs] = (words[base + FLOW.sumMs] ?? 0) + facts.durationMs;
    add(words, base + FLOW.fine + fine, 1);
    const outcome = this.#outcomes.base(this.#outcome(flow, facts));
    add(this.#series.tables.outcomes.words, outcome + OUTCOME.count, 1);
    this.#countDestination(destination.handle, facts);
    if (facts.endpoint !== null) this.#countEndpoint(facts.endpoint, facts, fine);
    this.#series.countProxyTime(facts);
    if (this.#log !== null) this.#series.countAccessLog(this.#log.write(facts));
  }

  event(event: DataEvent): void {
    this.#series.countEvent(event);
  }

  detection(found: Detection): void {
    this.#series.countDetection(found);
  }

  retry(service: DataService | null, code: MeshErrorCode): void {
    const base = this.#destinations.base(this.#destination(service).handle);
    const { words } = this.#series.tables.destinations;
    add(words, base + DESTINATION.uses, 1);
    add(words, base + DESTINATION.retries + ERROR_CODES.indexOf(code), 1);
  }

  ejection(service: DataService | null, _endpoint: DataEndpoint): void {
    const base = this.#destinations.base(this.#destination(service).handle);
    const { words } = this.#series.tables.destinations;
    add(words, base + DESTINATION.uses, 1);
    add(words, base + DESTINATION.ejections, 1);
  }

  #ended(pair: Pair): void {
    const { words } = this.#series.tables.pairs;
    const index = this.#pairs.base(pair.inFlight) + PAIR.inFlight;
    // The label set may have moved to a fresh slot since it started: a gauge never falls below zero.
    if ((words[index] ?? 0) > 0) add(words, index, -1);
  }

  #countDestination(handle: Handle, facts: Readonly<RequestFacts>): void {
    const base = this.#destinations.base(handle);
    const { words } = this.#series.tables.destinations;
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
    const base = this.#endpoints.base(this.#endpoint(endpoint, facts.service));
    const { words } = this.#series.tables.endpoints;
    add(words, base + ENDPOINT.count, 1);
    if (isEndpointFailure(facts.status, facts.error)) add(words, base + ENDPOINT.failures, 1);
    if (protocolOf(facts) !== HTTP) return;
    words[base + ENDPOINT.sumMs] = (words[base + ENDPOINT.sumMs] ?? 0) + facts.durationMs;
    add(words, base + ENDPOINT.fine + fine, 1);
  }

  #destination(service: DataService | null): Destination {
    if (this.#lastService === service && this.#lastDestination !== undefined) {
      return this.#lastDestination;
    }
    const found = this.#byService.get(service ?? NO_SERVICE) ?? this.#newDestination(service);
    this.#lastService = service;
    this.#lastDestination = found;
    this.#lastPair = undefined;
    return found;
  }

  #newDestination(service: DataService | null): Destination {
    const handle = this.#destinations.handle([service?.key ?? NO_DESTINATION]);
    const destination = { handle, pairs: new WeakMap<object, Pair>() };
    this.#byService.set(service ?? NO_SERVICE, destination);
    return destination;
  }

  #pair(source: DataWorkload | null, service: DataService | null): Pair {
    return this.#pairOf(this.#destination(service), source, service);
  }

  #pairOf(
    destination: Destination,
    source: DataWorkload | null,
    service: DataService | null,
  ): Pair {
    if (this.#lastSource === source && this.#lastPair !== undefined) return this.#lastPair;
    const pair =
      destination.pairs.get(source ?? NO_SOURCE) ?? this.#newPair(destination, source, service);
    this.#lastSource = source;
    this.#lastPair = pair;
    return pair;
  }

  #newPair(
    destination: Destination,
    source: DataWorkload | null,
    service: DataService | null,
  ): Pair {
    const labels = [nameOf(source), service?.key ?? NO_DESTINATION];
    const pair = { inFlight: this.#pairs.handle(labels), flows: [] };
    destination.pairs.set(source ?? NO_SOURCE, pair);
    return pair;
  }

  #flow(pair: Pair, facts: Readonly<RequestFacts>): Flow {
    const entry = facts.entry === "captured" ? 0 : facts.entry === "explicit" ? 1 : 2;
    const index = entry * PROTOCOLS.length + protocolOf(facts);
    return pair.flows[index] ?? this.#newFlow(pair, index, facts);
  }

  #newFlow(pair: Pair, index: number, facts: Readonly<RequestFacts>): Flow {
    const protocol = PROTOCOLS[index % PROTOCOLS.length] ?? facts.protocol;
    const outside = facts.entry === "passthrough" ? PASSTHROUGH : NO_DESTINATION;
    const source = nameOf(facts.source);
    const labels = [source, facts.service?.key ?? outside, facts.entry, protocol] as const;
    const flow = { handle: this.#flows.handle(labels), labels, clean: [], failed: new Map() };
    pair.flows[index] = flow;
    return flow;
  }

  #outcome(flow: Flow, facts: Readonly<RequestFacts>): Handle {
    const code = codeClass(facts.status);
    const byClass = facts.error === null ? flow.clean : flow.failed.get(facts.error);
    return byClass?.[code] ?? this.#newOutcome(flow, code, facts.error);
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

  #endpoint(endpoint: DataEndpoint, service: DataService | null): Handle {
    const known = this.#byEndpoint[endpoint.slot];
    if (known?.endpoint === endpoint) return known.handle;
    const handle = this.#endpoints.handle([service?.key ?? NO_DESTINATION, endpoint.id]);
    this.#byEndpoint[endpoint.slot] = { endpoint, handle };
    return handle;
  }
}

/** The containers of one service that nobody registered by name have keys of their own but one name. */
function nameOf(source: DataWorkload | null): string {
  return source === null ? UNKNOWN_SOURCE : keyOf(source);
}

/** For whole numbers: a fraction would be boxed wherever the compiler does not inline the call. */
function add(words: SlotTable["words"], index: number, value: number): void {
  words[index] = (words[index] ?? 0) + value;
}
