import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { layout, type Memory, openMemory, openSeries } from "../../daemon/memory.ts";
import { type Config, type ConfigInput, configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import type { RequestFacts } from "../../src/core/facts.ts";
import type { AppProtocol, BalancerConfig, HashOn } from "../../src/core/model.ts";
import type { Policy } from "../../src/core/policy.ts";
import { type Random, seeded } from "../../src/core/random.ts";
import type {
  DataEndpoint,
  DataService,
  DataUpdate,
  DataWorkload,
} from "../../src/core/snapshot.ts";
import { DataPlane } from "../../src/proxy/data-plane.ts";
import type { DestinationSource } from "../../src/proxy/downstream/destination.ts";
import type { WorkloadQuotas } from "../../src/proxy/routing/policy/workload-quotas.ts";
import type { EndpointState } from "../../src/proxy/upstream/balance/endpoint-state.ts";
import type { Series } from "../../src/telemetry/series.ts";
import type { SpanSink } from "../../src/telemetry/tracing/span.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";
import type { HandTimers } from "./hand-timers.ts";

/** A data plane in this thread, with its explicit proxy port, and everything it reported. */
export interface PlaneLab {
  readonly plane: DataPlane;
  readonly port: number;
  readonly facts: RequestFacts[];
  readonly endpoints: EndpointState;
  readonly quotas: WorkloadQuotas;
  /** Everything that workers share. */
  readonly memory: Memory;
  readonly series: Series;
  readonly config: Config;
  /** Replaces all services. */
  services(...services: DataService[]): void;
  close(): Promise<void>;
}

export interface LabOptions {
  readonly config?: ConfigInput;
  readonly workloads?: readonly DataWorkload[];
  /** With it the port is a captured one, and this says where connections were going. */
  readonly destination?: DestinationSource;
  readonly ownAddresses?: readonly string[];
  /** Time and alarms that the test moves; what has coarse limits looks at the clock ten times a second. */
  readonly timers?: HandTimers;
  readonly random?: Random;
  /** Have the facts their details? They are kept as they are at the end. */
  readonly watchDetails?: boolean;
  /** False: nothing is kept in `facts`, for measurements. */
  readonly keepFacts?: boolean;
  /** Takes the spans of its requests. */
  readonly spans?: SpanSink;
  /** With it Istio's metrics are counted. */
  readonly istioCluster?: string;
}

/** Small memory: labs are made by the dozen. */
const SMALL = { endpoints: 256, workloads: 64, metricSeries: 64, services: 64, rateBuckets: 64 };

export async function planeLab(options: LabOptions = {}): Promise<PlaneLab> {
  const input = options.config ?? {};
  const config = configSchema.parse({
    ...input,
    limits: { ...SMALL, ...input.limits },
    telemetry: { ...input.telemetry, accessLog: options.keepFacts === false ? "off" : "json" },
  });
  const plan = layout(config, 1);
  const clock = options.timers?.clock ?? processClock;
  const memory = openMemory(plan, 0, config, clock);
  const { endpoints, quotas } = memory;
  const series = openSeries(plan, 0);
  const facts: RequestFacts[] = [];
  const recorder = new WorkerRecorder({
    series,
    onSeries: () => undefined,
    ...(options.istioCluster === undefined ? {} : { istioCluster: options.istioCluster }),
    log: options.keepFacts === false ? null : { write: (one) => facts.push({ ...one }) > 0 },
  });
  const port = await freePort();
  const plane = new DataPlane({
    config,
    ...memory,
    ...{ recorder, spans: options.spans },
    watch: { texts: options.keepFacts !== false, details: options.watchDetails === true },
    clock,
    startTimer: options.timers?.start,
    random: options.random ?? seeded(1),
    destination: options.destination ?? null,
    ownAddresses: options.ownAddresses ?? ["127.0.0.1", "::1"],
    ownPorts: [port],
    log: () => undefined,
  });
  const entry = options.destination === undefined ? "explicit" : "captured";
  const spec = { entry: "explicit", host: "127.0.0.1", port, reusePort: false } as const;
  await plane.listen({ ...spec, entry });
  let revision = 0;
  const services = (...list: DataService[]): void => {
    const workloads = [...(options.workloads ?? [])];
    const removed = { removedServices: [], removedWorkloads: [] };
    plane.apply({ revision: ++revision, full: true, services: list, workloads, ...removed });
  };
  services();
  const close = () => plane.drain(0);
  return { plane, port, facts, endpoints, quotas, memory, series, config, services, close };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

let nextSlot = 0;

/** An endpoint on loopback. */
export function endpoint(port: number, more: Partial<DataEndpoint> = {}): DataEndpoint {
  const slot = nextSlot++ % SMALL.endpoints;
  return {
    slot,
    id: `test/${slot}`,
    address: "127.0.0.1",
    port,
    portName: "",
    weight: 1,
    zone: "",
    host: "test",
    meta: {},
    health: "passing",
    local: true,
    ...more,
  };
}

export interface ServiceOptions {
  readonly addresses?: readonly string[];
  readonly protocol?: AppProtocol;
  readonly policy?: BalancerConfig["policy"];
  readonly hashOn?: HashOn;
}

/** A local workload; each lab has room for a few dozen slots. */
export function workload(slot: number, name: string, address: string): DataWorkload {
  const names = { name, namespace: "default", serviceAccount: name };
  return { slot, key: `default/${name}`, ...names, addresses: [address] };
}

/** A service of namespace `default` that takes every port. */
export function service(
  name: string,
  endpoints: readonly DataEndpoint[],
  { addresses = [], protocol, policy = "round-robin", hashOn }: ServiceOptions = {},
): DataService {
  return {
    key: `default/${name}`,
    name,
    namespace: "default",
    addresses,
    ports: [],
    ...(protocol === undefined ? {} : { protocol }),
    balancer: { policy, slowStartMs: 0, ...(hashOn === undefined ? {} : { hashOn }) },
    endpoints,
  };
}

/** An update that replaces all policies and nothing else. */
export function policyUpdate(list: readonly Policy[]): DataUpdate {
  const byKey = Object.fromEntries(list.map((policy, index) => [`policy-${index}`, policy]));
  const none = { services: [], removedServices: [], workloads: [], removedWorkloads: [] };
  return { revision: 9, full: false, ...none, policies: { byKey, jwks: {} } };
}
