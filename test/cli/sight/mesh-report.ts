import type {
  EdgeFigures,
  EndpointFigures,
  Figures,
  HostSummary,
  MeshReport,
  RouteFigures,
  ServiceFigures,
} from "../../../src/sight/mesh-report.ts";

/** Of something that nobody uses. */
export const NOTHING: Figures = {
  requests: 0,
  failures: 0,
  requestBytes: 0,
  responseBytes: 0,
  rps: 0,
  bytesPerSecond: 0,
  success: null,
  p50Ms: null,
  p95Ms: null,
  p99Ms: null,
};

export const SOME: Figures = {
  requests: 90,
  failures: 2,
  requestBytes: 2_048,
  responseBytes: 9_000_000,
  rps: 9.5,
  bytesPerSecond: 95_000,
  success: 0.98,
  p50Ms: 1.5,
  p95Ms: 8,
  p99Ms: 12,
};

export function endpoint(id: string, more: Partial<EndpointFigures> = {}): EndpointFigures {
  return {
    ...SOME,
    id,
    address: "10.0.0.7",
    port: 8080,
    host: "node-a",
    health: "passing",
    weight: 1,
    inFlight: 1,
    connections: 2,
    latencyEwmaMs: 1.75,
    ejectedBy: [],
    share: 1,
    ...more,
  };
}

export function service(name: string, more: Partial<ServiceFigures> = {}): ServiceFigures {
  return {
    ...SOME,
    service: name,
    protocols: ["http"],
    inFlight: 1,
    errors: {},
    endpoints: [],
    ...more,
  };
}

export function edge(
  source: string,
  destination: string,
  more: Partial<EdgeFigures> = {},
): EdgeFigures {
  return {
    ...SOME,
    source,
    destination,
    protocol: "http",
    securities: { mutual_tls: 95 },
    secured: true,
    inFlight: 0,
    ...more,
  };
}

export function route(
  source: string,
  destination: string,
  name: string,
  more: Partial<Figures> = {},
): RouteFigures {
  return { ...SOME, ...more, source, destination, route: name };
}

export function host(name: string, more: Partial<HostSummary> = {}): HostSummary {
  return {
    host: name,
    zone: "zone-1",
    version: "0.1.0",
    state: "reporting",
    uptimeMs: 3_600_000,
    revision: 41,
    refusal: null,
    capture: { mode: "tproxy", active: true },
    workers: [{ id: 0, alive: true, restarts: 0 }],
    workloads: [],
    certificates: [],
    figures: SOME,
    ...more,
  };
}

/** Of two hosts that are well, with nothing on them unless it is given. */
export function meshReport(more: Partial<MeshReport> = {}): MeshReport {
  return {
    atMs: 1_000_000_000_000,
    windowMs: 10_000,
    revision: 41,
    hosts: [host("node-a"), host("node-b")],
    services: [],
    sources: [],
    edges: [],
    routes: [],
    recentErrors: [],
    ...more,
  };
}
