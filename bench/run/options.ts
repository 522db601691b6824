import { MAX_MESSAGES } from "../h2/request.ts";
import { UsageError } from "../lib/bench-error.ts";
import { MAX_STREAMS } from "../load/job.ts";
import type { CallKind, Mode, Peer, Protocol, Topology } from "../model.ts";
import { byteSize, list, seconds, wholeNumber, word } from "./flag-values.ts";

/** The command line as it was typed; what is absent gets a default. */
export interface BenchFlags {
  readonly modes?: string;
  readonly peers?: string;
  readonly topology?: string;
  readonly protocol?: string;
  readonly tls?: string;
  readonly services?: string;
  readonly connections?: string;
  readonly streams?: string;
  readonly grpcCall?: string;
  readonly messages?: string;
  readonly rate?: string;
  readonly body?: string;
  readonly duration?: string;
  readonly repeat?: string;
  readonly workers?: string;
  readonly cores?: string;
  readonly baseline?: string;
  readonly vary?: boolean;
  readonly envoyBinary?: string;
  readonly quick?: boolean;
  readonly idle?: string;
  readonly scale?: boolean;
  readonly calls?: boolean;
  readonly out?: string;
  readonly force?: boolean;
}

/** What is measured, with every value checked. */
export interface BenchOptions {
  readonly modes: readonly Mode[];
  readonly peers: readonly Peer[];
  readonly topology: Topology;
  readonly protocol: Protocol;
  /** What pairs of sidecars speak between them: `both` measures each pair both ways. */
  readonly tls: "on" | "off" | "both";
  readonly services: number;
  readonly connections: number;
  /** Requests at a time on each of them. */
  readonly streams: number;
  /** What a call of gRPC is, and how many messages its answer has. */
  readonly call: CallKind;
  readonly messages: number;
  /** Requests per second; null is as fast as answers come. */
  readonly rates: readonly (number | null)[];
  readonly bodies: readonly number[];
  /** Length of one measurement. */
  readonly seconds: number;
  readonly repeat: number;
  /** The same for each point of --scale, of which there are many. */
  readonly scaleSeconds: number;
  readonly scaleRepeat: number;
  readonly workers: number;
  /** Whether the proxies of a path share CPUs, or each has cores of its own. */
  readonly cores: "shared" | "own";
  /** Name of the contestant that ratios refer to; null: the fairest that is there. */
  readonly baseline: string | null;
  readonly vary: boolean;
  readonly envoyBinary: string | null;
  readonly quick: boolean;
  /** Measure the matrix of calls. */
  readonly calls: boolean;
  /** Containers without work whose sidecars' memory is measured; null: not asked for. */
  readonly idle: number | null;
  readonly scale: boolean;
  /** Folder of the result; null: a new one, named for the time. */
  readonly out: string | null;
  /** Overwrite a result that is in that folder. */
  readonly force: boolean;
}

const MODES: readonly Mode[] = ["direct", "host", "sidecar"];
const CALLS: readonly CallKind[] = ["unary", "server", "bidi"];
const PROTOCOLS: readonly Protocol[] = ["http1", "http2", "grpc", "tcp"];
const PEERS: readonly Peer[] = ["hostmesh", "nginx", "haproxy", "envoy"];

/** Limits keep a slip of the finger from a run of days, or from more processes than a machine takes. */
export const LIMIT = {
  services: 1_000,
  /** Each has a process for every service. */
  servicesWithSidecars: 50,
  connections: 10_000,
  rate: 1_000_000,
  bodyBytes: 64 * 1_048_576,
  values: 16,
  seconds: { min: 0.1, max: 600 },
  repeat: 100,
  workers: 64,
  idle: 500,
};

/** Short enough that all contestants of two rounds end within a minute. */
const QUICK = { duration: "500ms", repeat: "2" };
/** For --scale, where nothing is said. */
const SCALE = { duration: "3s", repeat: "3" };

/** What each flag is where it is not given. */
export const DEFAULTS = {
  ...{ modes: MODES.join(), peers: PEERS.join(), topology: "same-host", protocol: "http1" },
  ...{ tls: "both", services: "1", connections: "64", rate: "max", body: "115" },
  ...{ duration: "10s", repeat: "5", workers: "1", cores: "shared" },
};

/** Where HTTP/2 or gRPC is spoken: as many requests at a time, on fewer connections. */
export const MULTIPLEXED = { connections: "8", streams: "8" };

/** Of a call that streams. */
export const STREAMED_MESSAGES = "10";

/** Checks the command line. Throws a {@link UsageError} for what is no value, too much, or cannot go together. */
export function readOptions(flags: BenchFlags): BenchOptions {
  const protocol = word("--protocol", flags.protocol ?? DEFAULTS.protocol, PROTOCOLS);
  const load = protocol === "http2" || protocol === "grpc" ? MULTIPLEXED : { streams: "1" };
  const given = { ...DEFAULTS, ...load, ...(flags.quick === true ? QUICK : {}), ...flags };
  const call = word("--grpc-call", flags.grpcCall ?? "unary", CALLS);
  const messages = call === "unary" ? "1" : STREAMED_MESSAGES;
  const scaled = { ...SCALE, ...(flags.quick === true ? QUICK : {}), ...flags };
  const idle = flags.idle === undefined ? null : whole("--idle", flags.idle, LIMIT.idle);
  const scale = flags.scale === true;
  const options: BenchOptions = {
    modes: list("--modes", given.modes, LIMIT.values, (text) => word("--modes", text, MODES)),
    peers: list("--peers", given.peers, LIMIT.values, (text) => word("--peers", text, PEERS)),
    topology: word("--topology", given.topology, ["same-host", "cross-host"]),
    protocol,
    tls: word("--tls", given.tls, ["on", "off", "both"]),
    services: whole("--services", given.services, LIMIT.services),
    connections: whole("--connections", given.connections, LIMIT.connections),
    streams: whole("--streams", given.streams, MAX_STREAMS),
    call,
    messages: whole("--messages", flags.messages ?? messages, MAX_MESSAGES),
    rates: list("--rate", given.rate, LIMIT.values, rateOf),
    bodies: list("--body", given.body, LIMIT.values, (text) =>
      byteSize("--body", text, LIMIT.bodyBytes),
    ),
    seconds: secondsOf(given.duration),
    repeat: whole("--repeat", given.repeat, LIMIT.repeat),
    scaleSeconds: secondsOf(scaled.duration),
    scaleRepeat: whole("--repeat", scaled.repeat, LIMIT.repeat),
    workers: whole("--workers", given.workers, LIMIT.workers),
    cores: word("--cores", given.cores, ["shared", "own"]),
    baseline: flags.baseline ?? null,
    vary: flags.vary === true,
    envoyBinary: flags.envoyBinary ?? null,
    quick: flags.quick === true,
    calls: flags.calls === true || (idle === null && !scale),
    idle,
    scale,
    out: flags.out ?? null,
    force: flags.force === true,
  };
  refuseContradictions(options);
  return options;
}

function whole(flag: string, text: string, max: number): number {
  return wholeNumber(flag, text, 1, max);
}

function secondsOf(text: string): number {
  return seconds("--duration", text, LIMIT.seconds.min, LIMIT.seconds.max);
}

function rateOf(text: string): number | null {
  if (text === "max") return null;
  if (/^\d+$/.test(text)) return whole("--rate", text, LIMIT.rate);
  throw new UsageError(`--rate takes requests per second or "max", not "${text}"`);
}

function refuseContradictions(options: BenchOptions): void {
  const { modes, services, connections, protocol, bodies } = options;
  if (connections < services) {
    throw new UsageError(
      `${connections} connections cannot call ${services} services: --connections must be at least --services`,
    );
  }
  if (modes.includes("sidecar") && services > LIMIT.servicesWithSidecars) {
    throw new UsageError(
      `sidecar mode starts a proxy for each service, so --services is at most ${LIMIT.servicesWithSidecars}; with --modes direct,host up to ${LIMIT.services}`,
    );
  }
  if (options.streams > 1 && (protocol === "http1" || protocol === "tcp")) {
    throw new UsageError(
      `--streams: a connection of ${protocol} carries one request at a time; http2 and grpc carry more`,
    );
  }
  if (options.call !== "unary" && protocol !== "grpc") {
    throw new UsageError(`--grpc-call ${options.call} is a call of gRPC: add --protocol grpc`);
  }
  if (options.call === "unary" && options.messages > 1) {
    throw new UsageError("--messages is for calls that stream: --grpc-call server or bidi");
  }
  if (options.cores === "own" && !options.calls) {
    throw new UsageError("--cores own is about calls, in which several proxies are on a path");
  }
  if (protocol === "tcp" && (options.scale || options.idle !== null)) {
    throw new UsageError("--scale and --idle ask by http1, http2 or grpc, not by tcp");
  }
  if (protocol === "tcp" && bodies.includes(0)) {
    throw new UsageError("--protocol tcp needs bodies of at least one byte: nothing else answers");
  }
}
