import { MeshError } from "../../core/errors.ts";
import { type KnownField, knownField, trimmed } from "../headers.ts";
import { malformed, quoted, type Side } from "./malformed.ts";

/** RFC 9110 section 5.6.2. */
export const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";

/**
 * Any number of field lines (RFC 9112 section 5), each closed by CRLF: no whitespace before the colon, no
 * line folding, no control character, no CR or LF of its own. A colon cannot be part of a token and a CR
 * cannot be part of a value, so the pattern never has two ways to match and takes linear time.
 */
export const FIELD_LINES = `(?:${TOKEN}:[\\t\\x20-\\x7e\\x80-\\xff]*\\r\\n)*`;

/** Is shown the known fields as they are found. */
export interface FieldTaker {
  /** Returns true where the field must not go on as it came. */
  take(known: KnownField, value: string): boolean;
}

/**
 * Goes over field lines that match `FIELD_LINES`, from `from` up to `to`. Known fields are shown to the
 * taker; the text of all lines that it does not keep to itself is returned. Above `headerCount` lines it is `HEAD_TOO_LARGE`, or
 * `UPSTREAM_PROTOCOL`.
 */
export function takeFields(
  text: string,
  from: number,
  to: number,
  taker: FieldTaker,
  headerCount: number,
  side: Side,
): string {
  let passed = "";
  let passedFrom = from;
  let count = 0;
  let at = from;
  while (at < to) {
    if (count++ === headerCount) throw tooMany(headerCount, side);
    const known = knownField(text, at);
    const lineEnd = text.indexOf("\r", at);
    if (known !== "" && taker.take(known, trimmed(text, at + known.length + 1, lineEnd))) {
      if (passedFrom !== at) passed += text.slice(passedFrom, at);
      passedFrom = lineEnd + 2;
    }
    at = lineEnd + 2;
  }
  return passedFrom === to ? passed : passed + text.slice(passedFrom, to);
}

/** Splits field lines that match `FIELD_LINES` into flat names and values. */
export function splitFields(text: string, from: number, to: number): string[] {
  const fields: string[] = [];
  let at = from;
  while (at < to) {
    const colon = text.indexOf(":", at);
    const lineEnd = text.indexOf("\r", colon);
    fields.push(text.slice(at, colon), trimmed(text, colon + 1, lineEnd));
    at = lineEnd + 2;
  }
  return fields;
}

/** Field lines without those that one of the lower-case names belongs to. */
export function withoutFields(lines: string, names: readonly string[]): string {
  let kept = "";
  let at = 0;
  while (at < lines.length) {
    const next = lines.indexOf("\n", at) + 1;
    const name = lines.slice(at, lines.indexOf(":", at)).toLowerCase();
    if (!names.includes(name)) kept += lines.slice(at, next);
    at = next;
  }
  return kept;
}

function tooMany(headerCount: number, side: Side): MeshError {
  const detail = `more than ${headerCount} header fields`;
  return side === "request"
    ? new MeshError("HEAD_TOO_LARGE", detail)
    : new MeshError("UPSTREAM_PROTOCOL", detail);
}

const NAME = new RegExp(`^${TOKEN}$`);

/** Says what is wrong with field lines that do not match `FIELD_LINES`: `text` is all behind the start line. */
export function fieldFault(text: string, side: Side): MeshError {
  let previous = "the start line";
  for (const line of text.split("\r\n")) {
    const fault = lineFault(line, previous);
    if (fault !== "") return malformed(side, fault);
    previous = quoted(line.slice(0, line.indexOf(":")));
  }
  return malformed(side, "the field lines have no proper end");
}

function lineFault(line: string, previous: string): string {
  if (line === "") return "";
  if (line.includes("\n")) return `a bare LF behind ${previous}`;
  if (line.includes("\r")) return `a bare CR behind ${previous}`;
  if (line.startsWith(" ") || line.startsWith("\t")) return `line folding behind ${previous}`;
  const colon = line.indexOf(":");
  if (colon === -1) return `no colon in the field line ${quoted(line)}`;
  const name = line.slice(0, colon);
  if (name === "") return `a field without a name behind ${previous}`;
  if (/[ \t]$/.test(name)) return `whitespace before the colon of ${quoted(name)}`;
  if (!NAME.test(name)) return `the field name ${quoted(name)} is no token`;
  return /[^\t\x20-\x7e\x80-\xff]/.test(line)
    ? `a control character in the field ${quoted(name)}`
    : "";
}
