import type { Clock } from "../core/clock.ts";
import type { Health } from "../core/model.ts";
import type { DataEndpoint, DataService } from "../core/snapshot.ts";
import { FINE_BUCKETS, quantileMs } from "./buckets.ts";
import type { RateSampler, RateWindow } from "./rate-sampler.ts";
import { ENDPOINT } from "./series.ts";
import type { SeriesGroup, SeriesReader } from "./series-reader.ts";
import { StatTallies, type Tally } from "./stat-tallies.ts";

/** The reply of `GET /stats`. Counts are since the start; rates, success and percentiles over the window. */
export interface StatReport {
  readonly host: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly revision: number;
  readonly windowMs: number;
  /** By name. Services without traffic are left out of a large mesh. */
  readonly services: readonly ServiceStat[];
  /** How many were left out. */
  readonly idleServices: number;
  /** By name. */
  readonly sources: readonly SourceStat[];
  /** Captured traffic to destinations outside the mesh. */
  readonly passthrough: VolumeStat;
  /** Requests that named no service. */
  readonly unrouted: VolumeStat;
  readonly workers: readonly WorkerStat[];
}

export interface VolumeStat {
  readonly requests: number;
  readonly rps: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export interface TrafficStat extends VolumeStat {
  /** Share that did not fail, 0 to 1; null when nothing ended within the window. */
  readonly success: number | null;
  /** Of HTTP requests; null when none ended within the window. */
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
  readonly inFlight: number;
}

export interface SourceStat extends TrafficStat {
  /** `namespace/name`, or `unknown`. */
  readonly source: string;
}

export interface ServiceStat extends TrafficStat {
  /** `namespace/name`. */
  readonly service: string;
  readonly retries: number;
  readonly ejections: number;
  /** Exchanges that failed, by code of docs/errors.md. */
  readonly errors: Readonly<Record<string, number>>;
  readonly endpoints: readonly EndpointStat[];
}

export interface EndpointStat extends EndpointReading {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly host: string;
  readonly health: Health;
  readonly weight: number;
  readonly requests: number;
  readonly failures: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Of the service's requests within the window, 0 to 1; null when there were none. */
  readonly share: number | null;
}

/** What the shared endpoint state says of one endpoint. */
export interface EndpointReading {
  readonly ejected: boolean;
  readonly inFlight: number;
  readonly connections: number;
  /** The balancer's estimate; null before the first measurement. */
  readonly latencyEwmaMs: number | null;
}

export interface WorkerStat {
  readonly id: number;
  readonly alive: boolean;
  readonly restarts: number;
}

export interface StatSources {
  readonly host: string;
  readonly version: string;
  readonly clock: Clock;
  /** Reading of `clock` when the daemon started. */
  readonly startedMs: number;
  readonly series: SeriesReader;
  readonly sampler: RateSampler;
  revision(): number;
  services(): Iterable<DataService>;
  endpoint(slot: number): EndpointReading;
  workers(): readonly WorkerStat[];
}

/** Up to so many services, those without traffic are listed too. */
const LIST_ALL_BELOW = 500;

/** Reads everything once. */
export function buildStatReport(sources: StatSources): StatReport {
  const window = sources.sampler.window();
  const tallies = new StatTallies(sources.series, window);
  const all = [...sources.services()].sort((a, b) => (a.key < b.key ? -1 : 1));
  const listed = all.length < LIST_ALL_BELOW ? all : all.filter(({ key }) => tallies.isActive(key));
  const known = new Set(all.map(({ key }) => key));
  const gone = tallies.services().filter((key) => !known.has(key));
  const ofEndpoints = endpointGroups(sources.series);
  return {
    host: sources.host,
    version: sources.version,
    uptimeMs: Math.round(sources.clock.now() - sources.startedMs),
    revision: sources.revision(),
    windowMs: Math.round(window.lengthMs),
    services: [
      ...listed.map((service) =>
        serviceStat(service.key, tallies, endpointStats(service, sources, window, ofEndpoints)),
      ),
      ...gone.map((key) => serviceStat(key, tallies, [])),
    ],
    idleServices: all.length - listed.length,
    sources: tallies
      .sources()
      .map((source) => ({ source, ...traffic(tallies.source(source), tallies) })),
    passthrough: volume(tallies.destination("passthrough"), tallies),
    unrouted: volume(tallies.destination("none"), tallies),
    workers: sources.workers(),
  };
}

function serviceStat(
  service: string,
  tallies: StatTallies,
  endpoints: readonly EndpointStat[],
): ServiceStat {
  const tally = tallies.destination(service);
  return {
    service,
    ...traffic(tally, tallies),
    retries: tally.retries,
    ejections: tally.ejections,
    errors: Object.fromEntries([...tally.errors].sort()),
    endpoints,
  };
}

function volume(tally: Tally, tallies: StatTallies): VolumeStat {
  return {
    requests: tally.requests,
    rps: round(tallies.perSecond(tally.recent)),
    requestBytes: tally.requestBytes,
    responseBytes: tally.responseBytes,
  };
}

function traffic(tally: Tally, tallies: StatTallies): TrafficStat {
  return {
    ...volume(tally, tallies),
    success: tally.recent > 0 ? 1 - tally.recentFailures / tally.recent : null,
    p50Ms: rounded(quantileMs(tally.fine, 0.5)),
    p95Ms: rounded(quantileMs(tally.fine, 0.95)),
    p99Ms: rounded(quantileMs(tally.fine, 0.99)),
    inFlight: tally.inFlight,
  };
}

function endpointGroups(series: SeriesReader): Map<string, SeriesGroup> {
  const groups = new Map<string, SeriesGroup>();
  for (const group of series.groups("endpoints")) groups.set(group.key, group);
  return groups;
}

function endpointStats(
  service: DataService,
  sources: StatSources,
  window: RateWindow,
  groups: ReadonlyMap<string, SeriesGroup>,
): EndpointStat[] {
  const found = service.endpoints.map((endpoint) => {
    const group = groups.get(`${service.key}\0${endpoint.id}`);
    return { endpoint, group, recent: group === undefined ? 0 : window.count(group) };
  });
  const all = found.reduce((sum, { recent }) => sum + recent, 0);
  return found.map(({ endpoint, group, recent }) => ({
    ...identity(endpoint),
    ...sources.endpoint(endpoint.slot),
    requests: group?.sum(ENDPOINT.count) ?? 0,
    failures: group?.sum(ENDPOINT.failures) ?? 0,
    ...percentiles(window, group),
    share: all > 0 ? recent / all : null,
  }));
}

function identity({ id, address, port, host, health, weight }: DataEndpoint) {
  return { id, address, port, host, health, weight };
}

function percentiles(window: RateWindow, group: SeriesGroup | undefined) {
  const fine = new Float64Array(FINE_BUCKETS);
  if (group !== undefined) window.addFine("endpoints", group, fine);
  return { p50Ms: rounded(quantileMs(fine, 0.5)), p99Ms: rounded(quantileMs(fine, 0.99)) };
}

/** Three decimals: whole microseconds of a time in ms. */
function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function rounded(value: number | null): number | null {
  return value === null ? null : round(value);
}
