import type {
  Counts,
  EndpointReport,
  FlowReport,
  HostReport,
} from "../../src/sight/host-report.ts";

export const NO_COUNTS: Counts = {
  ...{ requests: 0, failures: 0, requestBytes: 0, responseBytes: 0 },
  ...{ recent: 0, recentFailures: 0, recentBytes: 0, fine: [] },
};

/** A host that has seen nothing. */
export function hostReport(host: string, parts: Partial<HostReport> = {}): HostReport {
  return {
    ...{ host, zone: "z", version: "1", atMs: 900, uptimeMs: 5_000, revision: 6, windowMs: 10_000 },
    ...{ flows: [], routes: [], endpoints: [], workloads: [], workers: [], certificates: [] },
    ...{ capture: { mode: "tproxy", active: true }, recentErrors: [] },
    ...parts,
  };
}

export function flowReport(parts: Partial<FlowReport> = {}): FlowReport {
  return {
    ...NO_COUNTS,
    ...{ source: "shop/web", destination: "shop/api", entry: "captured", protocol: "http" },
    ...{ security: "mutual_tls", reporter: "source", inFlight: 0, errors: {} },
    ...parts,
  };
}

export function endpointReport(parts: Partial<EndpointReport> = {}): EndpointReport {
  return {
    ...NO_COUNTS,
    ...{ service: "shop/api", id: "api-1", address: "10.0.0.1", port: 80, host: "b" },
    ...{ health: "passing", weight: 1, ejected: false, inFlight: 0, connections: 0 },
    ...{ latencyEwmaMs: null },
    ...parts,
  };
}
