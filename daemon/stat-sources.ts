import type { Config } from "../src/config/schema.ts";
import type { Clock } from "../src/core/clock.ts";
import type { WorkloadQuotas } from "../src/proxy/routing/policy/workload-quotas.ts";
import type { EndpointState } from "../src/proxy/upstream/balance/endpoint-state.ts";
import type { RegistryClient } from "../src/registry/client.ts";
import type { CertificateFigures, MetricsSources } from "../src/telemetry/metric-declaration.ts";
import type { RateSampler } from "../src/telemetry/rate-sampler.ts";
import type { SeriesReader } from "../src/telemetry/series-reader.ts";
import type { StatSources } from "../src/telemetry/stat-report.ts";
import type { Compiler } from "./compiler.ts";
import type { IdentityService, IdentityState } from "./identity/identity-service.ts";
import type { JwksKeeper } from "./identity/jwks-keeper.ts";
import type { SpanExporter } from "./tracing/span-exporter.ts";
import type { CaptureMode } from "./worker-messages.ts";
import type { WorkerSupervisor } from "./workers.ts";

const NO_TRACES = { exported: 0, dropped: 0, refused: 0, waiting: 0 };

/** What the main thread's servers read from. */
export interface DataPathParts {
  readonly config: Config;
  readonly mode: CaptureMode;
  readonly capturing: () => boolean;
  readonly version: string;
  readonly startedMs: number;
  readonly compiler: Compiler;
  readonly supervisor: WorkerSupervisor;
  readonly client: RegistryClient;
  readonly identity: IdentityService;
  readonly jwks: JwksKeeper;
  /** Null: none are recorded. */
  readonly spans: SpanExporter | null;
  readonly series: SeriesReader;
  readonly sampler: RateSampler;
  readonly endpoints: EndpointState;
  readonly quotas: WorkloadQuotas;
  readonly clock: Clock;
}

/** Getters for `GET /stats`. */
export function statSources(parts: DataPathParts): StatSources {
  const { compiler, supervisor, endpoints, clock, config } = parts;
  return {
    host: config.host,
    version: parts.version,
    clock,
    startedMs: parts.startedMs,
    series: parts.series,
    sampler: parts.sampler,
    revision: () => compiler.revision,
    services: () => compiler.services(),
    endpoint: (slot) => ({
      ejected: endpoints.isEjected(slot, clock.now()) || endpoints.accrual.isShut(slot),
      inFlight: endpoints.inFlight(slot),
      connections: endpoints.connections(slot),
      latencyEwmaMs: endpoints.isMeasured(slot) ? endpoints.latencyAt(slot, clock.now()) : null,
    }),
    workers: () => supervisor.list(),
  };
}

/** Getters for `/metrics`. */
export function metricsSources(parts: DataPathParts): MetricsSources {
  const { compiler, supervisor, client, endpoints, clock } = parts;
  return {
    series: parts.series,
    build: { version: parts.version, node: process.version },
    revision: () => compiler.revision,
    configAgeMs: () => client.state().ageMs,
    registryConnected: () => client.state().connected,
    revisionsRefused: () => compiler.stats().refused,
    services: () => compiler.stats().services,
    endpoints: () => compiler.stats().endpoints,
    endpointsRefused: () => compiler.stats().endpointsLeftOut,
    workloads: () => compiler.stats().localWorkloads,
    bufferedBytes: () => parts.quotas.allBufferedBytes(),
    workloadsRefused: () => compiler.stats().workloadsLeftOut,
    endpointsEjected: () => {
      let ejected = 0;
      const now = clock.now();
      for (const service of compiler.services()) {
        for (const { slot } of service.endpoints) {
          ejected += Number(endpoints.isEjected(slot, now) || endpoints.accrual.isShut(slot));
        }
      }
      return ejected;
    },
    workersAlive: () => supervisor.stats().ready,
    workerRestarts: () => supervisor.stats().restarts,
    capture: () => ({ mode: parts.mode, active: parts.capturing() }),
    certificates: () => certificateFigures(parts.identity.state()),
    jwks: () => parts.jwks.stats(),
    traces: () => parts.spans?.stats() ?? NO_TRACES,
  };
}

function certificateFigures({ host, workloads, renewals }: IdentityState): CertificateFigures {
  const states = { valid: 0, overdue: 0, expired: 0, missing: 0 };
  let firstExpiryMs: number | null = null;
  for (const { state, notAfterMs } of host === null ? [] : [host, ...workloads]) {
    states[state]++;
    if (notAfterMs !== null) firstExpiryMs = Math.min(notAfterMs, firstExpiryMs ?? notAfterMs);
  }
  const expiresInMs = firstExpiryMs === null ? null : firstExpiryMs - Date.now();
  return { states, expiresInMs, renewals };
}
