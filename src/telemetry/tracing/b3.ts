/** What fields of B3 propagation say (openzipkin/b3-propagation). */
export interface B3Context {
  /** 32 digits; "": none was given, only a decision. */
  readonly traceId: string;
  /** 16 digits, or "" as above. */
  readonly spanId: string;
  /** `debug`: record it whatever the rate. Null: whoever reads it decides. */
  readonly decision: "accept" | "debug" | "deny" | null;
  /** Did the trace id come with 16 digits, as old tracers have them? */
  readonly isShort: boolean;
}

/** The fields by their lower-case names; what was sent twice is a list, and so no valid value. */
export interface B3Values {
  readonly b3?: string;
  readonly "x-b3-traceid"?: string;
  readonly "x-b3-spanid"?: string;
  readonly "x-b3-parentspanid"?: string;
  readonly "x-b3-sampled"?: string;
  readonly "x-b3-flags"?: string;
}

/** The longest value that is valid: 32, 16 and 16 digits, a decision, and the dashes between them. */
const MAX_LENGTH = 68;
const SINGLE = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/;
const TRACE_ID = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/;
const SPAN_ID = /^[0-9a-f]{16}$/;
const ZEROES = /^0*$/;
/** By the spelling of the single field, and of those of X-B3-Sampled that tracers have had over time. */
const DECISIONS: Readonly<Record<string, B3Context["decision"]>> = {
  "0": "deny",
  "1": "accept",
  d: "debug",
  false: "deny",
  true: "accept",
};

/** What the fields say; null: nothing that is valid. The single field goes before the others, as B3 wants it. */
export function readB3(values: B3Values): B3Context | null {
  const { b3 = "" } = values;
  return (b3 === "" ? null : readSingle(b3)) ?? readMulti(values);
}

function readSingle(text: string): B3Context | null {
  if (text.length > MAX_LENGTH) return null;
  const lower = text.toLowerCase();
  if (lower.length === 1) return decided(DECISIONS[lower] ?? null);
  const [, traceId = "", spanId = "", decision = ""] = SINGLE.exec(lower) ?? [];
  return contextOf(traceId, spanId, DECISIONS[decision] ?? null);
}

function readMulti(values: B3Values): B3Context | null {
  const sampled = (values["x-b3-sampled"] ?? "").slice(0, MAX_LENGTH).toLowerCase();
  const spelled = sampled === "d" ? null : (DECISIONS[sampled] ?? null);
  const decision = values["x-b3-flags"] === "1" ? "debug" : spelled;
  const [traceId, spanId] = [values["x-b3-traceid"] ?? "", values["x-b3-spanid"] ?? ""];
  if (traceId === "" && spanId === "") return decided(decision);
  if (traceId.length > MAX_LENGTH || spanId.length > MAX_LENGTH) return null;
  const [lowerTrace, lowerSpan] = [traceId.toLowerCase(), spanId.toLowerCase()];
  const isValid = TRACE_ID.test(lowerTrace) && SPAN_ID.test(lowerSpan);
  return isValid ? contextOf(lowerTrace, lowerSpan, decision) : null;
}

/** A decision alone: the trace begins with whoever reads it. */
function decided(decision: B3Context["decision"]): B3Context | null {
  return decision === null ? null : { traceId: "", spanId: "", decision, isShort: false };
}

function contextOf(
  traceId: string,
  spanId: string,
  decision: B3Context["decision"],
): B3Context | null {
  if (ZEROES.test(traceId) || ZEROES.test(spanId)) return null;
  return { traceId: traceId.padStart(32, "0"), spanId, decision, isShort: traceId.length === 16 };
}

/** A context to be written. */
export interface B3Written {
  readonly traceId: string;
  readonly spanId: string;
  readonly decision: "accept" | "debug" | "deny";
}

/** The line `b3`, with its CRLF. */
export function singleLine({ traceId, spanId, decision }: B3Written): string {
  const letter = { accept: "1", debug: "d", deny: "0" }[decision];
  return `b3: ${traceId}-${spanId}-${letter}\r\n`;
}

/** The lines `X-B3-...`, each with its CRLF. Debug implies that it is sampled, which must not be said as well. */
export function multiLines({ traceId, spanId, decision }: B3Written): string {
  const said =
    decision === "debug" ? "X-B3-Flags: 1\r\n" : `X-B3-Sampled: ${decision === "deny" ? 0 : 1}\r\n`;
  return `X-B3-TraceId: ${traceId}\r\nX-B3-SpanId: ${spanId}\r\n${said}`;
}
