import type { Config } from "../../src/config/schema.ts";
import type { HostPort } from "../../src/core/address.ts";
import { processClock } from "../../src/core/clock.ts";
import type { BalancerPolicy } from "../../src/core/model.ts";
import { seeded } from "../../src/core/random.ts";
import type { DataEndpoint, DataService } from "../../src/core/snapshot.ts";
import { DataPlane } from "../../src/proxy/data-plane.ts";
import type { DestinationSource } from "../../src/proxy/downstream/destination.ts";
import { AccessLog } from "../../src/telemetry/access-log/access-log.ts";
import { LineWriter } from "../../src/telemetry/line-writer.ts";
import { spanText } from "../../src/telemetry/tracing/otlp-json.ts";
import type { SpanSink } from "../../src/telemetry/tracing/span.ts";
import { WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";
import { layout, openMemory, openSeries } from "../memory.ts";

/** Where the scratch mesh's services are reached: the virtual address of both, which no packet ever sees. */
export const WEB: HostPort = { host: "240.240.255.1", port: 80 };
export const ECHO: HostPort = { host: "240.240.255.2", port: 80 };
/** The source address that the scratch mesh knows as a workload; any other is a stranger's. */
export const WORKLOAD_ADDRESS = "127.0.0.1";

export interface ScratchOptions {
  /** The worker's own settings: what is switched on there is warmed. */
  readonly config: Config;
  readonly policies: readonly BalancerPolicy[];
  /** Ports of the built-in upstreams on loopback. */
  readonly webPort: number;
  readonly echoPort: number;
  readonly destination: DestinationSource;
}

const ENDPOINTS_PER_SERVICE = 4;
/** At 1 % the code that records spans would not be compiled for minutes, and each span cost several times of what it should. */
const WARM_SAMPLING = 0.5;
const LIMITS = { endpoints: 64, workloads: 8, metricSeries: 64 };

/**
 * A data plane like the worker's own, over memory that nobody else has: what passes through it is counted, logged
 * and remembered nowhere. It runs the same functions, which is all that the compiler looks at.
 */
export function scratchPlane(options: ScratchOptions): DataPlane {
  const { destination } = options;
  const limits = { ...options.config.limits, ...LIMITS };
  const { telemetry } = options.config;
  const tracing = { ...telemetry.tracing, sampling: WARM_SAMPLING };
  const config: Config = { ...options.config, limits, telemetry: { ...telemetry, tracing } };
  const memory = layout(config, 1);
  const log = discardedLog(config);
  const watch = { texts: log !== null, details: log?.needsDetails ?? false };
  const plane = new DataPlane({
    config,
    ...openMemory(memory, 0, config),
    recorder: new WorkerRecorder({
      series: openSeries(memory, 0),
      onSeries: () => undefined,
      log,
    }),
    ...{ watch, spans: discardedSpans(config) },
    clock: processClock,
    random: seeded(1),
    destination,
    ownAddresses: [],
    ownPorts: [],
    log: () => undefined,
  });
  plane.apply({
    revision: 1,
    full: true,
    services: services(options),
    removedServices: [],
    workloads: [workload()],
    removedWorkloads: [],
  });
  return plane;
}

/** Spans likewise. */
function discardedSpans({ telemetry }: Config): SpanSink | undefined {
  if (telemetry.tracing.endpoint === "") return;
  return { add: (_, span) => void spanText(span) };
}

/** Lines are put together as ever, and then dropped. */
function discardedLog(config: Config): AccessLog | null {
  const { accessLog, accessLogFormat: format } = config.telemetry;
  if (accessLog === "off") return null;
  const writer = new LineWriter({ write: (_, done) => done(null), onLost: () => undefined });
  const chooser = { choose: () => accessLog };
  return new AccessLog({ format, host: config.host, chooser, writer });
}

/** One service for each policy in use, named after it, and one that speaks no HTTP. */
function services({ config, policies, webPort, echoPort }: ScratchOptions): DataService[] {
  const { slowStartMs } = config.balance;
  let slot = 0;
  const make = (name: string, port: number, policy: BalancerPolicy, addresses: string[]) => ({
    key: `default/${name}`,
    name,
    namespace: "default",
    addresses,
    ports: [],
    balancer: { policy, slowStartMs },
    // All the same place: pools and estimates are kept by slot.
    endpoints: Array.from({ length: ENDPOINTS_PER_SERVICE }, () => endpoint(slot++, port)),
  });
  const web = policies.map((policy, at) =>
    make(policy, webPort, policy, at === 0 ? [WEB.host] : []),
  );
  const echo = make("echo", echoPort, policies[0] ?? config.balance.policy, [ECHO.host]);
  return [...web, { ...echo, protocol: "tcp" }];
}

function endpoint(slot: number, port: number): DataEndpoint {
  return {
    slot,
    id: `warm-up/${slot}`,
    address: "127.0.0.1",
    port,
    portName: "",
    weight: 1,
    zone: "",
    host: "warm-up",
    meta: {},
    health: "passing",
    local: true,
  };
}

function workload() {
  const names = { name: "warm-up", namespace: "default", serviceAccount: "warm-up" };
  return { slot: 0, key: "default/warm-up", ...names, addresses: [WORKLOAD_ADDRESS] };
}
