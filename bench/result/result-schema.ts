import * as z from "zod";
import type { Sample } from "../model.ts";
import type { BenchResult, ResultRow } from "./result.ts";

/** A result may come from anybody: lists and texts are bounded. */
const MAX_ROWS = 20_000;
const MAX_SAMPLES = 100_000;
const MAX_TEXT = 20_000;
const MAX_HISTOGRAM = 4_000_000;

const text = z.string().max(MAX_TEXT);
const count = z.number().int().min(0);
const amount = z.number().min(0);
const texts = z.array(text).max(1_000);
/** Results that know of no HTTP/2 do not have it. */
const streams = count.default(1);
/** Nor do they have calls of more messages than one. */
const call = z.enum(["unary", "server", "bidi"]).default("unary");
const messages = count.default(1);
const counts = z.record(text, count);

const figure = z.object({ median: z.number(), min: z.number(), max: z.number() });
const maybe = figure.nullable();
const percentiles = z.object({ p50: figure, p90: figure, p99: figure, p999: figure });

const mode = z.enum(["direct", "host", "sidecar"]);
const peer = z.enum(["hostmesh", "nginx", "haproxy", "envoy"]).nullable();
const between = z.enum(["none", "plain", "mtls-http1", "mtls-http2", "mtls-tcp"]);
const topology = z.enum(["same-host", "cross-host"]);
const protocol = z.enum(["http1", "http2", "grpc", "tcp"]);
const bottleneck = z.enum(["rate", "proxy", "load", "generator", "upstream", "unknown"]);
const mark = z.enum([
  "invalid",
  "rounds-left-out",
  "load-bound",
  "rate-missed",
  "late-load",
  "disturbed",
  "shared-core",
  "coarse",
]);

/** Results that are older do not have it. */
const later = maybe.default(null);

const ratios = z.object({
  cpu: maybe,
  gigabytesPerCpuSecond: later,
  p50: maybe,
  p99: maybe,
  p999: maybe,
  throughput: maybe,
  pss: maybe,
});

const row = z.object({
  contestant: text,
  peer,
  mode,
  between,
  topology,
  protocol,
  tls: z.boolean(),
  services: count,
  bodyBytes: count,
  connections: count,
  streams,
  call,
  messages,
  rate: amount.nullable(),
  rounds: z.object({ valid: count, leftOut: count }),
  throughput: maybe,
  latencyMs: percentiles.nullable(),
  addedLatencyMs: percentiles.nullable(),
  latencyCurve: z.array(z.object({ percentile: z.number().min(0).max(100), ms: amount })).max(200),
  cpuMicrosPerRequest: maybe,
  systemMicrosPerRequest: maybe,
  cpuSecondsPerGigabyte: maybe,
  gigabytesPerCpuSecond: later,
  contextSwitchesPerRequest: maybe,
  pssBytes: maybe,
  pssBytesByHost: z.object({ a: figure, b: figure }).nullable(),
  rssBytes: maybe,
  openConnections: maybe,
  handshakes: z.object({ tcp: figure, tls: figure }).nullable(),
  errors: figure,
  errorKinds: counts,
  lateP99Ms: maybe,
  loadBusy: maybe,
  proxyBusy: maybe,
  generatorMicrosPerRequest: maybe,
  bottleneck,
  ratioToBaseline: ratios.nullable(),
  hostmeshRatio: ratios.extend({ contestant: text }).nullable().default(null),
  marks: z.array(mark).max(20),
  problems: texts,
}) satisfies z.ZodType<ResultRow>;

const machine = z.object({
  cpus: count,
  cpuModel: text,
  memoryBytes: amount,
  kernel: text,
  node: text,
  loadAverage: amount,
  virtualised: text.nullable(),
});

const method = z.object({
  topology,
  seconds: amount,
  rounds: count,
  workers: count,
  vary: z.boolean(),
  cores: z.enum(["shared", "own"]).default("shared"),
  site: text,
});

const contestant = z.object({
  name: text,
  peer,
  mode,
  between,
  version: text,
  configFiles: texts,
});

const bytesByHost = z.object({ a: amount, b: amount }).nullable();

const sample = z.object({
  contestant: text,
  workload: z.object({
    protocol,
    bodyBytes: count,
    connections: count,
    streams,
    call,
    messages,
    rate: amount.nullable(),
    services: count,
  }),
  round: count,
  load: z.object({
    requests: count,
    bodyBytes: amount,
    seconds: amount,
    errors: counts,
    histogram: z.string().max(MAX_HISTOGRAM),
    lateP99Micros: amount.nullable(),
    cpuMs: amount,
    connectionsOpened: count,
  }),
  cpu: z.object({ userMs: amount, systemMs: amount }).nullable(),
  contextSwitches: amount.nullable(),
  pssBytes: bytesByHost,
  rssBytes: bytesByHost,
  openConnections: amount.nullable(),
  handshakes: z.object({ tcp: amount, tls: amount }).nullable(),
  loadBusy: amount.nullable(),
  proxyBusy: amount.nullable(),
  foreignShare: amount.nullable(),
  isCpuShared: z.boolean().default(false),
  bottleneck,
  problems: texts,
}) satisfies z.ZodType<Sample>;

/** Older results have nothing else. */
const httpProtocol = z.enum(["http1", "http2", "grpc"]).default("http1");

const idle = z.object({
  contestant: text,
  protocol: httpProtocol,
  containers: count,
  pssBytes: amount,
  rssBytes: amount,
  processes: count,
});

const idleConnections = z.object({
  contestant: text,
  protocol: httpProtocol,
  connections: count,
  pssBytesEach: z.number(),
});

const scale = z.object({
  contestant: text,
  protocol: httpProtocol,
  dimension: z.enum(["services", "known", "endpoints", "connections", "workers"]),
  value: amount,
  cpuMicrosPerRequest: figure,
  throughput: figure,
  p99Ms: figure,
  pssBytes: amount,
  bottleneck,
  problems: texts,
});

/** The shape of result.json. Fields that it does not know are dropped, so that a newer file of the same schema can be read. */
export const resultSchema = z.object({
  schema: z.literal(1),
  command: text,
  date: text,
  version: text,
  commit: text,
  machine,
  method,
  baseline: text.nullable(),
  versions: z.record(text, text),
  contestants: z.array(contestant).max(1_000),
  missing: z.array(z.object({ name: text, reason: text })).max(1_000),
  notes: texts,
  results: z.array(row).max(MAX_ROWS),
  idle: z.array(idle).max(MAX_ROWS),
  idleConnections: z.array(idleConnections).max(MAX_ROWS),
  scale: z.array(scale).max(MAX_ROWS),
  samples: z.array(sample).max(MAX_SAMPLES),
}) satisfies z.ZodType<BenchResult>;
