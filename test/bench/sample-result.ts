import { build, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import type { Contestant, IdleRow, Sample, ScaleRow, Workload } from "../../bench/model.ts";
import type { BenchResult } from "../../bench/result/result.ts";
import { summarize } from "../../bench/result/summarize.ts";

export type Who = Pick<Contestant, "name" | "peer" | "mode" | "between">;

export const WORKLOAD: Workload = {
  protocol: "http1",
  bodyBytes: 115,
  connections: 64,
  streams: 1,
  call: "unary",
  messages: 1,
  rate: 8_000,
  services: 1,
};

/** A histogram as the load generator sends it. */
export function histogram(micros: readonly number[]): string {
  const all = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000 });
  for (const one of micros) all.recordValue(Math.round(one));
  return encodeIntoCompressedBase64(all);
}

/** A valid measurement: 100 answers of 1 ms in a second, 20 µs of CPU each. */
export function sample(given: Partial<Sample>): Sample {
  return {
    contestant: "hostmesh",
    workload: WORKLOAD,
    round: 0,
    load: load({}),
    cpu: { userMs: 1, systemMs: 1 },
    contextSwitches: 50,
    pssBytes: { a: 10_000_000, b: 0 },
    rssBytes: { a: 20_000_000, b: 0 },
    openConnections: 128,
    handshakes: { tcp: 4, tls: 0 },
    loadBusy: 0.5,
    proxyBusy: 0.6,
    foreignShare: 0.01,
    isCpuShared: false,
    bottleneck: "rate",
    problems: [],
    ...given,
  };
}

export function load(given: Partial<Sample["load"]>): Sample["load"] {
  return {
    ...{ requests: 100, bodyBytes: 11_500, seconds: 1, errors: {} },
    histogram: histogram(Array.from({ length: 100 }, () => 1_000)),
    ...{ lateP99Micros: 10, cpuMs: 5, connectionsOpened: 64 },
    ...given,
  };
}

export const HOSTMESH: Who = {
  name: "hostmesh",
  peer: "hostmesh",
  mode: "host",
  between: "none",
};
export const DIRECT: Who = { name: "direct", peer: null, mode: "direct", between: "none" };
export const PAIR: Who = {
  name: "haproxy pair, mTLS h2",
  peer: "haproxy",
  mode: "sidecar",
  between: "mtls-http2",
};

/** How a made-up contestant behaves: its cost, and how its latency is spread. */
interface Manner {
  readonly who: Who;
  readonly cpuMicros: number;
  readonly perKibMicros: number;
  readonly medianMicros: number;
  readonly tail: number;
  readonly pssBytes: number;
  readonly limit: number;
}

const MIB = 1_048_576;
const pair = (name: string, peer: Who["peer"], between: Who["between"]): Who => ({
  ...{ name, peer, between },
  mode: "sidecar",
});

const FIELD: readonly Manner[] = [
  manner(DIRECT, [0, 0, 180, 0.5, 0, 60_000]),
  manner(HOSTMESH, [14.4, 0.28, 300, 0.6, 61 * MIB, 48_000]),
  manner({ ...HOSTMESH, name: "haproxy", peer: "haproxy" }, [
    13.2,
    0.33,
    290,
    0.62,
    11 * MIB,
    52_000,
  ]),
  manner(pair("hostmesh pair, mTLS h2", "hostmesh", "mtls-http2"), [
    21,
    0.5,
    420,
    0.75,
    120 * MIB,
    31_000,
  ]),
  manner(pair("nginx pair", "nginx", "plain"), [28.6, 0.7, 430, 0.7, 21 * MIB, 29_000]),
  manner(pair("haproxy pair", "haproxy", "plain"), [27.8, 0.66, 425, 0.72, 22 * MIB, 30_000]),
  manner(pair("haproxy pair, mTLS", "haproxy", "mtls-http1"), [
    34.1,
    0.9,
    470,
    0.8,
    38 * MIB,
    24_000,
  ]),
  manner(PAIR, [18.5, 0.8, 440, 0.78, 33 * MIB, 36_000]),
  manner(pair("envoy pair, mTLS h2", "envoy", "mtls-http2"), [
    71.5,
    1.4,
    690,
    0.95,
    96 * MIB,
    13_000,
  ]),
];

function manner(who: Who, figures: readonly number[]): Manner {
  const [cpuMicros = 0, perKibMicros = 0, medianMicros = 0, tail = 0, pssBytes = 0, limit = 0] =
    figures;
  return { who, cpuMicros, perKibMicros, medianMicros, tail, pssBytes, limit };
}

/** Numbers that look like chance and are the same in every run (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function measured(one: Manner, workload: Workload, round: number): Sample {
  const next = random(
    round * 977 + one.medianMicros * 13 + workload.bodyBytes + (workload.rate ?? 7),
  );
  const kib = workload.bodyBytes / 1_024;
  const jitter = 1 + (next() - 0.5) * 0.08;
  const rate = Math.min(workload.rate ?? one.limit, one.limit) / (1 + kib / 20);
  const requests = Math.round(rate * 5 * (workload.rate === null ? jitter : 1));
  const pressure = 1 + rate / one.limit;
  const micros = Array.from({ length: 4_000 }, () => {
    const normal = Math.sqrt(-2 * Math.log(next() || 1e-9)) * Math.cos(2 * Math.PI * next());
    return (one.medianMicros + kib * 3) * pressure * jitter * Math.exp(one.tail * normal * 0.6);
  });
  const isDirect = one.who.mode === "direct";
  const totalMs = ((one.cpuMicros + one.perKibMicros * kib) * jitter * requests) / 1e3;
  const sides = one.who.mode === "sidecar" ? 2 : 1;
  const pss = { a: one.pssBytes, b: 0 };
  const isMax = workload.rate === null;
  return sample({
    ...{ contestant: one.who.name, workload, round },
    load: load({
      ...{ requests, bodyBytes: requests * workload.bodyBytes, seconds: 5 },
      ...{ histogram: histogram(micros), lateP99Micros: isMax ? null : 40, cpuMs: requests * 6e-3 },
    }),
    cpu: isDirect ? null : { userMs: totalMs * 0.3, systemMs: totalMs * 0.7 },
    contextSwitches: isDirect ? null : Math.round(requests * 0.2 * sides),
    pssBytes: isDirect ? null : pss,
    rssBytes: isDirect ? null : { a: pss.a * 1.4, b: 0 },
    openConnections: isDirect ? null : 128 * sides,
    handshakes: isDirect ? null : { tcp: 3, tls: one.who.between.startsWith("mtls") ? 1 : 0 },
    bottleneck: isMax ? (isDirect || kib > 50 ? "load" : "proxy") : "rate",
    foreignShare: round === 2 && one.who.peer === "envoy" ? 0.09 : 0.01,
  });
}

function idleRows(): IdleRow[] {
  const each = {
    "nginx sidecars": 1.72,
    "haproxy sidecars": 3.48,
    "haproxy sidecars, mTLS": 8.24,
    "envoy sidecars": 58,
  };
  const counts = [1, 10, 50, 100];
  const sidecars = Object.entries(each).flatMap(([name, mib]) =>
    counts.map((containers) => idle(name, containers, mib * containers + 2, containers)),
  );
  return [...counts.map((one) => idle("hostmesh daemon", one, 47 + one * 0.02, 3)), ...sidecars];
}

function idle(contestant: string, containers: number, mib: number, processes: number): IdleRow {
  return {
    contestant,
    protocol: "http1",
    containers,
    pssBytes: mib * MIB,
    rssBytes: mib * MIB * 1.3,
    processes,
  };
}

function scaleRows(): ScaleRow[] {
  const about = (value: number) => ({ median: value, min: value * 0.97, max: value * 1.04 });
  const values = [10, 100, 1_000, 10_000];
  const growth = { services: 0.012, known: 0.004, endpoints: 0.02, connections: 0.09 };
  const rows = Object.entries(growth).flatMap(([dimension, by]) =>
    values.map((value, step) => ({
      ...{ contestant: "hostmesh", protocol: "http1" as const },
      ...{ dimension: dimension as ScaleRow["dimension"], value },
      cpuMicrosPerRequest: about(14.4 * (1 + by * step)),
      throughput: about(48_000 / (1 + by * step)),
      p99Ms: about(1.4 * (1 + by * step * 2)),
      ...{ pssBytes: (58 + step * 9) * MIB, bottleneck: "proxy" as const, problems: [] },
    })),
  );
  const workers = [1, 2].map((value) => ({
    ...{ contestant: "hostmesh", protocol: "http1" as const },
    ...{ dimension: "workers" as const, value },
    cpuMicrosPerRequest: about(14.4 * value ** 0.1),
    throughput: about(24_000 * value ** 0.6),
    ...{ p99Ms: about(1.4), pssBytes: 60 * MIB * value ** 0.4 },
    ...{ bottleneck: value === 1 ? ("proxy" as const) : ("load" as const), problems: [] },
  }));
  return [...rows, ...workers];
}

/** A whole result as the command writes it, with nine contestants, made up but the same in every run. */
export function sampleResult(given: Partial<BenchResult> = {}): BenchResult {
  const workloads: Workload[] = [
    ...[2_000, 8_000, 16_000].map((rate) => ({ ...WORKLOAD, rate })),
    ...[0, 115, 1_024, 10_240, 102_400].map((bodyBytes) => ({
      ...WORKLOAD,
      bodyBytes,
      rate: null,
    })),
  ];
  const samples = workloads.flatMap((workload) =>
    FIELD.flatMap((one) => [0, 1, 2].map((round) => measured(one, workload, round))),
  );
  const broken = samples.findIndex(
    ({ contestant, round }) => contestant === "nginx pair" && round === 1,
  );
  const first = samples[broken];
  if (first !== undefined) {
    const errors = { reset: 3, "status 503": 1 };
    const problems = ["4 requests failed: reset 3, status 503 1"];
    samples[broken] = { ...first, load: { ...first.load, errors }, problems };
  }
  const contestants = FIELD.map(({ who }) => who);
  return {
    schema: 1,
    command: "hostmesh bench --modes direct,host,sidecar --repeat 3 --duration 5s --out out",
    date: "2026-11-20T12:00:00.000Z",
    ...{ version: "0.1.0", commit: "036b02c1d2e3" },
    machine: {
      ...{ cpus: 2, cpuModel: "AMD EPYC 7B13", memoryBytes: 8 * 1024 * MIB, kernel: "6.18.44" },
      ...{ node: "v24.21.0", loadAverage: 0.12, virtualised: "KVM" },
    },
    method: {
      ...{ topology: "same-host", seconds: 5, rounds: 3, workers: 1, vary: false },
      cores: "shared",
      site: "proxies on CPU 0, load and upstream on CPU 1",
    },
    baseline: PAIR.name,
    versions: { node: "24.21.0", nginx: "1.22.1", haproxy: "2.6.12", envoy: "1.40.0" },
    contestants: contestants.map((who) => ({
      ...who,
      version: "1.0",
      configFiles:
        who.mode === "direct" ? [] : [`config/${who.name.replaceAll(/\W+/g, "-")}/client.cfg`],
    })),
    missing: [{ name: "linkerd pair", reason: "linkerd is missing: see its web page" }],
    notes: ["Latency at full load is queueing; read it from the rows with a rate."],
    results: summarize(samples, contestants, PAIR.name, "same-host"),
    idle: idleRows(),
    idleConnections: [
      { contestant: "hostmesh", protocol: "http1", connections: 10_000, pssBytesEach: 2_410 },
      { contestant: "haproxy", protocol: "http1", connections: 10_000, pssBytesEach: 1_150 },
    ],
    scale: scaleRows(),
    samples,
    ...given,
  };
}
