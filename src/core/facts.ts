import type { MeshErrorCode } from "./errors.ts";
import type { ExchangeDetails } from "./exchange-details.ts";
import type { Http2Count, Http2Side } from "./http2.ts";
import type { Security } from "./security.ts";
import type { DataEndpoint, DataService } from "./snapshot.ts";

/**
 * How traffic reached the proxy. `mesh`: by mutual TLS from another host; `inbound`: plaintext from outside to a guarded
 * workload; `passthrough`: its destination is not of the mesh.
 */
export type Entry = "captured" | "explicit" | "mesh" | "inbound" | "passthrough";

/** `RequestFacts.route` where no rule matched, or there are none. */
export const DEFAULT_ROUTE = "default";

/** Whom traffic is counted for: a workload of this host, or the service account that a caller of another host has proved. */
export interface TrafficSource {
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name`. */
  readonly key: string;
  /** SPIFFE ID; absent: it has none. */
  readonly identity?: string;
  /** Of a workload of this host. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Of a workload of this host: index into the shared quota state. */
  readonly slot?: number;
}

/** What is known of one exchange at its end; recorded exactly once. Times in ms, sizes in bytes. */
export interface RequestFacts {
  entry: Entry;
  protocol: "http" | "tcp";
  /** Major version of HTTP that the client speaks, and that the endpoint was spoken to in; 0: none. */
  version: 0 | 1 | 2;
  upstreamVersion: 0 | 1 | 2;
  source: TrafficSource | null;
  sourceAddress: string;
  /** Null where nobody asks for them (`Watch.details`). */
  details: ExchangeDetails | null;
  service: DataService | null;
  endpoint: DataEndpoint | null;
  /** Name of the rule that routed it (`CompiledRule.label`), or `DEFAULT_ROUTE`. */
  route: string;
  security: Security;
  /** The texts (this one and those below) are filled in while somebody asks for them (`Watch.texts`), and of what failed. */
  method: string;
  /** `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`: the version of the request. */
  httpVersion: string;
  target: string;
  authority: string;
  /** 0 for TCP and where no response could be sent. */
  status: number;
  /** Of a call of gRPC; -1 for everything else, and where it never came. */
  grpcStatus: number;
  error: MeshErrorCode | null;
  requestBytes: number;
  responseBytes: number;
  /** Messages of a call of gRPC. */
  requestMessages: number;
  responseMessages: number;
  startMs: number;
  durationMs: number;
  /** Waiting for its source's turn, and for a connection from the pool. */
  queueMs: number;
  /** From the request's last hand-over to the endpoint to the first byte of its response. */
  upstreamMs: number;
  /**
   * Spent in the proxy itself: time to dispatch plus time to relay the response head. A small write is done later in the
   * same turn of the event loop, and is not in it.
   */
  proxyMs: number;
  attempts: number;
  requestId: string;
  traceparent: string;
  /** The lines of request id and trace that the request went on with (telemetry/trace-context.ts); "": none. */
  ids: string;
}

/** What the peek found; `declared` needed none, and for `remembered` (HTTP, as before) nothing was dialled ahead. */
export type Detection =
  | "declared"
  | "remembered"
  | "http"
  | "client-first"
  | "server-first"
  | "timeout";

/** Why a request was tried again: a failure, or a response whose status the rules retry. */
export type RetryReason = MeshErrorCode | "STATUS";

/** Single occurrences that are counted without labels of their own. */
export const EVENTS = [
  "connection_opened",
  "connection_closed",
  "connection_refused_limit",
  "connection_refused_quota",
  "upstream_connection_opened",
  "upstream_connection_closed",
  "upstream_connection_failed",
  "upstream_connection_reused",
  "upstream_connection_evicted",
  "pool_queued",
  "pool_queue_full",
  "pool_queue_timeout",
  "loop_refused",
  "tunnel_opened",
  "tunnel_closed",
  "mesh_accepted",
  "mesh_refused",
  "ejection_suppressed",
  "retry_over_budget",
  "retry_over_limit",
  "mirror_sent",
  "mirror_failed",
  "mirror_skipped",
  "turn_waited",
  "rate_limit_overflow",
] as const;
export type DataEvent = (typeof EVENTS)[number];

/** Where the data path reports to. Implementations must not allocate per call in the common case. */
export interface Recorder {
  /** The end of one request or tunnel. The object is reused by the caller: copy what must stay. */
  exchange(facts: Readonly<RequestFacts>): void;
  /** A request or tunnel began; `exchange` ends it. */
  started(source: TrafficSource | null, service: DataService | null): void;
  /** A TCP connection stands, or is about to end without ever having stood: once before its `exchange`. */
  opened(facts: Readonly<RequestFacts>): void;
  event(event: DataEvent): void;
  detection(found: Detection): void;
  /** Something of a connection of HTTP/2; `code`: an error code of HTTP/2, of any value. */
  http2(side: Http2Side, what: Http2Count, code: number): void;
  retry(service: DataService | null, reason: RetryReason): void;
  ejection(service: DataService | null, endpoint: DataEndpoint): void;
}
