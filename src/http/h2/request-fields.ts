import { KnownStarts } from "./known-starts.ts";
import { fieldsWithout, LineReader } from "./line-reader.ts";

/** Where the values of the pseudo-fields stand. */
const SCHEME = 3;
const AUTHORITY = 5;
const PSEUDO_FIELDS = 8;

/** HTTP/1.1 opens a WebSocket with these, RFC 8441 section 5 without. */
const HANDSHAKE = ["sec-websocket-key", "sec-websocket-accept"];

/** `" HTTP/1.1"`. */
const VERSION_LENGTH = 9;

/** Of the head that is being translated. */
const lines = new LineReader();
const starts = new KnownStarts();

/**
 * The head of an HTTP/1.1 request, as `requestHeadText` writes it, as fields of HTTP/2 (RFC 9113 section 8.3.1): names
 * in lower case, Host as `:authority`, and without the fields that HTTP/2 has no use for (section 8.2.2). What may
 * stand behind the head's empty line is not looked at.
 *
 * A request to upgrade to `websocket` becomes an extended CONNECT (RFC 8441 section 5), which a peer must have allowed
 * by SETTINGS_ENABLE_CONNECT_PROTOCOL: the caller knows. Every other upgrade is left out, as any recipient may ignore it.
 */
export function requestFieldsOf(text: string, scheme: "http" | "https"): string[] {
  const known = starts.find(text);
  if (known !== null && known.fields[SCHEME] === scheme) {
    const fields = known.fields.slice();
    lines.read(text, known.text.length, fields);
    if (lines.isPlain) return fields;
  }
  return readWhole(text, scheme);
}

function readWhole(text: string, scheme: "http" | "https"): string[] {
  const lineEnd = text.indexOf("\r");
  const methodEnd = text.indexOf(" ");
  const method = text.slice(0, methodEnd);
  const target = text.slice(methodEnd + 1, lineEnd - VERSION_LENGTH);
  const fields = [":method", method, ":scheme", scheme, ":authority", "", ":path", target];
  lines.read(text, lineEnd + 2, fields);
  fields[AUTHORITY] = lines.host;
  const isOrdinary =
    method !== "CONNECT" &&
    lines.host !== "" &&
    lines.upgrade === "" &&
    lines.connectionTokens.length === 0;
  if (!isOrdinary) return unusual(fields, method, target);
  if (lines.idsAt !== -1) starts.keep(text, lines.idsAt, fields.slice(0, lines.idsFrom));
  return fields;
}

/** What few requests need. */
function unusual(fields: readonly string[], method: string, target: string): string[] {
  // Upgrade and TE are named by every Connection that goes with them.
  const hops = lines.connectionTokens.filter((token) => token !== "upgrade" && token !== "te");
  const passed = fieldsWithout(fields.slice(PSEUDO_FIELDS), hops);
  if (method === "CONNECT") return [":method", method, ":authority", target, ...passed];
  const pseudo = fields.slice(0, PSEUDO_FIELDS);
  // HTTP/1.0 knows requests without Host.
  const known = lines.host === "" ? fieldsWithout(pseudo, [":authority"]) : pseudo;
  if (lines.upgrade.toLowerCase() !== "websocket") return [...known, ...passed];
  known[1] = "CONNECT";
  return [...known, ":protocol", "websocket", ...fieldsWithout(passed, HANDSHAKE)];
}
