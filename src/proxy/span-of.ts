import { type HostPort, parseHostPort } from "../core/address.ts";
import { CODES, type MeshErrorCode } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import { GRPC } from "../core/grpc.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import { findField } from "../http/headers.ts";
import type { RequestHead } from "../http/message.ts";
import { requestIdIn } from "../telemetry/trace-context.ts";
import { SPAN_KIND, type Span, type SpanEvent, type SpanKind } from "../telemetry/tracing/span.ts";
import type { Origin } from "./context.ts";
import { isGrpcCall } from "./grpc.ts";
import type { SpanIds } from "./propagation.ts";

/** What is special to one span of an exchange. Times are those of the process' clock. */
export interface Told {
  readonly kind: SpanKind;
  readonly spanId: string;
  readonly parentId: string;
  readonly isParentRemote: boolean;
  readonly startMs: number;
  readonly endMs: number;
  readonly status: number;
  readonly grpcStatus: number;
  readonly error: MeshErrorCode | null;
  readonly endpoint: DataEndpoint | null;
  readonly events: readonly SpanEvent[];
  /** The path of the rule by which it went; "": none is known. */
  readonly template: string;
}

/** What all spans of an exchange share. */
export interface SpanParts {
  readonly origin: Origin;
  readonly facts: RequestFacts;
  readonly head: RequestHead;
  readonly ids: string;
  readonly unixMs: (clockMs: number) => number;
}

/** Methods that have a name of their own in the conventions; the others would be values without end. */
const METHODS = new Set(
  ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"].concat("QUERY", "TRACE"),
);
/** Texts of clients are cut to this. */
const MAX_TEXT = 1_024;
/** Trace Context lets a tracestate be dropped that is longer. */
const MAX_STATE = 512;
const HTTP_VERSIONS = ["", "1.1", "2"];
const STATUS_NAMES: readonly string[] = Object.keys(GRPC);
/** Statuses of gRPC by which a server has failed; of the others the caller is to blame. */
const SERVER_FAULTS = new Set<number>([
  GRPC.UNKNOWN,
  GRPC.DEADLINE_EXCEEDED,
  GRPC.UNIMPLEMENTED,
  GRPC.INTERNAL,
  GRPC.UNAVAILABLE,
  GRPC.DATA_LOSS,
]);

/** An exchange as a span, by OpenTelemetry's semantic conventions for HTTP 1.23 and, for calls of gRPC, for RPC 1.39. */
export function spanOf(told: Told, parts: SpanParts, { traceId, flags }: SpanIds): Span {
  const { head, facts, unixMs } = parts;
  const isCall = isGrpcCall(head, facts.version === 2 ? 2 : 1);
  const failure = failureOf(told, isCall);
  const { tracestate } = head;
  const startMs = unixMs(told.startMs);
  return {
    ...{ traceId, spanId: told.spanId, parentId: told.parentId },
    traceState: tracestate.length > MAX_STATE ? "" : tracestate,
    ...{ traceFlags: flags, isParentRemote: told.isParentRemote, kind: told.kind },
    name: nameOf(told, head, isCall),
    // The time of day may be set anew between two looks at it.
    ...{ startMs, endMs: startMs + told.endMs - told.startMs },
    attributes: [
      ...httpAttributes(told, parts),
      ...(isCall ? callAttributes(told, head) : []),
      ...(failure === null ? [] : ["error.type", failure]),
      ...meshAttributes(told, parts),
    ],
    events: told.events,
    failure: failure === null ? null : (told.error ?? ""),
  };
}

function nameOf({ template }: Told, head: RequestHead, isCall: boolean): string {
  if (isCall) return methodOf(head);
  const method = METHODS.has(head.method) ? head.method : "HTTP";
  return template === "" ? method : `${method} ${template}`;
}

/** Full name of a method of gRPC: its path. */
function methodOf({ path }: RequestHead): string {
  return path.slice(1, MAX_TEXT);
}

/** What it failed by; null: it did not, in the eyes of this side. */
function failureOf({ kind, status, grpcStatus, error }: Told, isCall: boolean): string | null {
  const isClient = kind === SPAN_KIND.CLIENT;
  if (error !== null) {
    const isOthers = !isClient && CODES[error].side === "downstream";
    return isOthers && status < 500 ? null : error;
  }
  if (isCall && grpcStatus !== GRPC.OK) {
    const isFault = isClient || grpcStatus === -1 || SERVER_FAULTS.has(grpcStatus);
    return isFault ? statusName(grpcStatus) : null;
  }
  return status >= (isClient ? 400 : 500) ? String(status) : null;
}

/** A call whose status never came ends with UNKNOWN at its caller. */
function statusName(grpcStatus: number): string {
  return STATUS_NAMES[grpcStatus] ?? "UNKNOWN";
}

function callAttributes({ grpcStatus }: Told, head: RequestHead): (string | number)[] {
  return [
    ...["rpc.system.name", "grpc", "rpc.method", methodOf(head)],
    ...["rpc.response.status_code", statusName(grpcStatus)],
  ];
}

/** Queries are left out, as they may hold what is nobody's business. */
function httpAttributes(told: Told, { origin, facts, head }: SpanParts): (string | number)[] {
  const isClient = told.kind === SPAN_KIND.CLIENT;
  const scheme = head.scheme === "" ? "http" : head.scheme;
  const { host, port } = calledPlace(head.authority, scheme);
  const [path = ""] = head.path.slice(0, MAX_TEXT).split("?", 1);
  const { method } = head;
  const isKnown = METHODS.has(method);
  const version = isClient || origin.peer === null ? facts.upstreamVersion : facts.version;
  return [
    ...["http.request.method", isKnown ? method : "_OTHER"],
    ...(isKnown ? [] : ["http.request.method_original", method.slice(0, MAX_TEXT)]),
    ...(told.status === 0 ? [] : ["http.response.status_code", told.status]),
    ...["url.scheme", scheme, "server.address", host, "server.port", port],
    ...(version === 0 ? [] : ["network.protocol.version", HTTP_VERSIONS[version] ?? ""]),
    ...(isClient
      ? clientAttributes(told, { scheme, authority: head.authority, path, facts, origin })
      : serverAttributes(told, { head, path, origin })),
  ];
}

function clientAttributes(
  { template }: Told,
  called: {
    readonly scheme: string;
    readonly authority: string;
    readonly path: string;
    readonly facts: RequestFacts;
    readonly origin: Origin;
  },
): (string | number)[] {
  const { scheme, authority, path, facts, origin } = called;
  return [
    ...["url.full", `${scheme}://${authority.slice(0, MAX_TEXT)}${path}`],
    ...(template === "" ? [] : ["url.template", template]),
    ...peerOf(facts, origin),
    ...(facts.attempts > 1 ? ["http.request.resend_count", facts.attempts - 1] : []),
  ];
}

function serverAttributes(
  { template }: Told,
  { head, path, origin }: { head: RequestHead; path: string; origin: Origin },
): (string | number)[] {
  const agent = findField(head.fields, "user-agent");
  return [
    ...["url.path", path, "client.address", origin.address],
    ...(template === "" ? [] : ["http.route", template]),
    ...(agent === undefined ? [] : ["user_agent.original", textOf(agent)]),
  ];
}

function meshAttributes(
  { endpoint }: Told,
  { origin, facts, ids }: SpanParts,
): (string | number)[] {
  const { service, queueMs, proxyMs } = facts;
  return [
    ...["hostmesh.entry", origin.entry, "hostmesh.request_id", textOf(requestIdIn(ids))],
    ...(service === null ? [] : ["hostmesh.service", service.key]),
    ...["hostmesh.route", facts.route, "hostmesh.security", facts.security],
    ...(endpoint === null ? [] : ["hostmesh.endpoint", endpoint.id]),
    ...["hostmesh.queue_us", micros(queueMs), "hostmesh.proxy_us", micros(proxyMs)],
  ];
}

/** Address of the endpoint that a request went to. */
export function peerOf({ endpoint }: RequestFacts, { destination }: Origin): (string | number)[] {
  const place = endpoint === null ? null : { host: endpoint.address, port: endpoint.port };
  const peer = place ?? destination;
  return peer === null ? [] : ["network.peer.address", peer.host, "network.peer.port", peer.port];
}

/** Host and port of an authority. */
function calledPlace(authority: string, scheme: string): HostPort {
  const port = scheme === "https" ? 443 : 80;
  return parseHostPort(authority, port) ?? { host: authority.slice(0, MAX_TEXT), port };
}

/** A value of a head, which is bytes that should be UTF-8. */
function textOf(value: string): string {
  return Buffer.from(value.slice(0, MAX_TEXT), "latin1").toString();
}

/** Whole, so that an attribute has the same type in each span. */
function micros(ms: number): number {
  return Math.round(ms * 1_000);
}
