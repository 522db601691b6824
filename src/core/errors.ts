/** Which side a failure belongs to; decides who is blamed in metrics and logs. */
export type ErrorSide = "downstream" | "upstream" | "proxy";

/**
 * May the request be sent again, to another endpoint?
 * - `always`: nothing of it can have reached an application.
 * - `idempotent`: it may have been acted on; only methods that are idempotent (RFC 9110 section 9.2.2)
 *   and only before the first byte of a response.
 * - `never`.
 */
export type RetrySafety = "always" | "idempotent" | "never";

interface CodeFacts {
  readonly side: ErrorSide;
  /** Status of the response that the proxy makes, where a response can still be made. */
  readonly http: number;
  readonly retry: RetrySafety;
  /** Short reason for the access log; Envoy's flag where Envoy has one. */
  readonly flag: string;
  readonly text: string;
}

/**
 * Every failure that the data path can name. The header `x-hostmesh-error`, the metric label `error`
 * and the access-log flag all derive from this table; `docs/errors.md` is compared with it by a test.
 */
export const CODES = {
  BAD_REQUEST: {
    side: "downstream",
    http: 400,
    retry: "never",
    flag: "DPE",
    text: "the request is malformed or ambiguous",
  },
  REQUEST_LINE_TOO_LONG: {
    side: "downstream",
    http: 414,
    retry: "never",
    flag: "DPE",
    text: "the request line exceeds its limit",
  },
  HEAD_TOO_LARGE: {
    side: "downstream",
    http: 431,
    retry: "never",
    flag: "DPE",
    text: "the request head exceeds its limit in bytes or fields",
  },
  HEAD_TIMEOUT: {
    side: "downstream",
    http: 408,
    retry: "never",
    flag: "DT",
    text: "no complete request head within the time limit",
  },
  EXPECTATION_FAILED: {
    side: "downstream",
    http: 417,
    retry: "never",
    flag: "DPE",
    text: "an expectation other than 100-continue",
  },
  VERSION_NOT_SUPPORTED: {
    side: "downstream",
    http: 505,
    retry: "never",
    flag: "DPE",
    text: "an HTTP version other than 1.0 and 1.1",
  },
  NOT_IMPLEMENTED: {
    side: "downstream",
    http: 501,
    retry: "never",
    flag: "DPE",
    text: "a transfer coding that is not supported",
  },
  REQUEST_BODY_TIMEOUT: {
    side: "downstream",
    http: 408,
    retry: "never",
    flag: "SI",
    text: "the client stopped sending the request body",
  },
  CLIENT_CLOSED: {
    side: "downstream",
    http: 499,
    retry: "never",
    flag: "DC",
    text: "the client went away before the response ended",
  },
  NO_ROUTE: {
    side: "proxy",
    http: 404,
    retry: "never",
    flag: "NR",
    text: "the authority names no service of the mesh",
  },
  LOOP: {
    side: "proxy",
    http: 508,
    retry: "never",
    flag: "LOOP",
    text: "the destination is the proxy itself",
  },
  FORBIDDEN_DESTINATION: {
    side: "proxy",
    http: 403,
    retry: "never",
    flag: "NR",
    text: "the destination is this host itself, and the client is not on it",
  },
  FORBIDDEN_PORT: {
    side: "proxy",
    http: 404,
    retry: "never",
    flag: "NR",
    text: "the service has no such port",
  },
  TOKEN_INVALID: {
    side: "downstream",
    http: 401,
    retry: "never",
    flag: "JWT",
    text: "the request's token is not valid",
  },
  ACCESS_DENIED: {
    side: "proxy",
    http: 403,
    retry: "never",
    flag: "DENY",
    text: "an authorization policy does not allow it",
  },
  PLAINTEXT_REFUSED: {
    side: "proxy",
    http: 403,
    retry: "never",
    flag: "DENY",
    text: "the workload takes mutual TLS only, and the caller has no identity",
  },
  MTLS_UNAVAILABLE: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "TLS",
    text: "the service demands mutual TLS, and none is to be had",
  },
  NO_ENDPOINT: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "UH",
    text: "the service has no endpoint that can take requests",
  },
  POOL_QUEUE_FULL: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "UO",
    text: "the connection limit is reached and the queue is full",
  },
  POOL_QUEUE_TIMEOUT: {
    side: "proxy",
    http: 503,
    retry: "always",
    flag: "UO",
    text: "no upstream connection became free in time",
  },
  CONNECTION_LIMIT: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "OM",
    text: "the worker has reached its limit of connections",
  },
  QUOTA_CONNECTIONS: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "OM",
    text: "the workload has reached its connection quota",
  },
  QUOTA_REQUESTS: {
    side: "proxy",
    http: 429,
    retry: "never",
    flag: "RL",
    text: "the workload has reached its quota of requests in flight",
  },
  QUOTA_BUFFERS: {
    side: "proxy",
    http: 429,
    retry: "never",
    flag: "RL",
    text: "the workload has reached its quota of bytes in buffers",
  },
  RATE_LIMITED: {
    side: "proxy",
    http: 429,
    retry: "never",
    flag: "RL",
    text: "a rate limit is used up",
  },
  CIRCUIT_OPEN: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "UO",
    text: "a limit of what the service may have under way is reached",
  },
  CONCURRENCY_LIMIT: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "UO",
    text: "no endpoint has room below its learnt limit of requests in flight",
  },
  ROUTE_NOT_FOUND: {
    side: "proxy",
    http: 404,
    retry: "never",
    flag: "NR",
    text: "no rule of the service matches the request",
  },
  BACKEND_UNKNOWN: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "NC",
    text: "a rule leads to a service or port that nobody has registered",
  },
  FAULT_INJECTED: {
    side: "proxy",
    http: 503,
    retry: "never",
    flag: "FI",
    text: "a route's fault rule asks for this failure",
  },
  INTERNAL: {
    side: "proxy",
    http: 500,
    retry: "never",
    flag: "INT",
    text: "an error inside the proxy",
  },
  CONNECT_REFUSED: {
    side: "upstream",
    http: 502,
    retry: "always",
    flag: "UF",
    text: "the endpoint refused the connection",
  },
  CONNECT_TIMEOUT: {
    side: "upstream",
    http: 504,
    retry: "always",
    flag: "UF",
    text: "the endpoint did not accept the connection in time",
  },
  CONNECT_FAILED: {
    side: "upstream",
    http: 502,
    retry: "always",
    flag: "UF",
    text: "the endpoint could not be reached",
  },
  TLS_FAILED: {
    side: "upstream",
    http: 502,
    retry: "always",
    flag: "UF",
    text: "no TLS connection to the endpoint's host",
  },
  IDENTITY_MISMATCH: {
    side: "upstream",
    http: 502,
    retry: "always",
    flag: "TLS",
    text: "the endpoint's host proved another identity than expected",
  },
  MESH_REFUSED: {
    side: "upstream",
    http: 502,
    retry: "always",
    flag: "UF",
    text: "the endpoint's host did not open the connection",
  },
  UPSTREAM_REFUSED: {
    side: "upstream",
    http: 502,
    retry: "always",
    flag: "UR",
    text: "the endpoint did not take the request",
  },
  UPSTREAM_RESET: {
    side: "upstream",
    http: 502,
    retry: "idempotent",
    flag: "UC",
    text: "the endpoint closed the connection before a response",
  },
  UPSTREAM_TRUNCATED: {
    side: "upstream",
    http: 502,
    retry: "idempotent",
    flag: "UC",
    text: "the endpoint closed the connection inside the response",
  },
  UPSTREAM_PROTOCOL: {
    side: "upstream",
    http: 502,
    retry: "idempotent",
    flag: "UPE",
    text: "the endpoint's response is malformed or ambiguous",
  },
  UPSTREAM_TIMEOUT: {
    side: "upstream",
    http: 504,
    retry: "never",
    flag: "UT",
    text: "the endpoint did not answer in time",
  },
  TRY_TIMEOUT: {
    side: "upstream",
    http: 504,
    retry: "idempotent",
    flag: "UT",
    text: "the try had no response in its own time",
  },
  REQUEST_TIMEOUT: {
    side: "upstream",
    http: 504,
    retry: "never",
    flag: "UT",
    text: "the request's whole time, tries and pauses included, is over",
  },
  UPSTREAM_STALLED: {
    side: "upstream",
    http: 504,
    retry: "never",
    flag: "SI",
    text: "the endpoint stopped in the middle of the response",
  },
} as const satisfies Record<string, CodeFacts>;

export type MeshErrorCode = keyof typeof CODES;

export function isMeshErrorCode(text: string): text is MeshErrorCode {
  return Object.hasOwn(CODES, text);
}

/** How the response to a failure differs from what the table says. */
export interface ErrorAnswer {
  readonly status?: number;
  /** To a call of gRPC; absent: what `status` is to it. */
  readonly grpcStatus?: number;
  /** Further fields: name, value, name, value. */
  readonly fields?: readonly string[];
}

/** A failure of the data path. `message` names peer and limit; `cause` keeps what was thrown below. */
export class MeshError extends Error {
  readonly code: MeshErrorCode;
  /** What the answer has besides what the table says; null: nothing. */
  answer: ErrorAnswer | null = null;

  constructor(code: MeshErrorCode, detail: string, cause?: unknown) {
    super(`${CODES[code].text}: ${detail}`, cause === undefined ? undefined : { cause });
    this.name = "MeshError";
    this.code = code;
  }
}
