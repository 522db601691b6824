/** Kinds of OpenTelemetry's `trace.proto`: of the spans that there are here. */
export const SPAN_KIND = { SERVER: 2, CLIENT: 3 } as const;
export type SpanKind = (typeof SPAN_KIND)[keyof typeof SPAN_KIND];

/** Names and values, one after the other; names are plain words with dots. Whole numbers become `intValue`, others `doubleValue`. */
export type Attributes = readonly (string | number)[];

export interface SpanEvent {
  readonly name: string;
  /** Ms since 1970, as all times here. */
  readonly timeMs: number;
  readonly attributes: Attributes;
}

/** A span as OTLP has it (`opentelemetry/proto/trace/v1/trace.proto`). */
export interface Span {
  /** 32 digits, and 16 each; `parentId` is "" at a root. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  /** Value of `tracestate`; "": none. */
  readonly traceState: string;
  /** Of `traceparent`. */
  readonly traceFlags: number;
  /** Is the parent a span of somebody else? */
  readonly isParentRemote: boolean;
  readonly kind: SpanKind;
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** Null: nothing is said of it. Else it failed, with the reason or "". */
  readonly failure: string | null;
}

/** Takes spans of this worker. `resource` is the text that `resourceText` makes: whose span it is. */
export interface SpanSink {
  add(resource: string, span: Span): void;
}

/** What the data path records spans with. */
export interface Tracing {
  readonly sink: SpanSink;
  /** Record exchanges that failed whether they are sampled or not. */
  readonly errors: boolean;
  /** The time of day in ms since 1970 for a time of the process' clock. */
  readonly unixMs: (clockMs: number) => number;
}
