import { KnownStarts } from "./known-starts.ts";
import { fieldsWithout, LineReader } from "./line-reader.ts";

/** Where the status stands in `HTTP/1.1 200 OK`. */
const STATUS_AT = 9;

/** Of the head that is being translated. */
const lines = new LineReader();
const known = new KnownStarts();

/**
 * The head of an HTTP/1.1 response, final or interim, as `responseHeadText` and `localResponse` write it, as fields of
 * HTTP/2 (RFC 9113 section 8.3.2). What may stand behind the head's empty line is not looked at.
 *
 * A 101 becomes the 200 that grants an extended CONNECT (RFC 8441 section 5). So no other 2xx may be the answer to one: an
 * endpoint that answers the upgrade with content has not granted it, and the caller makes that an error.
 */
export function responseFieldsOf(text: string): readonly string[] {
  const same = known.find(text);
  // A whole head: what the text has behind it makes no difference.
  if (same !== null) return same.fields;
  const fields = readWhole(text);
  known.keep(text, text.length, fields);
  return fields;
}

function readWhole(text: string): string[] {
  const status = text.slice(STATUS_AT, STATUS_AT + 3);
  const isSwitch = status === "101";
  const fields = [":status", isSwitch ? "200" : status];
  lines.read(text, text.indexOf("\n") + 1, fields);
  if (isSwitch) return fieldsWithout(fields, [...lines.connectionTokens, "sec-websocket-accept"]);
  const { connectionTokens } = lines;
  return connectionTokens.length === 0 ? fields : fieldsWithout(fields, connectionTokens);
}
