/**
 * The vocabulary of the bench: what is compared, what the load is told, what comes out. Types only, so that the
 * load generator, the contestants, the runner and the report meet here and nowhere else.
 */

/**
 * `direct`: no proxy. `host`: one shared proxy for a host; across hosts with TLS one on each. `sidecar`: a proxy beside
 * the client and one beside the server.
 */
export type Mode = "direct" | "host" | "sidecar";
export type Peer = "hostmesh" | "nginx" | "haproxy" | "envoy";
/** `cross-host`: client and server in two network namespaces, joined by a veth pair. */
export type Topology = "same-host" | "cross-host";
export type Protocol = "http1" | "http2" | "grpc" | "tcp";
/** Those that have requests. */
export type HttpProtocol = Exclude<Protocol, "tcp">;
/**
 * What a call of gRPC is. `unary`: one message each way. `server`: one message, and so many as the answer. `bidi`: so many each
 * way, each sent when the one before has been answered. With any other protocol: unary.
 */
export type CallKind = "unary" | "server" | "bidi";
/**
 * What two proxies speak between them: clear text, TLS 1.3 with certificates on both sides and one HTTP/1.1 request
 * per connection at a time, or the same with HTTP/2, where many requests share a connection. `tcp` relays bytes.
 */
export type Between = "none" | "plain" | "mtls-http1" | "mtls-http2" | "mtls-tcp";

/** What the load asks for: one combination of what is varied. A rate of null is "as fast as answers come". */
export interface Workload {
  readonly protocol: Protocol;
  readonly bodyBytes: number;
  readonly connections: number;
  /** Requests at a time on each of them: 1 but for HTTP/2 and gRPC. */
  readonly streams: number;
  readonly call: CallKind;
  /** Messages of an answer, each of the body's size: 1 but for gRPC calls that stream. */
  readonly messages: number;
  /** Requests per second over all connections. */
  readonly rate: number | null;
  /** Number of services, each called in turn. */
  readonly services: number;
}

/** Where the load connects to call one service. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** The name in Host (HTTP) or in CONNECT (TCP through a proxy that is told so), as `web-0`. */
  readonly authority: string;
  /** True: a TCP connection begins with CONNECT to the authority. */
  readonly connect: boolean;
  /** Address of this machine that the connections come from, by which a proxy tells sources apart; absent: any. */
  readonly from?: string;
}

/** A process of a proxy; its children belong to it. */
export interface ProxyProcess {
  /** As `client sidecar`, `server sidecar of web-3`, `host proxy`. */
  readonly role: string;
  readonly pid: number;
  /** The host that it runs on; on one host, all are on `a`. */
  readonly host: "a" | "b";
}

/** Something that can be measured: it runs, and answers. */
export interface Contestant {
  /** Unique, and what a reader sees: `hostmesh`, `haproxy pair, mTLS h2`, `direct`. */
  readonly name: string;
  /** null for the direct way. */
  readonly peer: Peer | null;
  readonly mode: Mode;
  readonly between: Between;
  readonly version: string;
  /** One for each service. */
  readonly targets: readonly Target[];
  /** Every proxy on the path; empty for the direct way. */
  readonly proxies: readonly ProxyProcess[];
  /** Ports on which proxies accept TLS connections of other proxies, to count handshakes. */
  readonly tlsPorts: readonly number[];
  /** Seconds of load that it gets before it is measured. */
  readonly warmUpSeconds: number;
  /** Files that anybody may read to object: generated configuration, and the command line of each process. */
  readonly configFiles: readonly string[];
}

/** A contestant that cannot be measured, and what the reader can do about it. */
export interface Missing {
  readonly name: string;
  readonly reason: string;
}

/** What the load generator is told, as JSON on its standard input. */
export interface LoadJob {
  readonly protocol: Protocol;
  readonly targets: readonly Target[];
  readonly connections: number;
  /** Requests at a time on each of them; absent: one. HTTP/1.1 and TCP have no other number. */
  readonly streams?: number;
  /** Absent: unary, one message. */
  readonly call?: CallKind;
  readonly messages?: number;
  readonly bodyBytes: number;
  /** null: closed loop, each connection asks again as soon as it is answered. */
  readonly rate: number | null;
  readonly seconds: number;
  /** The same load before it, which is not counted. */
  readonly warmUpSeconds: number;
  /** No two request heads alike: each has a path and a field of its own. */
  readonly vary: boolean;
  /**
   * Send only so many requests, none of them a warm-up, and report them all: what a fresh proxy does first. `seconds` is
   * then the longest that it may take.
   */
  readonly firstRequests?: number;
}

/** What it reports, as one line of JSON on its standard output. */
export interface LoadResult {
  /** Answers that were whole and right, within the counted time. */
  readonly requests: number;
  /** Bytes of their bodies. */
  readonly bodyBytes: number;
  /** Length of the counted time. */
  readonly seconds: number;
  /** What went wrong, by kind (`connect`, `reset`, `timeout`, `status 503`, `garbled`), within the counted time. */
  readonly errors: Readonly<Record<string, number>>;
  /**
   * Latency of every answer in microseconds: HdrHistogram, V2 compressed, base64. With a rate it counts from the moment
   * the request should have been sent; otherwise from when it was.
   */
  readonly histogram: string;
  /** With a rate: how late requests were sent, 99th percentile, microseconds; else null. Waiting for a free connection is the proxy's lateness and not in it. */
  readonly lateP99Micros: number | null;
  /** CPU time of the generator within the counted time, all threads. */
  readonly cpuMs: number;
  /** Connections that it opened since its start, those among them that replaced others. */
  readonly connectionsOpened: number;
}

/** The middle of several measurements and how far they lie apart. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One measurement of one contestant under one workload. */
export interface Sample {
  readonly contestant: string;
  readonly workload: Workload;
  readonly round: number;
  readonly load: LoadResult;
  /** CPU time of all proxies on the path within the counted time; null for the direct way. */
  readonly cpu: { readonly userMs: number; readonly systemMs: number } | null;
  /** Voluntary and forced context switches of all proxies' threads; null for the direct way. */
  readonly contextSwitches: number | null;
  /** Proportional set size of all proxies, by host, bytes, at the end of the load. */
  readonly pssBytes: { readonly a: number; readonly b: number } | null;
  readonly rssBytes: { readonly a: number; readonly b: number } | null;
  /** Established TCP connections that the proxies held under load, before the counted time. A connection between two of them counts twice. */
  readonly openConnections: number | null;
  /** TCP connections that the proxies opened or accepted, and TLS ones among them, within the counted time. */
  readonly handshakes: { readonly tcp: number; readonly tls: number } | null;
  /** Busy share (0 to 1) of the CPU or CPUs of load and upstream, and of the proxies'; null where nothing is pinned. */
  readonly loadBusy: number | null;
  readonly proxyBusy: number | null;
  /** Share of the proxies' CPUs that neither they nor the bench used. */
  readonly foreignShare: number | null;
  /** Load or upstream ran on a CPU of these proxies, as there are too few cores. */
  readonly isCpuShared: boolean;
  /** `generator`, `upstream`, `proxy` or `rate`: what set the throughput. */
  readonly bottleneck: Bottleneck;
  /** Empty, or what makes the sample invalid. */
  readonly problems: readonly string[];
}

/** `rate`: the asked rate was reached. `load`: generator and upstream share a CPU, and it was full. */
export type Bottleneck = "rate" | "proxy" | "load" | "generator" | "upstream" | "unknown";

/** Memory of one kind of proxy for a number of containers that do nothing, on one host. */
export interface IdleRow {
  /** `hostmesh daemon`, `nginx sidecars`, `haproxy sidecars`, `haproxy sidecars, mTLS`, `envoy sidecars`. */
  readonly contestant: string;
  readonly protocol: HttpProtocol;
  readonly containers: number;
  readonly pssBytes: number;
  readonly rssBytes: number;
  readonly processes: number;
}

/** What idle keep-alive client connections cost one proxy. */
export interface IdleConnectionsRow {
  readonly contestant: string;
  readonly protocol: HttpProtocol;
  readonly connections: number;
  /** Growth of PSS divided by the connections. */
  readonly pssBytesEach: number;
}

/**
 * `services`: so many services, each called in turn. `known`: so many that the proxy knows, of which the same few are
 * called, as it is on one host of a large mesh. `connections`: idle ones, beside those that are active.
 */
export type ScaleDimension = "services" | "known" | "endpoints" | "connections" | "workers";

/** One shared proxy while one thing grows and everything else stays. */
export interface ScaleRow {
  readonly contestant: string;
  readonly protocol: HttpProtocol;
  readonly dimension: ScaleDimension;
  readonly value: number;
  readonly cpuMicrosPerRequest: Figure;
  readonly throughput: Figure;
  readonly p99Ms: Figure;
  readonly pssBytes: number;
  readonly bottleneck: Bottleneck;
  /** Empty, or what makes the row invalid. */
  readonly problems: readonly string[];
}
