import type { B3Fields, RequestHead } from "../http/message.ts";
import { identityLines, isSampledIn, type TraceContext } from "../telemetry/trace-context.ts";
import {
  type B3Context,
  type B3Written,
  multiLines,
  readB3,
  singleLine,
} from "../telemetry/tracing/b3.ts";
import type { Plane } from "./plane.ts";

/**
 * How the context of a trace comes with a request and goes on: `traceparent` (W3C Trace Context) and B3 are read, in this
 * order; the forms that the operator chose are written, and so is each form in which it came, so that no program meets ids that
 * contradict each other. Where this host records no spans the caller's span stays the parent: its traces have no holes then.
 */

/** From the end of identity lines: `SPAN-FLAGS` and the line's end. */
const SPAN_FROM = -21;
const SPAN_TO = -5;

/**
 * The lines that identify a request: keeps the client's request id, continues its trace, or begins them. A
 * tracestate without a valid traceparent must not be sent on (W3C Trace Context section 3.3), so it is taken
 * out of the head.
 */
export function identify(head: RequestHead, plane: Pick<Plane, "trace" | "tracing">): string {
  const { trace, tracing } = plane;
  if (head.requestId === "" && head.traceparent === "" && head.b3 === null) {
    head.tracestate = "";
    return trace.newLines();
  }
  const keepsSpan = tracing === null;
  const continued =
    head.traceparent === "" ? null : trace.continueTrace(head.traceparent, keepsSpan);
  if (continued === null) head.tracestate = "";
  const requestId = head.requestId === "" ? trace.newRequestId() : head.requestId;
  return identityLines(requestId, continued ?? fromB3(head.b3, trace, keepsSpan));
}

function fromB3(b3: B3Fields | null, trace: TraceContext, keepsSpan: boolean): string {
  const context = b3 === null ? null : readB3(b3);
  if (context === null) return trace.newTrace();
  const { traceId, spanId } = context;
  const decision = decided(context);
  if (traceId === "") return trace.newTrace(decision);
  const flags = (decision ?? trace.samples(traceId)) ? "01" : "00";
  return `00-${traceId}-${keepsSpan ? spanId : trace.newSpanId()}-${flags}`;
}

function decided({ decision }: B3Context): boolean | undefined {
  return decision === null ? undefined : decision !== "deny";
}

/** What is read of identity lines. */
export interface SpanIds {
  readonly traceId: string;
  readonly spanId: string;
  readonly flags: number;
}

export function spanIdsIn(ids: string): SpanIds {
  return {
    traceId: ids.slice(SPAN_FROM - 33, SPAN_FROM - 1),
    spanId: ids.slice(SPAN_FROM, SPAN_TO),
    flags: Number.parseInt(ids.slice(SPAN_TO + 1, -2), 16),
  };
}

/** Identity lines with another span. */
export function withSpan(ids: string, spanId: string): string {
  return ids.slice(0, SPAN_FROM) + spanId + ids.slice(SPAN_TO);
}

/** The caller's span in the trace that these ids continue; "": the trace begins here. */
export function parentOf(head: RequestHead, { traceId }: SpanIds): string {
  if (head.traceparent.slice(3, 35) === traceId) return head.traceparent.slice(36, 52);
  const context = head.b3 === null ? null : readB3(head.b3);
  return context?.traceId === traceId ? context.spanId : "";
}

/** The lines with request id and context for an endpoint; `head`: the client's. Mostly these are the identity lines as they are. */
export function contextLines(
  head: RequestHead,
  ids: string,
  { config, tracing }: Pick<Plane, "config" | "tracing">,
): string {
  const { propagation } = config.telemetry.tracing;
  const { b3 } = head;
  if (b3 === null && propagation.length === 1 && propagation[0] === "w3c") return ids;
  const isW3c = propagation.includes("w3c") || head.traceparent !== "";
  const lines = isW3c ? ids : ids.slice(0, ids.indexOf("\n") + 1);
  // The caller's span is still the parent, so what it said of it holds.
  if (b3 !== null && tracing === null) return lines + passedB3(b3);
  const isSingle = propagation.includes("b3") || b3?.b3 !== undefined;
  const isMulti = propagation.includes("b3multi") || hasParts(b3);
  const written = b3Of(b3, ids);
  return lines + (isSingle ? singleLine(written) : "") + (isMulti ? multiLines(written) : "");
}

function hasParts(b3: B3Fields | null): boolean {
  return b3 !== null && Object.keys(b3).some((name) => name !== "b3");
}

function passedB3(b3: B3Fields): string {
  return Object.entries(b3)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
}

/** The context of identity lines, with what only B3 can say of it: debug, and a trace id of 16 digits. */
function b3Of(b3: B3Fields | null, ids: string): B3Written {
  const context = b3 === null ? null : readB3(b3);
  const { traceId, spanId } = spanIdsIn(ids);
  const isShort = context?.isShort === true && context.traceId === traceId;
  const accepted = context?.decision === "debug" ? "debug" : "accept";
  return {
    traceId: isShort ? traceId.slice(16) : traceId,
    spanId,
    decision: isSampledIn(ids) ? accepted : "deny",
  };
}
