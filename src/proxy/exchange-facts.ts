import { DEFAULT_ROUTE, type RequestFacts } from "../core/facts.ts";
import type { RequestHead } from "../http/message.ts";
import { requestIdIn, traceparentIn } from "../telemetry/trace-context.ts";
import { type Origin, trafficSource } from "./context.ts";
import { securityOfOrigin } from "./security.ts";

/** What is said of traffic that leaves the mesh. */
export const OUTSIDE = { entry: "passthrough", security: "passthrough" } as const;

/** The facts of a connection's exchanges: one object per connection, begun anew for each request. */
export function newFacts(origin: Origin): RequestFacts {
  return {
    entry: origin.entry,
    protocol: "http",
    version: 0,
    upstreamVersion: 0,
    source: trafficSource(origin),
    sourceAddress: origin.address,
    details: null,
    service: null,
    endpoint: null,
    route: DEFAULT_ROUTE,
    security: securityOfOrigin(origin),
    method: "",
    httpVersion: "",
    target: "",
    authority: "",
    status: 0,
    grpcStatus: -1,
    error: null,
    requestBytes: 0,
    responseBytes: 0,
    requestMessages: 0,
    responseMessages: 0,
    startMs: 0,
    durationMs: 0,
    queueMs: 0,
    upstreamMs: 0,
    proxyMs: 0,
    attempts: 0,
    requestId: "",
    traceparent: "",
    ids: "",
  };
}

/** Forgets the last request. */
export function beginFacts(facts: RequestFacts, origin: Origin, nowMs: number): void {
  facts.entry = origin.entry;
  facts.upstreamVersion = 0;
  facts.service = null;
  facts.endpoint = null;
  facts.route = DEFAULT_ROUTE;
  facts.security = securityOfOrigin(origin);
  facts.status = 0;
  facts.grpcStatus = -1;
  facts.error = null;
  facts.requestBytes = 0;
  facts.responseBytes = 0;
  facts.requestMessages = 0;
  facts.responseMessages = 0;
  facts.startMs = nowMs;
  facts.durationMs = 0;
  facts.queueMs = 0;
  facts.upstreamMs = 0;
  facts.proxyMs = 0;
  facts.attempts = 0;
}

/** Are the texts wanted to tell of a failure? */
export function mayHaveFailed({ status, grpcStatus, error }: RequestFacts): boolean {
  return error !== null || status >= 500 || grpcStatus > 0;
}

/** Fills in the texts, which are read by the access log, and of failures. `head` is null where no request could be read. */
export function describe(facts: RequestFacts, head: RequestHead | null, ids: string): void {
  facts.method = head?.method ?? "";
  facts.httpVersion = versionOf(facts, head);
  facts.target = head?.target ?? "";
  facts.authority = head?.authority ?? "";
  facts.requestId = ids === "" ? "" : requestIdIn(ids);
  facts.traceparent = ids === "" ? "" : traceparentIn(ids);
}

function versionOf({ version }: RequestFacts, head: RequestHead | null): string {
  if (version === 2) return "HTTP/2";
  return head?.minor === 0 ? "HTTP/1.0" : "HTTP/1.1";
}
