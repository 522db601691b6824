import { MeshError } from "../core/errors.ts";

/** Field names that the codec acts on. Everything else is passed through. */
export type KnownField =
  | B3Field
  | "connection"
  | "content-length"
  | "expect"
  | "host"
  | "keep-alive"
  | "proxy-authorization"
  | "proxy-connection"
  | "te"
  | "traceparent"
  | "tracestate"
  | "transfer-encoding"
  | "upgrade"
  | "via"
  | "x-forwarded-client-cert"
  | "x-forwarded-for"
  | "x-forwarded-proto"
  | "x-request-id";

/** Fields of B3 propagation: all in one, or one each. */
export type B3Field =
  | "b3"
  | "x-b3-flags"
  | "x-b3-parentspanid"
  | "x-b3-sampled"
  | "x-b3-spanid"
  | "x-b3-traceid";

/**
 * The known field whose line begins at `at`, in any case, or `""`. The first letter and the place of the
 * colon rule out almost every other name, and known names mostly come in their usual spelling, so that
 * the common field costs neither a search nor a string.
 */
export function knownField(text: string, at: number): KnownField | "" {
  switch (text.charCodeAt(at) | 0x20) {
    case 0x62: // b
      return is(text, at, "b3", "b3");
    case 0x63: // c
      return (
        is(text, at, "Connection", "connection") || is(text, at, "Content-Length", "content-length")
      );
    case 0x65: // e
      return is(text, at, "Expect", "expect");
    case 0x68: // h
      return is(text, at, "Host", "host");
    case 0x6b: // k
      return is(text, at, "Keep-Alive", "keep-alive");
    case 0x70: // p
      return (
        is(text, at, "Proxy-Connection", "proxy-connection") ||
        is(text, at, "Proxy-Authorization", "proxy-authorization")
      );
    case 0x74: // t
      return (
        is(text, at, "Transfer-Encoding", "transfer-encoding") ||
        is(text, at, "traceparent", "traceparent") ||
        is(text, at, "tracestate", "tracestate") ||
        is(text, at, "TE", "te")
      );
    case 0x75: // u
      return is(text, at, "Upgrade", "upgrade");
    case 0x76: // v
      return is(text, at, "Via", "via");
    case 0x78: // x
      return (
        is(text, at, "x-request-id", "x-request-id") ||
        is(text, at, "X-Forwarded-For", "x-forwarded-for") ||
        is(text, at, "X-Forwarded-Proto", "x-forwarded-proto") ||
        b3Part(text, at) ||
        clientCert(text, at)
      );
    default:
      return "";
  }
}

const COLON = 0x3a;
const DIGIT_3 = 0x33;

function is<K extends KnownField>(text: string, at: number, usual: string, known: K): K | "" {
  const end = at + known.length;
  if (text.charCodeAt(end) !== COLON) return "";
  return text.startsWith(usual, at) || text.slice(at, end).toLowerCase() === known ? known : "";
}

/** `3` is the fourth character of these names, and of no other that is known. */
function b3Part(text: string, at: number): B3Field | "" {
  if (text.charCodeAt(at + 3) !== DIGIT_3) return "";
  return (
    is(text, at, "X-B3-TraceId", "x-b3-traceid") ||
    is(text, at, "X-B3-SpanId", "x-b3-spanid") ||
    is(text, at, "X-B3-ParentSpanId", "x-b3-parentspanid") ||
    is(text, at, "X-B3-Sampled", "x-b3-sampled") ||
    is(text, at, "X-B3-Flags", "x-b3-flags")
  );
}

/**
 * With underscores too: CGI and its heirs give both spellings to the application under one name, so the other one could
 * be used to claim an identity.
 */
function clientCert(text: string, at: number): KnownField | "" {
  const end = at + CLIENT_CERT.length;
  if (text.charCodeAt(end) !== COLON) return "";
  const name = text.slice(at, end).toLowerCase().replaceAll("_", "-");
  return name === CLIENT_CERT ? CLIENT_CERT : "";
}

const CLIENT_CERT = "x-forwarded-client-cert";

/** Value of the first field of that name, which is given in lower case. */
export function findField(fields: readonly string[], lowerCaseName: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!;
    if (name.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName) {
      return fields[at + 1]!;
    }
  }
  return undefined;
}

/**
 * `text.slice(from, to)` without the optional whitespace of HTTP (RFC 9110 section 5.6.3) around it. Not
 * `trim`, which takes a no-break space for white and would hide it, and no pattern, which could take
 * quadratic time.
 */
export function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * `name: value` with its line end, for fields that the proxy makes itself. Refuses (`INTERNAL`) what would
 * break out of the line or is no latin1; values that came through the parser need no second look.
 */
export function fieldLine(name: string, value: string): string {
  if (!NAME.test(name) || !VALUE.test(value)) {
    throw new MeshError("INTERNAL", `${JSON.stringify(name)} cannot be sent as a header field`);
  }
  return `${name}: ${value}\r\n`;
}

/**
 * Fields that Connection cannot declare to be hop-by-hop. RFC 9110 section 7.6.1 forbids senders to name
 * fields that are meant for all recipients; a proxy that obeys all the same lets a client strip the
 * framing, its credentials or the proxy's own statements off a request.
 */
const END_TO_END = new Set([
  "authorization",
  "b3",
  "cache-control",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "date",
  "expect",
  "forwarded",
  "host",
  "set-cookie",
  "traceparent",
  "tracestate",
  "trailer",
  "transfer-encoding",
  "via",
  "x-b3-flags",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-spanid",
  "x-b3-traceid",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-real-ip",
  "x-request-id",
]);

/** What the options of a Connection field ask for, as bits. */
export const CONNECTION_CLOSE = 1;
export const CONNECTION_KEEP_ALIVE = 2;
export const CONNECTION_UPGRADE = 4;
/** The value is malformed: an option is no token, or there are more than `MAX_OPTIONS`. */
export const CONNECTION_BAD = 8;

/** Options of all Connection fields of one head; no honest sender needs more than a handful. */
const MAX_OPTIONS = 32;

/** The shared empty list of heads whose Connection names no field. */
export const NO_TOKENS: readonly string[] = Object.freeze([]);

/**
 * Reads one Connection value (RFC 9110 section 7.6.1). Returns `CONNECTION_*` bits, and appends the fields
 * that it declares hop-by-hop to the head.
 */
export function connectionOptions(
  value: string,
  head: { connectionTokens: readonly string[] },
): number {
  const lower = value.toLowerCase();
  if (lower === "keep-alive") return CONNECTION_KEEP_ALIVE;
  if (lower === "close") return CONNECTION_CLOSE;
  const options = lower.split(",", MAX_OPTIONS + 1);
  if (options.length + head.connectionTokens.length > MAX_OPTIONS) return CONNECTION_BAD;
  let bits = 0;
  for (const part of options) bits |= takeOption(trimmed(part, 0, part.length), head);
  return bits;
}

function takeOption(option: string, head: { connectionTokens: readonly string[] }): number {
  // Empty list elements are legal, RFC 9110 section 5.6.1.2.
  if (option === "") return 0;
  if (option === "close") return CONNECTION_CLOSE;
  if (option === "keep-alive") return CONNECTION_KEEP_ALIVE;
  if (!NAME.test(option)) return CONNECTION_BAD;
  if (!END_TO_END.has(option)) head.connectionTokens = [...head.connectionTokens, option];
  return option === "upgrade" ? CONNECTION_UPGRADE : 0;
}
