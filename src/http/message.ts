import type { B3Field } from "./headers.ts";

/**
 * How the end of a body is found: there is none, by Content-Length, by the chunked coding, or by the end
 * of the connection (responses only). RFC 9112 section 6.3.
 */
export type Framing = "none" | "length" | "chunked" | "eof";

/** The four forms of a request target, RFC 9112 section 3.2. */
export type TargetForm = "origin" | "absolute" | "authority" | "asterisk";

/** One that was sent twice is a list, which no reader of B3 takes for valid. */
export type B3Fields = Partial<Record<B3Field, string>>;

/** A parsed request head. Text is latin1: one character per byte. Absent values are `""`. */
export interface RequestHead {
  method: string;
  /** The request target as it was sent. */
  target: string;
  /** Minor version; versions above 1.1 count as 1.1 (RFC 9110 section 2.5). */
  minor: 0 | 1;
  /**
   * Flat name, value, name, value in the order of the head; names in their original case, values trimmed.
   * Split on the first use: forwarding a request needs none of it.
   */
  readonly fields: readonly string[];
  /**
   * The field lines that go on to the next hop just as they came, each with its CRLF. All fields are in it
   * but Host, those of framing, those that are for this hop only, and those that have a property here.
   */
  passed: string;
  /**
   * The authority in its original spelling: of the target where the target has one, because that overrides
   * Host (RFC 9112 section 3.2.2), else the value of Host. `""` only in HTTP/1.0.
   */
  authority: string;
  /** `authority` in lower case. */
  host: string;
  form: TargetForm;
  /** What goes upstream as the target: origin-form, except for `*` and CONNECT. */
  path: string;
  /** Of an absolute-form target, else `""`. */
  scheme: "" | "http" | "https";
  framing: Framing;
  /** -1 without Content-Length. */
  contentLength: number;
  /** May the client's connection carry another request after this one? */
  keepAlive: boolean;
  /** The client sends its content only after a 100 response. */
  readonly expectContinue: boolean;
  /** Value of Upgrade, where the request is really one that can be upgraded (see `parseRequestHead`). */
  upgrade: string;
  /** Its client offers to go on in HTTP/2 (RFC 7540 section 3.2). */
  readonly offersHttp2: boolean;
  /** Further fields that are only meant for this hop: the options of Connection, lower-case. */
  connectionTokens: readonly string[];
  requestId: string;
  /** `""` also where it was sent twice, which W3C Trace Context calls invalid. */
  traceparent: string;
  tracestate: string;
  /** Its fields of B3 propagation, by their lower-case names; null: it has none. */
  b3: B3Fields | null;
  forwardedFor: string;
  forwardedProto: string;
  via: string;
  proxyAuthorization: string;
  /** TE names `trailers`, its only member that reaches beyond a hop (RFC 9110 section 10.1.4). */
  acceptsTrailers: boolean;
  /** The client sends this very head again and again: what is made of it may be kept. */
  repeats: boolean;
  /** What goes to an endpoint for this head, but for the lines that identify the request; see `repeats`. */
  forwarded: string;
  /** Size of the head in bytes. */
  readonly bytes: number;
}

/** A parsed response head. Text is latin1: one character per byte. Absent values are `""`. */
export interface ResponseHead {
  status: number;
  reason: string;
  minor: 0 | 1;
  /** As in `RequestHead`. */
  readonly fields: readonly string[];
  /** As in `RequestHead`. */
  passed: string;
  framing: Framing;
  /** -1 without Content-Length. Responses to HEAD and 304 may have one and yet no body. */
  contentLength: number;
  /** May the upstream connection carry another request after this response? */
  keepAlive: boolean;
  /** Value of Upgrade, where Connection names it. */
  upgrade: string;
  /** The endpoint sends this very head again and again: what is made of it may be kept. */
  repeats: boolean;
  /** What goes to a client that speaks HTTP/1.1 and stays; see `repeats`. */
  forwarded: string;
  /** As in `RequestHead`. */
  connectionTokens: readonly string[];
  via: string;
  /** Size of the head in bytes. */
  readonly bytes: number;
}

/** Limits of one head or one trailer section. */
export interface FieldLimits {
  /** Field lines. */
  readonly headerCount: number;
}
