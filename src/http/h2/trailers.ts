import { isForbiddenTrailer } from "../h1/chunked.ts";
import { trimmed } from "../headers.ts";
import { knownName } from "./field-names.ts";
import { fieldsWithout } from "./line-reader.ts";

/**
 * Trailers without what must not come behind content: framing, routing, authentication (RFC 9110 section 6.5.1), which
 * the next hop might merge into the head. The same list where there is nothing of that kind.
 */
export function passedTrailers(fields: readonly string[]): readonly string[] {
  for (let at = 0; at < fields.length; at += 2) {
    if (!isForbiddenTrailer(fields[at]!)) continue;
    const names = fields.filter((_, index) => index % 2 === 0);
    return fieldsWithout(fields, names.filter(isForbiddenTrailer));
  }
  return fields;
}

/** Checked trailers as the field lines of HTTP/1.1 behind the last chunk (RFC 9112 section 7.1.2). */
export function trailerLines(fields: readonly string[]): string {
  const passed = passedTrailers(fields);
  let lines = "";
  for (let at = 0; at < passed.length; at += 2) lines += `${passed[at]}: ${passed[at + 1]}\r\n`;
  return lines;
}

/** Field lines of trailers, each with its CRLF, as fields of HTTP/2; those that must not be there are dropped. */
export function trailerFieldsOf(text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  while (at < text.length) {
    const colon = text.indexOf(":", at);
    const lineEnd = text.indexOf("\r", colon);
    const { lower, mayTrail } = knownName(text.slice(at, colon));
    if (mayTrail) fields.push(lower, trimmed(text, colon + 1, lineEnd));
    at = lineEnd + 2;
  }
  return fields;
}
