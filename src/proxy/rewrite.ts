import { formatHostPort } from "../core/address.ts";
import { requestHeadText, responseHeadText } from "../http/h1/serializer.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { TraceContext } from "../telemetry/trace-context.ts";
import type { Origin } from "./context.ts";

/** Our name in Via (RFC 9110 section 7.6.3). */
const VIA = "1.1 hostmesh";

/** More proxies on one path than anyone has: a loop over several hosts. */
const MAX_HOPS = 20;

/** Does Via say that the request has been going round? */
export function goesRound(head: RequestHead): boolean {
  return head.via !== "" && head.via.split("hostmesh").length > MAX_HOPS;
}

/** Identifiers of the request that both sides of the proxy see. */
export interface RequestIds {
  readonly requestId: string;
  readonly traceparent: string;
}

/**
 * Keeps the client's request id; continues its trace, or begins one. A tracestate without a valid
 * traceparent must not be sent on (W3C Trace Context section 3.3), so it is taken out of the head.
 */
export function identifiers(head: RequestHead, trace: TraceContext): RequestIds {
  const continued = head.traceparent === "" ? null : trace.continueTrace(head.traceparent);
  if (continued === null) head.tracestate = "";
  return {
    requestId: head.requestId === "" ? trace.newRequestId() : head.requestId,
    traceparent: continued ?? trace.newTrace(false),
  };
}

/** The head for the endpoint, with Via, X-Forwarded-For and -Proto, x-request-id and traceparent. */
export function upstreamHead(head: RequestHead, origin: Origin, ids: RequestIds): string {
  const via = head.via === "" ? VIA : `${head.via}, ${VIA}`;
  const forwardedFor =
    head.forwardedFor === "" ? origin.address : `${head.forwardedFor}, ${origin.address}`;
  const proto = head.forwardedProto === "" ? "http" : head.forwardedProto;
  const extra = `X-Forwarded-For: ${forwardedFor}\r\nX-Forwarded-Proto: ${proto}\r\nVia: ${via}\r\nX-Request-Id: ${ids.requestId}\r\nTraceparent: ${ids.traceparent}\r\n`;
  const { destination } = origin;
  const host = destination === null ? "" : formatHostPort(destination.host, destination.port);
  return requestHeadText(head, extra, { host, upgrade: head.upgrade !== "", close: false });
}

/** The head for the client. `keepAlive`: may its connection go on after this response? */
export function downstreamHead(
  head: ResponseHead,
  request: RequestHead,
  keepAlive: boolean,
): string {
  const via = head.via === "" ? VIA : `${head.via}, ${VIA}`;
  const decoded = head.framing === "chunked" && request.minor === 0;
  return responseHeadText(head, `Via: ${via}\r\n`, {
    keepAlive,
    minor: request.minor,
    framing: decoded ? "eof" : head.framing,
    upgrade: head.status === 101,
  });
}
