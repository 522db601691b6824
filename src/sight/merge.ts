import type {
  EndpointReport,
  ErrorReport,
  FlowReport,
  HostReport,
  Security,
} from "./host-report.ts";
import type {
  EdgeFigures,
  EndpointFigures,
  HostSummary,
  MeshReport,
  RouteFigures,
  ServiceFigures,
  SourceFigures,
} from "./mesh-report.ts";
import { rounded, Tally } from "./tally.ts";

/** What the registry knows without asking. Where only one daemon is asked, both lists are empty. */
export interface MergeContext {
  /** Time of day, since 1970. */
  readonly atMs: number;
  /** The registry's newest revision. */
  readonly revision: number;
  /** All hosts; one that only its report names counts as reporting. */
  readonly hosts: readonly KnownHost[];
  /** All services with their endpoints; those that only reports name are added. */
  readonly services: readonly KnownService[];
}

export type KnownHost = Pick<
  HostSummary,
  "host" | "zone" | "version" | "state" | "revision" | "refusal"
>;

export interface KnownService {
  /** `namespace/name`. */
  readonly service: string;
  readonly endpoints: readonly KnownEndpoint[];
}

export type KnownEndpoint = Pick<
  EndpointFigures,
  "id" | "address" | "port" | "host" | "health" | "weight"
>;

/** Failures that the mesh's report names: newest first. */
const MAX_ERRORS = 200;

/** Adds the reports up. Pure; for many hosts see `MeshMerger`, whose steps can be spread over turns of the event loop. */
export function mergeReports(reports: readonly HostReport[], context: MergeContext): MeshReport {
  const merger = new MeshMerger();
  for (const report of reports) merger.add(report);
  return merger.finish(context);
}

/** All flows between one source and one destination by one protocol. */
interface Edge {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly tally: Tally;
  readonly securities: Map<Security, { requests: number; recent: number }>;
  readonly errors: Map<string, number>;
  inFlight: number;
}

interface EndpointSum {
  known: KnownEndpoint;
  knownAtMs: number;
  readonly tally: Tally;
  inFlight: number;
  connections: number;
  latencySum: number;
  latencyWeight: number;
  readonly ejectedBy: string[];
}

interface RouteSum {
  readonly source: string;
  readonly destination: string;
  readonly route: string;
  readonly tally: Tally;
}

/**
 * Adds up one report at a time. Each call is counted once, at its caller's host; only where no caller of a
 * destination reports (they are of another mesh, or silent) the callees' hosts are believed.
 */
export class MeshMerger {
  readonly #reports: HostReport[] = [];
  readonly #hosts = new Map<string, Tally>();
  /** Of callers' hosts, and of callees'. */
  readonly #called = new Map<string, Edge>();
  readonly #served = new Map<string, Edge>();
  readonly #routes = new Map<string, RouteSum>();
  readonly #endpoints = new Map<string, Map<string, EndpointSum>>();
  /** Null: no report told. */
  #retries: Map<string, { retries: number; retriesPerSecond: number }> | null = null;
  #windowMs = 0;

  /** At most one report of a host. */
  add(report: HostReport): void {
    const { windowMs } = report;
    this.#reports.push(report);
    this.#windowMs = Math.max(this.#windowMs, windowMs);
    const ofHost = entryOf(this.#hosts, report.host, () => new Tally());
    for (const flow of report.flows) {
      ofHost.add(flow, windowMs);
      addFlow(flow.reporter === "destination" ? this.#served : this.#called, flow, windowMs);
    }
    for (const route of report.routes) {
      const { source, destination, route: name } = route;
      const key = `${source}\0${destination}\0${name}`;
      const sum = entryOf(this.#routes, key, () => ({
        ...{ source, destination, route: name, tally: new Tally() },
      }));
      sum.tally.add(route, windowMs);
    }
    for (const endpoint of report.endpoints) this.#addEndpoint(endpoint, report);
    if (report.retries !== undefined) this.#addRetries(report.retries, windowMs);
  }

  finish(context: MergeContext): MeshReport {
    const steps = this.steps(context);
    for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
  }

  /** The same in steps of some milliseconds at most, for a mesh of many edges. */
  *steps(context: MergeContext): Generator<void, MeshReport> {
    const edges = this.#edges();
    yield;
    const services = yield* inSteps(this.#services(edges, context.services));
    const sources = yield* inSteps(sourceFigures(edges));
    const figures = yield* inSteps(edges.map((edge) => () => edgeFigures(edge)));
    const routes = [...this.#routes.values()].sort(by("source", "destination", "route"));
    return {
      atMs: context.atMs,
      windowMs: this.#windowMs,
      revision: context.revision,
      total: tallyOf(edges).figures(),
      hosts: this.#hostSummaries(context.hosts),
      ...{ services, sources, edges: figures },
      routes: yield* inSteps(routes.map((route) => () => routeFigures(route))),
      recentErrors: newestErrors(this.#reports),
    };
  }

  #addEndpoint(endpoint: EndpointReport, { host, atMs, windowMs }: HostReport): void {
    const ofService = entryOf(this.#endpoints, endpoint.service, () => new Map());
    const sum = entryOf(ofService, endpoint.id, () => emptyEndpoint(endpoint, atMs));
    if (atMs >= sum.knownAtMs) {
      sum.known = endpoint;
      sum.knownAtMs = atMs;
    }
    sum.tally.add(endpoint, windowMs);
    sum.inFlight += endpoint.inFlight;
    sum.connections += endpoint.connections;
    if (endpoint.ejected) sum.ejectedBy.push(host);
    if (endpoint.latencyEwmaMs === null) return;
    // A measurement counts even where the label set that counted the requests was retired.
    const weight = Math.max(1, endpoint.requests);
    sum.latencySum += endpoint.latencyEwmaMs * weight;
    sum.latencyWeight += weight;
  }

  #addRetries(reported: NonNullable<HostReport["retries"]>, windowMs: number): void {
    this.#retries ??= new Map();
    for (const { service, retries, recent } of reported) {
      const sum = entryOf(this.#retries, service, () => ({ ...NO_RETRIES }));
      sum.retries += retries;
      if (windowMs > 0) sum.retriesPerSecond += (recent * 1_000) / windowMs;
    }
  }

  #edges(): Edge[] {
    const called = [...this.#called.values()];
    const seen = new Set(called.map(({ destination }) => destination));
    const served = [...this.#served.values()].filter(({ destination }) => !seen.has(destination));
    return [...called, ...served].sort(by("source", "destination", "protocol"));
  }

  #services(edges: readonly Edge[], known: readonly KnownService[]): (() => ServiceFigures)[] {
    const ofService = Map.groupBy(edges, ({ destination }) => destination);
    const knownOf = new Map(known.map(({ service, endpoints }) => [service, endpoints]));
    const names = new Set([...knownOf.keys(), ...ofService.keys(), ...this.#endpoints.keys()]);
    return [...names].sort().map((service) => () => {
      const own = ofService.get(service) ?? [];
      return {
        service,
        ...tallyOf(own).figures(),
        protocols: [...new Set(own.map(({ protocol }) => protocol))].sort(),
        inFlight: inFlightOf(own),
        errors: Object.fromEntries([...errorsOf(own)].sort(([a], [b]) => (a < b ? -1 : 1))),
        endpoints: endpointFigures(this.#endpoints.get(service), knownOf.get(service) ?? []),
        ...this.#retriesOf(service),
      };
    });
  }

  #retriesOf(service: string): Pick<ServiceFigures, "retries" | "retriesPerSecond"> {
    if (this.#retries === null) return {};
    const { retries, retriesPerSecond } = this.#retries.get(service) ?? NO_RETRIES;
    return { retries, retriesPerSecond: rounded(retriesPerSecond) };
  }

  #hostSummaries(known: readonly KnownHost[]): HostSummary[] {
    const reportOf = new Map(this.#reports.map((report) => [report.host, report]));
    const knownNames = new Set(known.map(({ host }) => host));
    const others = this.#reports
      .filter(({ host }) => !knownNames.has(host))
      .map(({ host, zone, version, revision }): KnownHost => {
        return { host, zone, version, state: "reporting", revision, refusal: null };
      });
    return [...known, ...others]
      .map((host) => hostSummary(host, reportOf.get(host.host), this.#hosts.get(host.host)))
      .sort(by("host"));
  }
}

const NO_RETRIES = { retries: 0, retriesPerSecond: 0 };

function addFlow(edges: Map<string, Edge>, flow: FlowReport, windowMs: number): void {
  const { source, destination, protocol, security } = flow;
  const edge = entryOf(edges, `${source}\0${destination}\0${protocol}`, () => ({
    ...{ source, destination, protocol, tally: new Tally() },
    ...{ securities: new Map(), errors: new Map(), inFlight: 0 },
  }));
  edge.tally.add(flow, windowMs);
  const secured = entryOf(edge.securities, security, () => ({ requests: 0, recent: 0 }));
  secured.requests += flow.requests;
  secured.recent += flow.recent;
  for (const [code, count] of Object.entries(flow.errors)) {
    edge.errors.set(code, (edge.errors.get(code) ?? 0) + count);
  }
  edge.inFlight += flow.inFlight;
}

function tallyOf(edges: readonly Edge[]): Tally {
  const all = new Tally();
  for (const { tally } of edges) all.addTally(tally);
  return all;
}

function inFlightOf(edges: readonly Edge[]): number {
  return edges.reduce((sum, { inFlight }) => sum + inFlight, 0);
}

function errorsOf(edges: readonly Edge[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const [code, count] of edges.flatMap(({ errors }) => [...errors])) {
    all.set(code, (all.get(code) ?? 0) + count);
  }
  return all;
}

function sourceFigures(edges: readonly Edge[]): (() => SourceFigures)[] {
  const ofSource = [...Map.groupBy(edges, ({ source }) => source)];
  return ofSource
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([source, own]) => () => {
      return { source, ...tallyOf(own).figures(), inFlight: inFlightOf(own) };
    });
}

/** Rows that are made between two pauses. */
const ROWS_PER_STEP = 200;

function* inSteps<T>(rows: readonly (() => T)[]): Generator<void, T[]> {
  const made: T[] = [];
  for (const row of rows) {
    made.push(row());
    if (made.length % ROWS_PER_STEP === 0) yield;
  }
  return made;
}

function edgeFigures({ source, destination, protocol, tally, ...edge }: Edge): EdgeFigures {
  const securities: Partial<Record<Security, number>> = {};
  for (const [security, { requests, recent }] of edge.securities) {
    const count = tally.recent > 0 ? recent : requests;
    if (count > 0) securities[security] = count;
  }
  const counted = Object.keys(securities);
  // Of what has only begun nothing is counted yet.
  const kinds = counted.length > 0 ? counted : [...edge.securities.keys()];
  return {
    ...{ source, destination, protocol },
    ...tally.figures(),
    securities,
    secured: kinds.every((kind) => kind === "mutual_tls" || kind === "same_host"),
    inFlight: edge.inFlight,
  };
}

function routeFigures({ source, destination, route, tally }: RouteSum): RouteFigures {
  return { source, destination, route, ...tally.figures() };
}

function emptyEndpoint(known: KnownEndpoint, knownAtMs: number): EndpointSum {
  return {
    ...{ known, knownAtMs, tally: new Tally() },
    ...{ inFlight: 0, connections: 0, latencySum: 0, latencyWeight: 0, ejectedBy: [] },
  };
}

/** The registry's word on an endpoint is newer than any daemon's. */
function endpointFigures(
  reported: ReadonlyMap<string, EndpointSum> | undefined,
  known: readonly KnownEndpoint[],
): EndpointFigures[] {
  const sums = new Map(reported);
  for (const endpoint of known) {
    const sum = sums.get(endpoint.id) ?? emptyEndpoint(endpoint, 0);
    sums.set(endpoint.id, { ...sum, known: endpoint });
  }
  const all = [...sums.values()].sort((a, b) => (a.known.id < b.known.id ? -1 : 1));
  const recent = all.reduce((total, { tally }) => total + tally.recent, 0);
  return all.map((sum) => {
    const { id, address, port, host, health, weight } = sum.known;
    const { inFlight, connections, latencySum, latencyWeight, tally } = sum;
    return {
      ...{ id, address, port, host, health, weight },
      ...tally.figures(),
      ...{ inFlight, connections },
      latencyEwmaMs: latencyWeight === 0 ? null : latencySum / latencyWeight,
      ejectedBy: sum.ejectedBy.sort(),
      share: recent > 0 ? tally.recent / recent : null,
    };
  });
}

/** What passed through one host: what its workloads sent, and what came for them from others. */
function hostSummary(
  { host, zone, version, state, revision, refusal }: KnownHost,
  report: HostReport | undefined,
  tally = new Tally(),
): HostSummary {
  return {
    ...{ host, zone, version, state, revision, refusal },
    uptimeMs: report?.uptimeMs ?? null,
    capture: report?.capture ?? null,
    workers: report?.workers ?? [],
    workloads: report?.workloads ?? [],
    certificates: report?.certificates ?? [],
    figures: tally.figures(),
  };
}

function newestErrors(reports: readonly HostReport[]): (ErrorReport & { host: string })[] {
  return reports
    .flatMap(({ host, recentErrors }) => recentErrors.map((error) => ({ host, ...error })))
    .sort((a, b) => b.atMs - a.atMs)
    .slice(0, MAX_ERRORS);
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** Compares by the texts of these fields, in turn; not by locale, so that every machine agrees. */
function by<F extends string>(
  ...fields: F[]
): (a: Record<F, string>, b: Record<F, string>) => number {
  return (a, b) => {
    const field = fields.find((name) => a[name] !== b[name]);
    if (field === undefined) return 0;
    return a[field] < b[field] ? -1 : 1;
  };
}
