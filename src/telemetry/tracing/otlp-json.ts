import { quoted } from "../escape.ts";
import type { Attributes, Span, SpanEvent } from "./span.ts";

/**
 * OTLP in JSON (opentelemetry-proto, docs/specification.md "JSON Protobuf Encoding"): ids as hex, 64-bit numbers as text,
 * enumerations as numbers. It is put together as text, which costs a worker less than objects that are cloned and written later.
 */

/** Bits of `Span.flags`: it is known whether the parent is remote, and it is. */
const HAS_REMOTE = 0x100;
const IS_REMOTE = 0x200;
/** `STATUS_CODE_ERROR`. */
const ERROR = 2;
const NANOS_PER_MS = 1_000_000;

/** One span as an element of `spans`. */
export function spanText(span: Span): string {
  const remote = span.isParentRemote ? IS_REMOTE : 0;
  const flags = span.traceFlags | (span.parentId === "" ? 0 : HAS_REMOTE | remote);
  let text = `{"traceId":"${span.traceId}","spanId":"${span.spanId}",`;
  if (span.parentId !== "") text += `"parentSpanId":"${span.parentId}",`;
  if (span.traceState !== "") text += `"traceState":${quoted(span.traceState)},`;
  text += `"flags":${flags},"name":${quoted(span.name)},"kind":${span.kind},`;
  text += `"startTimeUnixNano":"${nanos(span.startMs)}","endTimeUnixNano":"${nanos(span.endMs)}",`;
  text += `"attributes":${attributesText(span.attributes)}`;
  if (span.events.length > 0) text += `,"events":[${span.events.map(eventText).join(",")}]`;
  if (span.failure === null) return `${text},"status":{}}`;
  const message = span.failure === "" ? "" : `,"message":${quoted(span.failure)}`;
  return `${text},"status":{"code":${ERROR}${message}}}`;
}

function eventText({ name, timeMs, attributes }: SpanEvent): string {
  return `{"timeUnixNano":"${nanos(timeMs)}","name":${quoted(name)},"attributes":${attributesText(attributes)}}`;
}

/** Attributes as a list of `KeyValue`. Names are ours, so nothing in them needs an escape. */
export function attributesText(attributes: Attributes): string {
  let text = "[";
  for (let at = 0; at + 1 < attributes.length; at += 2) {
    if (at > 0) text += ",";
    text += `{"key":"${attributes[at]}","value":${valueText(attributes[at + 1] ?? "")}}`;
  }
  return `${text}]`;
}

function valueText(value: string | number): string {
  if (typeof value === "string") return `{"stringValue":${quoted(value)}}`;
  return Number.isInteger(value) ? `{"intValue":"${value}"}` : `{"doubleValue":${value}}`;
}

/** Nanoseconds since 1970: more than a number holds exactly, so whole ms and the rest are written one after the other. */
function nanos(ms: number): string {
  const whole = Math.floor(ms);
  const rest = Math.floor((ms - whole) * NANOS_PER_MS);
  return `${whole}${String(rest).padStart(6, "0")}`;
}
