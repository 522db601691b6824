/** Which requests a tap shows; all that are given must match. */
export interface TapFilter {
  /** `namespace/name` of the caller. */
  readonly source?: string;
  /** `namespace/name` of the service. */
  readonly destination?: string;
  readonly method?: string;
  /** Beginning of the path. */
  readonly pathPrefix?: string;
  readonly authority?: string;
  /** A status, or a class as `5xx`. */
  readonly status?: string;
  /** Only what failed. */
  readonly failed?: boolean;
  /** Headers are shown, those that may hold secrets as `[redacted]`. */
  readonly headers?: boolean;
  /** The values of query strings are shown; else only their names are. */
  readonly query?: boolean;
}

/** What a tap may cost: events beyond `perSecond` are counted, not sent. */
export interface TapLimits {
  /** For each host, 1 to 1000; default 100. */
  readonly perSecond: number;
  /** The tap ends after so long; default 10 min, at most 1 h. */
  readonly durationMs: number;
}

/** One request or tunnel at its end. Times in ms, sizes in bytes. */
export interface TapEvent {
  readonly host: string;
  /** When it began, of the day, since 1970. */
  readonly atMs: number;
  readonly entry: string;
  readonly protocol: string;
  readonly httpVersion: string;
  /** `namespace/name` or `unknown`. */
  readonly source: string;
  readonly sourceAddress: string;
  /** `namespace/name` or null. */
  readonly destination: string | null;
  readonly route: string;
  readonly endpoint: string | null;
  readonly endpointAddress: string | null;
  readonly security: string;
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly status: number;
  readonly grpcStatus: number | null;
  readonly error: string | null;
  readonly flag: string;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly attempts: number;
  readonly requestId: string;
  readonly traceId: string;
  /** Absent: not asked for. */
  readonly requestHeaders?: readonly (readonly [string, string])[];
  readonly responseHeaders?: readonly (readonly [string, string])[];
}

/** What comes from a tap: an event, or what it left out since the last one. */
export type TapItem =
  | { readonly type: "event"; readonly event: TapEvent }
  | { readonly type: "skipped"; readonly host: string; readonly events: number };
