import type { RequestFacts } from "../../core/facts.ts";
import type { FormatFields, FormatPart, LogFormat } from "../../core/log-format.ts";
import { quoted } from "../escape.ts";
import { compileOperator, needsDetails, type Read } from "./operators.ts";

/** Makes one line of an exchange. `endMs`: time of day at its end, since 1970. */
export type MakeLine = (facts: Readonly<RequestFacts>, endMs: number) => string;

/** A format that is ready to write lines. */
export interface LineForm {
  readonly line: MakeLine;
  /** Do its lines need `RequestFacts.details`? */
  readonly details: boolean;
}

/** Compiles a format once, so that a line costs one call for each of its parts. `host`: name of this host. */
export function compileFormat(format: LogFormat, host: string): LineForm {
  const line = format.kind === "text" ? textOf(format.parts, host) : objectOf(format.fields, host);
  const parts = format.kind === "text" ? format.parts : allParts(format.fields);
  const details = parts.some(
    (part) => typeof part !== "string" && needsDetails(part.operator, part.argument),
  );
  return { line, details };
}

function allParts(fields: FormatFields): readonly FormatPart[] {
  return Object.values(fields).flatMap((child) => (isParts(child) ? child : allParts(child)));
}

function isParts(child: FormatFields[string]): child is readonly FormatPart[] {
  return Array.isArray(child);
}

function readOf(part: FormatPart, host: string): Read {
  if (typeof part === "string") return () => part;
  const { operator, argument, maxLength } = part;
  const read = compileOperator(operator, { argument, host });
  if (maxLength === 0) return read;
  return (facts, endMs) => {
    const value = read(facts, endMs);
    return typeof value === "string" ? value.slice(0, maxLength) : value;
  };
}

/** What Envoy writes where there is no value. */
const NONE = "-";
/** What could end a line, close quotes, move a cursor or be no ASCII. */
const UNSAFE = /["\\]|[^\x20-\x7e]/g;

/** Envoy writes values as they came; in place of the characters that could forge a line or a field there is `\xHH`. */
function safe(value: string): string {
  return value.replace(UNSAFE, (char) =>
    char.charCodeAt(0) > 0xff
      ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
      : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

function textOf(parts: readonly FormatPart[], host: string): MakeLine {
  const texts = parts.map((part): MakeLine => {
    if (typeof part === "string") return () => part;
    const read = readOf(part, host);
    return (facts, endMs) => {
      const value = read(facts, endMs);
      if (value === null || value === "") return NONE;
      return typeof value === "number" ? String(value) : safe(value);
    };
  });
  return (facts, endMs) => {
    let line = "";
    for (const text of texts) line += text(facts, endMs);
    return line;
  };
}

/** As Envoy's `json_format`: a field of one operator keeps its type and is null without a value; others are texts. */
function objectOf(fields: FormatFields, host: string): MakeLine {
  const members = Object.entries(fields).map(([name, child], at) => ({
    before: `${at === 0 ? "" : ","}${quoted(name)}:`,
    value: isParts(child) ? fieldValue(child, host) : objectOf(child, host),
  }));
  return (facts, endMs) => {
    let line = "{";
    for (const { before, value } of members) line += before + value(facts, endMs);
    return `${line}}`;
  };
}

function fieldValue(parts: readonly FormatPart[], host: string): MakeLine {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined && typeof only !== "string") {
    const read = readOf(only, host);
    return (facts, endMs) => {
      const value = read(facts, endMs);
      if (value === null) return "null";
      return typeof value === "number" ? String(value) : quoted(value);
    };
  }
  const reads = parts.map((part) => readOf(part, host));
  return (facts, endMs) => {
    let text = "";
    for (const read of reads) text += read(facts, endMs) ?? NONE;
    return quoted(text);
  };
}
