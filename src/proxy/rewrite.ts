import { formatHostPort } from "../core/address.ts";
import { requestHeadLines, responseHeadText } from "../http/h1/serializer.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import { identityLines, type TraceContext } from "../telemetry/trace-context.ts";
import type { Origin } from "./context.ts";

/** Our name in Via (RFC 9110 section 7.6.3). */
const VIA = "1.1 hostmesh";

/** More proxies on one path than anyone has: a loop over several hosts. */
const MAX_HOPS = 20;

/** Does Via say that the request has been going round? */
export function goesRound(head: RequestHead): boolean {
  return head.via !== "" && head.via.split("hostmesh").length > MAX_HOPS;
}

/**
 * The lines that identify a request: keeps the client's request id, continues its trace, or begins them. A
 * tracestate without a valid traceparent must not be sent on (W3C Trace Context section 3.3), so it is taken
 * out of the head.
 */
export function identify(head: RequestHead, trace: TraceContext, sampled: boolean): string {
  if (head.requestId === "" && head.traceparent === "") {
    head.tracestate = "";
    return trace.newLines(sampled);
  }
  const continued = head.traceparent === "" ? null : trace.continueTrace(head.traceparent);
  if (continued === null) head.tracestate = "";
  const requestId = head.requestId === "" ? trace.newRequestId() : head.requestId;
  return identityLines(requestId, continued ?? trace.newTrace(sampled));
}

/** Via and X-Forwarded-* of a request that no proxy has seen before: the same for a whole connection. */
export function firstHopLines(origin: Origin): string {
  return `X-Forwarded-For: ${origin.address}\r\nX-Forwarded-Proto: http\r\nVia: ${VIA}\r\n`;
}

/** The head for the endpoint. `ids` and `firstHop` are made by the functions above. */
export function upstreamHead(
  head: RequestHead,
  origin: Origin,
  ids: string,
  firstHop: string,
): string {
  if (head.forwarded !== "") return `${head.forwarded}${ids}\r\n`;
  const { via, forwardedFor, forwardedProto } = head;
  const isFirst = via === "" && forwardedFor === "" && forwardedProto === "";
  const hop = isFirst ? firstHop : laterHopLines(head, origin);
  const { destination } = origin;
  const host = destination === null ? "" : formatHostPort(destination.host, destination.port);
  const text = requestHeadLines(head, { host, upgrade: head.upgrade !== "" }) + hop;
  if (head.repeats) head.forwarded = flat(text);
  return `${text}${ids}\r\n`;
}

/** The same text in one piece: V8 keeps a joined string as a tree, and walks it at each write. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

function laterHopLines(head: RequestHead, origin: Origin): string {
  const via = head.via === "" ? VIA : `${head.via}, ${VIA}`;
  const forwardedFor =
    head.forwardedFor === "" ? origin.address : `${head.forwardedFor}, ${origin.address}`;
  const proto = head.forwardedProto === "" ? "http" : head.forwardedProto;
  return `X-Forwarded-For: ${forwardedFor}\r\nX-Forwarded-Proto: ${proto}\r\nVia: ${via}\r\n`;
}

/** The head for the client. `keepAlive`: may its connection go on after this response? */
export function downstreamHead(
  head: ResponseHead,
  request: RequestHead,
  keepAlive: boolean,
): string {
  const usual = keepAlive && request.minor === 1;
  if (usual && head.forwarded !== "") return head.forwarded;
  const via = head.via === "" ? VIA : `${head.via}, ${VIA}`;
  const decoded = head.framing === "chunked" && request.minor === 0;
  const text = responseHeadText(head, `Via: ${via}\r\n`, {
    keepAlive,
    minor: request.minor,
    framing: decoded ? "eof" : head.framing,
    upgrade: head.status === 101,
  });
  if (usual && head.repeats) head.forwarded = flat(text);
  return text;
}
