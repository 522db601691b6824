import { malformed, quoted } from "../h1/malformed.ts";
import { knownName } from "./field-names.ts";
import { firstFault, HeadLines } from "./head-lines.ts";
import { isKnownAuthority, RequestPseudo } from "./request-pseudo.ts";

/** What the receiver of requests has agreed to. */
export interface RequestRules {
  /** SETTINGS_ENABLE_CONNECT_PROTOCOL was sent, RFC 8441 section 3. */
  readonly connectProtocol: boolean;
}

/** What a check leaves behind for the translation, which mostly follows at once. */
class Checked {
  readonly pseudo = new RequestPseudo();
  readonly lines: HeadLines;
  /** The list that was found fine. */
  fields: readonly string[] | null = null;

  constructor(side: "request" | "response") {
    this.lines = new HeadLines(side);
  }
}

const request = new Checked("request");
const response = new Checked("response");

/**
 * Is a flat list of names and values, as HPACK gives it, a request (RFC 9113 sections 8.2, 8.3, 8.3.1 and 8.5; RFC 8441
 * section 4)? Null, or what makes it malformed. What passes cannot become a different request, or two, when it is
 * written as HTTP/1.1 (RFC 9113 section 10.3).
 */
export function checkRequestFields(
  fields: readonly string[],
  { connectProtocol }: RequestRules,
): string | null {
  const { pseudo, lines } = request;
  request.fields = null;
  const fault =
    pseudo.read(fields) ??
    pseudo.fault(connectProtocol) ??
    lines.read(fields, pseudo.end) ??
    togetherFault(pseudo, lines);
  if (fault === null) request.fields = fields;
  return fault;
}

/**
 * What `checkRequestFields` made of this list, which nobody has changed since; made anew unless it was checked last. Throws
 * `BAD_REQUEST`. Holds until the next check.
 */
export function checkedRequest(fields: readonly string[]): Checked {
  if (request.fields !== fields) {
    const fault = checkRequestFields(fields, { connectProtocol: true });
    if (fault !== null) throw malformed("request", fault);
  }
  request.fields = null;
  return request;
}

/**
 * Is a flat list a response (RFC 9113 section 8.3.2), final or interim? Null, or what makes it malformed. There is no
 * 101 in HTTP/2 (section 8.6).
 */
export function checkResponseFields(fields: readonly string[]): string | null {
  response.fields = null;
  if (fields[0] !== ":status") return "no :status at the begin of a response";
  const status = fields[1] ?? "";
  if (!/^[1-5][0-9][0-9]$/.test(status) || status === "101") return `the :status ${quoted(status)}`;
  const fault = response.lines.read(fields, 2);
  if (fault === null) response.fields = fields;
  return fault;
}

/** As `checkedRequest`: the lines of a response. Throws `UPSTREAM_PROTOCOL`. */
export function checkedResponse(fields: readonly string[]): HeadLines {
  if (response.fields !== fields) {
    const fault = checkResponseFields(fields);
    if (fault !== null) throw malformed("response", fault);
  }
  response.fields = null;
  return response.lines;
}

/**
 * Is a flat list a trailer section (RFC 9113 section 8.1)? Null, or what makes it malformed. Fields that must not come
 * behind content, but break no rule of HTTP/2, are not refused here: `passedTrailers` takes them out.
 */
export function checkTrailers(fields: readonly string[]): string | null {
  for (let at = 0; at < fields.length; at += 2) {
    const { lower, meaning } = knownName(fields[at]!);
    const isHop = meaning === "connection" || meaning === "upgrade" || meaning === "hop";
    if (isHop || meaning === "te") return `the field ${quoted(lower)} in the trailers`;
  }
  return firstFault(fields, 0);
}

function togetherFault(pseudo: RequestPseudo, lines: HeadLines): string | null {
  if (pseudo.method === "CONNECT" && lines.contentLength !== "") return "content-length in CONNECT";
  return lines.host === "" ? null : hostFault(lines.host, pseudo);
}

/**
 * Whoever reads Host and whoever reads :authority must come to the same result (RFC 9113 section 8.3.1), so they may
 * differ only in case and in a port that the scheme has anyway.
 */
function hostFault(host: string, pseudo: RequestPseudo): string | null {
  if (!isKnownAuthority(host)) return `the host ${quoted(host)}`;
  const { authority, scheme } = pseudo;
  if (authority === "" || host === authority) return null;
  return normal(host, scheme) === normal(authority, scheme)
    ? null
    : `the host ${quoted(host)} besides the :authority ${quoted(authority)}`;
}

/** RFC 3986 section 6.2.3, for what `isAuthority` accepts. */
function normal(authority: string, scheme: string): string {
  const lower = authority.toLowerCase();
  if (scheme === "") return lower;
  const port = scheme.toLowerCase() === "https" ? ":443" : ":80";
  return lower.endsWith(port) ? lower.slice(0, -port.length) : lower;
}
