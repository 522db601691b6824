import { keyOf } from "../../src/core/model.ts";
import type { Security } from "../../src/core/security.ts";
import type { DataService } from "../../src/core/snapshot.ts";
import type {
  Counts,
  EndpointReport,
  FlowReport,
  HostReport,
  RetryReport,
  RouteReport,
  WorkloadReport,
} from "../../src/sight/host-report.ts";
import { FINE_BUCKETS } from "../../src/telemetry/buckets.ts";
import { HTTP, isFailure, PROTOCOLS } from "../../src/telemetry/outcome.ts";
import type { RateWindow } from "../../src/telemetry/rate-sampler.ts";
import {
  DESTINATION,
  ENDPOINT,
  FLOW,
  OUTCOME,
  PAIR,
  RETRY_REASONS,
  ROUTE,
} from "../../src/telemetry/series.ts";
import type { SeriesGroup, SeriesReader } from "../../src/telemetry/series-reader.ts";
import { OTHER } from "../../src/telemetry/slot-table.ts";
import type { IdentityState } from "../identity/identity-service.ts";
import { type DataPathParts, statSources } from "../stat-sources.ts";
import type { RecentErrors } from "./recent-errors.ts";

export interface HostReportParts extends DataPathParts {
  readonly errors: RecentErrors;
}

/** Up to so many services, endpoints without traffic are named where they are asked for. */
const LIST_ALL_BELOW = 500;

/**
 * Reads everything once. `idle`: with the endpoints that got nothing, which a registry knows anyway. Label sets that were
 * folded into `other` are left out: nobody could say whose they are.
 */
export function buildHostReport(parts: HostReportParts, idle: boolean): HostReport {
  const { series, sampler, config, compiler, clock, supervisor } = parts;
  const window = sampler.window();
  const { services, workloads, place } = compiler.full();
  const flows = flowReports(series, window);
  // What came from another host is named after whoever it says it is.
  const sent = flows.filter(({ reporter }) => reporter !== "destination");
  return {
    host: config.host,
    zone: place?.zone || config.zone,
    version: parts.version,
    atMs: Date.now(),
    uptimeMs: Math.round(clock.now() - parts.startedMs),
    revision: compiler.revision,
    windowMs: Math.round(window.lengthMs),
    flows,
    routes: routeReports(series, window),
    endpoints: endpointReports(parts, services, window, idle && services.length < LIST_ALL_BELOW),
    retries: retryReports(series, window),
    workloads: workloads.map((workload) => {
      const own = sent.filter(({ source }) => source === keyOf(workload));
      return workloadReport(parts, workload, own);
    }),
    workers: supervisor.list(),
    capture: { mode: parts.mode, active: parts.capturing() },
    certificates: certificates(parts.identity.state()),
    recentErrors: parts.errors.list(),
  };
}

interface Ends {
  failures: number;
  recentFailures: number;
  readonly errors: Record<string, number>;
}

/** How the exchanges of each flow ended, by the flow's labels. */
function endsOf(series: SeriesReader, window: RateWindow): Map<string, Ends> {
  const all = new Map<string, Ends>();
  for (const group of series.groups("outcomes")) {
    const [source, destination, code, error = "", ...how] = group.labels;
    const key = [source, destination, ...how].join("\0");
    const ends = all.get(key) ?? { failures: 0, recentFailures: 0, errors: {} };
    all.set(key, ends);
    const count = group.sum(OUTCOME.count);
    if (isFailure(code, error)) {
      ends.failures += count;
      ends.recentFailures += window.count(group);
    }
    if (error !== "") ends.errors[error] = (ends.errors[error] ?? 0) + count;
  }
  return all;
}

function flowReports(series: SeriesReader, window: RateWindow): FlowReport[] {
  const ends = endsOf(series, window);
  const inFlight = new Map<string, number>();
  for (const group of series.groups("pairs")) inFlight.set(group.key, group.sum(PAIR.inFlight));
  const groups = [...named(series, "flows")].sort((a, b) => b.sum(FLOW.count) - a.sum(FLOW.count));
  return groups.map((group): FlowReport => {
    const [source = "", destination = "", entry = "", protocol = "", security] = group.labels;
    const { failures = 0, recentFailures = 0, errors = {} } = ends.get(group.key) ?? {};
    const pair = `${source}\0${destination}`;
    // Requests under way are known of source and destination only: they count to their busiest flow.
    const open = inFlight.get(pair) ?? 0;
    inFlight.delete(pair);
    return {
      ...{ source, destination, entry, protocol, security: security as Security },
      reporter: entry === "mesh" ? "destination" : entry === "inbound" ? "both" : "source",
      requests: group.sum(FLOW.count),
      ...{ failures, recentFailures, errors, inFlight: open },
      requestBytes: group.sum(FLOW.requestBytes),
      responseBytes: group.sum(FLOW.responseBytes),
      recent: window.count(group),
      recentBytes: window.bytes("flows", group),
      fine: protocol === PROTOCOLS[HTTP] ? finePairs("flows", group, window) : [],
    };
  });
}

function routeReports(series: SeriesReader, window: RateWindow): RouteReport[] {
  return [...named(series, "routes")].map((group) => {
    const [source = "", destination = "", route = ""] = group.labels;
    return { source, destination, route, ...countsOf("routes", group, window) };
  });
}

function retryReports(series: SeriesReader, window: RateWindow): RetryReport[] {
  return [...named(series, "destinations")].flatMap((group) => {
    const [service = ""] = group.labels;
    const retries = RETRY_REASONS.reduce(
      (sum, _, index) => sum + group.sum(DESTINATION.retries + index),
      0,
    );
    return retries === 0 ? [] : [{ service, retries, recent: window.retries(group) }];
  });
}

function endpointReports(
  parts: HostReportParts,
  services: readonly DataService[],
  window: RateWindow,
  idle: boolean,
): EndpointReport[] {
  const { endpoint: readingOf } = statSources(parts);
  const groups = new Map([...named(parts.series, "endpoints")].map((group) => [group.key, group]));
  return services.flatMap(({ key: service, endpoints }) =>
    endpoints.flatMap((endpoint): EndpointReport[] => {
      const { id, address, port, host, health, weight, slot } = endpoint;
      const group = groups.get(`${service}\0${id}`);
      const reading = readingOf(slot);
      const isUsed = group !== undefined || reading.connections > 0 || reading.ejected;
      if (!isUsed && !idle) return [];
      const counts = group === undefined ? NO_COUNTS : countsOf("endpoints", group, window);
      return [{ service, id, address, port, host, health, weight, ...reading, ...counts }];
    }),
  );
}

const NO_COUNTS: Counts = {
  ...{ requests: 0, failures: 0, requestBytes: 0, responseBytes: 0 },
  ...{ recent: 0, recentFailures: 0, recentBytes: 0, fine: [] },
};

function countsOf(table: "endpoints" | "routes", group: SeriesGroup, window: RateWindow): Counts {
  const at = table === "routes" ? ROUTE : ENDPOINT;
  return {
    requests: group.sum(at.count),
    failures: group.sum(at.failures),
    requestBytes: group.sum(at.requestBytes),
    responseBytes: group.sum(at.responseBytes),
    recent: window.count(group),
    recentFailures: window.failures(table, group),
    recentBytes: window.bytes(table, group),
    fine: finePairs(table, group, window),
  };
}

/** Filled and read within one call of `finePairs`. */
const fine = new Float64Array(FINE_BUCKETS);

function finePairs(
  table: "flows" | "endpoints" | "routes",
  group: SeriesGroup,
  window: RateWindow,
): number[] {
  const pairs: number[] = [];
  if (window.count(group) === 0) return pairs;
  fine.fill(0);
  window.addFine(table, group, fine);
  for (let bucket = 0; bucket < FINE_BUCKETS; bucket += 1) {
    const count = fine[bucket] ?? 0;
    if (count > 0) pairs.push(bucket, count);
  }
  return pairs;
}

function* named(
  series: SeriesReader,
  table: "flows" | "endpoints" | "routes" | "destinations",
): Generator<SeriesGroup> {
  for (const group of series.groups(table)) if (group.labels[0] !== OTHER) yield group;
}

function workloadReport(
  { quotas, config }: HostReportParts,
  workload: { readonly slot: number; readonly addresses: readonly string[]; identity?: string } & {
    readonly namespace: string;
    readonly name: string;
  },
  flows: readonly FlowReport[],
): WorkloadReport {
  const { slot, addresses, identity = null } = workload;
  const { workloadConnections, workloadInFlight } = config.limits;
  let refused = 0;
  for (const [code, count] of flows.flatMap(({ errors }) => Object.entries(errors))) {
    if (code.startsWith("QUOTA_")) refused += count;
  }
  return {
    ...{ workload: keyOf(workload), addresses, identity, refused },
    connections: quotas.connections(slot),
    connectionLimit: workloadConnections,
    inFlight: quotas.inFlight(slot),
    inFlightLimit: workloadInFlight,
    bufferedBytes: quotas.bufferedBytes(slot),
    recent: flows.reduce((sum, flow) => sum + flow.recent, 0),
  };
}

function certificates({ host, workloads }: IdentityState): HostReport["certificates"] {
  const all = host === null ? [] : [host, ...workloads];
  return all.map(({ identity, state, notAfterMs }) => ({ identity, state, notAfterMs }));
}
