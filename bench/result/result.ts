import type {
  Between,
  Bottleneck,
  CallKind,
  Figure,
  IdleConnectionsRow,
  IdleRow,
  Missing,
  Mode,
  Peer,
  Protocol,
  Sample,
  ScaleRow,
  Topology,
} from "../model.ts";

/** One figure for each percentile that is reported. */
export interface Percentiles {
  readonly p50: Figure;
  readonly p90: Figure;
  readonly p99: Figure;
  readonly p999: Figure;
}

/** Quotients of this row and the baseline's, taken within each round; null where either has no such figure. */
export interface Ratios {
  readonly cpu: Figure | null;
  /** Opaque TCP only. */
  readonly gigabytesPerCpuSecond: Figure | null;
  readonly p50: Figure | null;
  readonly p99: Figure | null;
  readonly p999: Figure | null;
  readonly throughput: Figure | null;
  readonly pss: Figure | null;
}

/** The figures of hostmesh divided by a row's, within each round. */
export interface HostmeshRatio extends Ratios {
  /** Name of the hostmesh that it is. */
  readonly contestant: string;
}

/** One point of a latency curve: this share (0 to 100) of all answers took at most so long. */
export interface CurvePoint {
  readonly percentile: number;
  readonly ms: number;
}

/** What a reader has to know before using a row; each is explained in `marks.ts`. */
export type Mark =
  | "invalid"
  | "rounds-left-out"
  | "load-bound"
  | "rate-missed"
  | "late-load"
  | "disturbed"
  | "shared-core"
  | "coarse";

/**
 * One contestant under one workload, over all its rounds. A figure is the median of the valid rounds, with the least and
 * the greatest; null where it does not apply (the direct way has no proxy) or no round was valid.
 */
export interface ResultRow {
  readonly contestant: string;
  readonly peer: Peer | null;
  readonly mode: Mode;
  readonly between: Between;
  readonly topology: Topology;
  readonly protocol: Protocol;
  /** Whether the proxies speak TLS between them. */
  readonly tls: boolean;
  readonly services: number;
  readonly bodyBytes: number;
  readonly connections: number;
  /** Requests at a time on each of them. */
  readonly streams: number;
  readonly call: CallKind;
  /** Messages of an answer, each of the body's size. */
  readonly messages: number;
  /** Requests per second that were asked for; null: as many as possible. */
  readonly rate: number | null;
  readonly rounds: { readonly valid: number; readonly leftOut: number };
  /** Whole and right answers per second. */
  readonly throughput: Figure | null;
  readonly latencyMs: Percentiles | null;
  /** Percentile minus the direct way's same percentile in the same round. Noise can make it negative. */
  readonly addedLatencyMs: Percentiles | null;
  /** All rounds in one histogram, for plots only. */
  readonly latencyCurve: readonly CurvePoint[];
  /** User and system time of all proxies on the path. */
  readonly cpuMicrosPerRequest: Figure | null;
  /** The system's share of it, microseconds. */
  readonly systemMicrosPerRequest: Figure | null;
  /** Opaque TCP only: CPU seconds for 10^9 bytes. */
  readonly cpuSecondsPerGigabyte: Figure | null;
  /** Opaque TCP only: 10^9 bytes for a CPU second, the same the other way round. */
  readonly gigabytesPerCpuSecond: Figure | null;
  readonly contextSwitchesPerRequest: Figure | null;
  /** All proxies, both hosts. */
  readonly pssBytes: Figure | null;
  readonly pssBytesByHost: { readonly a: Figure; readonly b: Figure } | null;
  readonly rssBytes: Figure | null;
  readonly openConnections: Figure | null;
  /** Within the counted time of a round. */
  readonly handshakes: { readonly tcp: Figure; readonly tls: Figure } | null;
  /** Failed requests in a round. Rounds that were left out count here, so that nothing is hidden. */
  readonly errors: Figure;
  /** By kind, all rounds together. */
  readonly errorKinds: Readonly<Record<string, number>>;
  /** How late the generator sent, 99th percentile, milliseconds; null without a rate. */
  readonly lateP99Ms: Figure | null;
  /** Busy share (0 to 1) of the CPUs of load and upstream, and of the proxies. */
  readonly loadBusy: Figure | null;
  readonly proxyBusy: Figure | null;
  /** CPU time of the generator alone. */
  readonly generatorMicrosPerRequest: Figure | null;
  /** What set the throughput in most of the valid rounds. */
  readonly bottleneck: Bottleneck;
  /** null where there is no baseline under this workload. */
  readonly ratioToBaseline: Ratios | null;
  /** null for hostmesh itself and the direct way, and where there is no hostmesh. */
  readonly hostmeshRatio: HostmeshRatio | null;
  readonly marks: readonly Mark[];
  /** Why rounds were left out, each with its round. */
  readonly problems: readonly string[];
}

/** Where the figures were taken. */
export interface MachineFacts {
  readonly cpus: number;
  readonly cpuModel: string;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  /** Load average of the minute before the start. */
  readonly loadAverage: number;
  /** What it runs on (`KVM`, or `yes` where the kind does not tell its name); null: bare metal as far as can be seen. */
  readonly virtualised: string | null;
}

/** One that was compared, as a reader may check it. */
export interface ContestantFacts {
  readonly name: string;
  readonly peer: Peer | null;
  readonly mode: Mode;
  readonly between: Between;
  readonly version: string;
  /** Generated configuration and command lines, relative to the folder of result.json. */
  readonly configFiles: readonly string[];
}

/** How it was measured. */
export interface Method {
  readonly topology: Topology;
  /** Counted seconds of one measurement. */
  readonly seconds: number;
  readonly rounds: number;
  /** Workers or threads of each proxy. */
  readonly workers: number;
  /** No two request heads alike. */
  readonly vary: boolean;
  /** `own`: each proxy of a path had cores of its own; else they shared as many CPUs as one has workers. */
  readonly cores: "shared" | "own";
  /** Which CPU carries what. */
  readonly site: string;
}

/** The content of result.json; docs/bench-result.md documents it. */
export interface BenchResult {
  readonly schema: 1;
  /** The command line that made it. */
  readonly command: string;
  /** Of the start, ISO 8601. */
  readonly date: string;
  readonly version: string;
  /** Commit of the checkout, with `-dirty` where the measured code differs from it, or `unknown`. */
  readonly commit: string;
  readonly machine: MachineFacts;
  readonly method: Method;
  /** Name of the contestant that ratios refer to. */
  readonly baseline: string | null;
  /** By program: `nginx`, `haproxy`, `envoy`, `node`. */
  readonly versions: Readonly<Record<string, string>>;
  readonly contestants: readonly ContestantFacts[];
  readonly missing: readonly Missing[];
  readonly notes: readonly string[];
  readonly results: readonly ResultRow[];
  readonly idle: readonly IdleRow[];
  readonly idleConnections: readonly IdleConnectionsRow[];
  readonly scale: readonly ScaleRow[];
  /** Every single measurement, so that anyone can sum up differently. */
  readonly samples: readonly Sample[];
}
