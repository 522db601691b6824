import type { MeshErrorCode } from "../../core/errors.ts";
import type { RequestFacts, TrafficSource } from "../../core/facts.ts";
import { SECURITIES } from "../../core/security.ts";
import { ENTRIES, SECURITY_INDEX } from "../pair.ts";
import { ERROR_CODES, ISTIO_CONNECTION, ISTIO_REQUEST, type Series } from "../series.ts";
import { type Handle, type SeriesLabel, SlotAllotter } from "../slot-allotter.ts";
import { bucketOf } from "./buckets.ts";
import { connectionLabels, isGrpc, requestLabels } from "./labels.ts";

/** Label sets of one source, service and endpoint, by how a call ended. */
interface Ends {
  readonly requests: Map<number, Handle>;
  readonly connections: Map<number, Handle>;
}

const ERROR_INDEX = Object.fromEntries(
  ERROR_CODES.map((code, index) => [code, index + 1]),
) as Readonly<Record<MeshErrorCode, number>>;
const ENTRY_COUNT = Object.keys(ENTRIES).length;
/** Statuses of HTTP, and those of gRPC from -1 on: beyond are none. */
const STATUSES = 1_000;
const GRPC_STATUSES = 32;

const NO_SOURCE = {};
const NO_SERVICE = {};
const NO_ENDPOINT = {};

/**
 * Counts calls of one worker under the labels that Istio's proxies give them. The label set is found by the identity of the
 * snapshot's objects and one number of all that varies besides, so that a call makes nothing new.
 */
export class IstioRecorder {
  readonly #series: Series;
  readonly #cluster: string;
  readonly #requests: SlotAllotter;
  readonly #connections: SlotAllotter;
  readonly #known = new WeakMap<object, WeakMap<object, WeakMap<object, Ends>>>();

  /** `cluster`: what both ends of a call are said to be in. */
  constructor(
    series: Series,
    known: readonly SeriesLabel[],
    onSeries: (label: SeriesLabel) => void,
    cluster: string,
  ) {
    this.#series = series;
    this.#cluster = cluster;
    this.#requests = new SlotAllotter(series.tables.istio_requests, known, onSeries);
    this.#connections = new SlotAllotter(series.tables.istio_connections, known, onSeries);
  }

  /** The end of a request or of a TCP connection. */
  exchange(facts: Readonly<RequestFacts>): void {
    if (facts.protocol === "tcp") this.#closed(facts);
    else this.#request(facts);
  }

  /** A TCP connection stands, or is about to end without ever having stood. */
  opened(facts: Readonly<RequestFacts>): void {
    const base = this.#connection(facts);
    const { words } = this.#series.tables.istio_connections;
    add(words, base + ISTIO_CONNECTION.uses, 1);
    add(words, base + ISTIO_CONNECTION.opened, 1);
  }

  #closed(facts: Readonly<RequestFacts>): void {
    const base = this.#connection(facts);
    const { words } = this.#series.tables.istio_connections;
    add(words, base + ISTIO_CONNECTION.uses, 1);
    add(words, base + ISTIO_CONNECTION.closed, 1);
    add(words, base + ISTIO_CONNECTION.sent, facts.responseBytes);
    add(words, base + ISTIO_CONNECTION.received, facts.requestBytes);
  }

  #request(facts: Readonly<RequestFacts>): void {
    const { requests } = this.#ends(facts);
    const key = keyOf(facts);
    let handle = requests.get(key);
    if (handle === undefined) {
      handle = this.#requests.handle(requestLabels(facts, this.#cluster));
      requests.set(key, handle);
    }
    const base = this.#requests.base(handle);
    const { words } = this.#series.tables.istio_requests;
    this.#requests.use(base);
    add(words, base + ISTIO_REQUEST.count, 1);
    observe(words, base + ISTIO_REQUEST.duration, facts.durationMs);
    observe(words, base + ISTIO_REQUEST.requestBytes, facts.requestBytes);
    observe(words, base + ISTIO_REQUEST.responseBytes, facts.responseBytes);
  }

  #connection(facts: Readonly<RequestFacts>): number {
    const { connections } = this.#ends(facts);
    const key = keyOf(facts);
    let handle = connections.get(key);
    if (handle === undefined) {
      handle = this.#connections.handle(connectionLabels(facts, this.#cluster));
      connections.set(key, handle);
    }
    const base = this.#connections.base(handle);
    this.#connections.use(base);
    return base;
  }

  #ends({ source, service, endpoint }: Readonly<RequestFacts>): Ends {
    const found = this.#known
      .get(source ?? NO_SOURCE)
      ?.get(service ?? NO_SERVICE)
      ?.get(endpoint ?? NO_ENDPOINT);
    return found ?? this.#newEnds(source, service ?? NO_SERVICE, endpoint ?? NO_ENDPOINT);
  }

  #newEnds(source: TrafficSource | null, service: object, endpoint: object): Ends {
    const ends: Ends = { requests: new Map(), connections: new Map() };
    const bySource = within(this.#known, source ?? NO_SOURCE);
    within(bySource, service).set(endpoint, ends);
    return ends;
  }
}

function within<V extends object>(map: WeakMap<object, WeakMap<object, V>>, key: object) {
  const known = map.get(key) ?? new WeakMap<object, V>();
  map.set(key, known);
  return known;
}

/** All that varies between the calls of one source to one endpoint, as one number below 2^31. */
function keyOf(facts: Readonly<RequestFacts>): number {
  const { status, grpcStatus, security, entry, error, requestMessages } = facts;
  let key = status >= 0 && status < STATUSES ? status : 0;
  key = key * GRPC_STATUSES + Math.min(grpcStatus + 1, GRPC_STATUSES - 1);
  key = key * 2 + Number(isGrpc(grpcStatus, requestMessages));
  key = key * SECURITIES.length + SECURITY_INDEX[security];
  key = key * ENTRY_COUNT + ENTRIES[entry];
  return key * (ERROR_CODES.length + 1) + (error === null ? 0 : ERROR_INDEX[error]);
}

function observe(words: Float64Array, base: number, value: number): void {
  words[base] = (words[base] ?? 0) + value;
  add(words, base + 1 + bucketOf(value), 1);
}

function add(words: Float64Array, index: number, value: number): void {
  words[index] = (words[index] ?? 0) + value;
}
