import type { RequestFacts } from "../../src/core/facts.ts";
import type { DataEndpoint, DataService, DataWorkload } from "../../src/core/snapshot.ts";
import type { MetricsSources } from "../../src/telemetry/metric-declaration.ts";
import { Series } from "../../src/telemetry/series.ts";
import { SeriesReader } from "../../src/telemetry/series-reader.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";

export interface MeshSize {
  readonly services: number;
  /** Of each service. */
  readonly endpoints: number;
  /** Workloads that call each service. */
  readonly sources: number;
  readonly workers: number;
  /** Counted under Istio's labels, too. */
  readonly istio: boolean;
}

const SERIES = 32_768;
const NAMESPACES = 20;

/** The counters of a host where every source has called every endpoint of its services, through each worker. */
export function busyMesh(size: MeshSize): MetricsSources {
  const { services, endpoints, sources, workers, istio } = size;
  const stride = Series.bytesFor(SERIES);
  const buffer = new SharedArrayBuffer(stride * workers);
  const regions = Array.from(
    { length: workers },
    (_, index) => new Series(buffer, index * stride, SERIES),
  );
  const series = new SeriesReader(regions);
  for (const [index, region] of regions.entries()) {
    const recorder = new WorkerRecorder({
      series: region,
      onSeries: (label) => series.learn(index, label),
      ...(istio ? { istioCluster: "Kubernetes" } : {}),
    });
    for (let at = 0; at < services; at += 1) callAll(recorder, serviceAt(at, endpoints), sources);
  }
  return { ...NOTHING, series };
}

function callAll(recorder: WorkerRecorder, service: DataService, sources: number): void {
  for (let from = 0; from < sources; from += 1) {
    const source = sourceAt(from);
    for (const [index, endpoint] of service.endpoints.entries()) {
      recorder.started(source, service);
      recorder.exchange({ ...FACTS, source, service, endpoint, durationMs: 0.3 * 7 ** index });
    }
  }
}

const FACTS: RequestFacts = {
  ...{ entry: "captured", protocol: "http", version: 1, upstreamVersion: 1, source: null },
  ...{ sourceAddress: "10.1.0.5", details: null, service: null, endpoint: null, route: "default" },
  ...{ security: "mutual_tls", method: "GET", httpVersion: "HTTP/1.1", target: "/" },
  ...{ authority: "", status: 200, grpcStatus: -1, error: null, requestBytes: 100 },
  ...{ responseBytes: 2_000, requestMessages: 0, responseMessages: 0, startMs: 0, durationMs: 1 },
  ...{ queueMs: 0, upstreamMs: 1, proxyMs: 0.05, attempts: 1, requestId: "", traceparent: "" },
  ...{ ids: "", details: null },
};

function serviceAt(at: number, endpoints: number): DataService {
  const name = `service-${at}`;
  const namespace = `team-${at % NAMESPACES}`;
  return {
    ...{ key: `${namespace}/${name}`, name, namespace, addresses: [], ports: [] },
    balancer: { policy: "peak-ewma", slowStartMs: 0 },
    endpoints: Array.from({ length: endpoints }, (_, index) =>
      endpointAt(at * endpoints + index, name, `${name}-${index}`, namespace),
    ),
  };
}

function endpointAt(slot: number, app: string, name: string, namespace: string): DataEndpoint {
  return {
    ...{ slot, id: `node-${slot % 50}/${namespace}/${name}`, port: 8_080, portName: "http" },
    ...{ address: `10.2.${slot >> 8}.${slot & 255}`, weight: 1, zone: "", host: "node-1" },
    ...{ meta: { app }, health: "passing", local: false },
  };
}

function sourceAt(slot: number): DataWorkload {
  const name = `caller-${slot}`;
  const names = { key: `team-0/${name}`, name, namespace: "team-0", serviceAccount: name };
  return { ...names, slot, addresses: [`10.1.0.${slot}`], labels: { app: name } };
}

/** Of the daemon's other parts there is nothing to tell. */
const NOTHING: Omit<MetricsSources, "series"> = {
  build: { version: "0", node: process.version },
  revision: () => 1,
  configAgeMs: () => 0,
  registryConnected: () => true,
  revisionsRefused: () => 0,
  services: () => 0,
  endpoints: () => 0,
  endpointsRefused: () => 0,
  workloads: () => 0,
  workloadsRefused: () => 0,
  bufferedBytes: () => 0,
  endpointsEjected: () => 0,
  workersAlive: () => 1,
  workerRestarts: () => 0,
  capture: () => ({ mode: "tproxy", active: true }),
  certificates: () => ({
    states: { valid: 0, overdue: 0, expired: 0, missing: 0 },
    expiresInMs: null,
    renewals: { issued: 0, failed: 0, refused: 0 },
  }),
  jwks: () => ({ current: 0, stale: 0, missing: 0, fetched: 0, failed: 0 }),
  traces: () => ({ exported: 0, dropped: 0, refused: 0, waiting: 0 }),
};
