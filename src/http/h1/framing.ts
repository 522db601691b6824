import { MeshError } from "../../core/errors.ts";
import { trimmed } from "../headers.ts";
import type { RequestHead, ResponseHead } from "../message.ts";
import { TOKEN } from "./field-lines.ts";
import { malformed, quoted, type Side } from "./malformed.ts";

/** Enough for 2^53. */
const MAX_DIGITS = 16;

/**
 * Takes a Content-Length into the head. Only plain digits up to 2^53 - 1, and only once: a list or a
 * repeated field may be read as either of its numbers by someone else (RFC 9112 section 6.3 rule 5).
 */
export function applyContentLength(
  head: RequestHead | ResponseHead,
  value: string,
  side: Side,
): void {
  if (head.contentLength !== -1) throw malformed(side, "more than one Content-Length");
  const length = plainDigits(value);
  if (!Number.isSafeInteger(length)) {
    throw malformed(side, `the Content-Length ${quoted(value)}`);
  }
  head.contentLength = length;
}

/** The number that plain digits write, else NaN. By hand, at a third of the price of a pattern and `Number`. */
export function plainDigits(text: string): number {
  if (text.length === 0 || text.length > MAX_DIGITS) return Number.NaN;
  let number = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return Number.NaN;
    number = 10 * number + digit;
  }
  return number;
}

const CODINGS = new RegExp(`^${TOKEN}(?:[ \\t]*,[ \\t]*${TOKEN})*$`);

/**
 * Takes a Transfer-Encoding into the head (RFC 9112 section 6.1). Only `chunked` is understood. Of a
 * request with another coding below a final chunked the sender learns that (501); everything else, such
 * as chunked twice or not at the end, parameters, or HTTP/1.0, leaves the end of the message in doubt.
 */
export function applyTransferEncoding(
  head: RequestHead | ResponseHead,
  value: string,
  side: Side,
): void {
  if (head.minor === 0) throw malformed(side, "Transfer-Encoding in HTTP/1.0");
  if (head.framing === "chunked") throw malformed(side, "more than one Transfer-Encoding");
  const lower = value.toLowerCase();
  if (lower !== "chunked") throw badCoding(lower, side);
  head.framing = "chunked";
}

function badCoding(value: string, side: Side): MeshError {
  const codings = value.split(",").map((coding) => trimmed(coding, 0, coding.length));
  const clear = CODINGS.test(value) && codings.indexOf("chunked") === codings.length - 1;
  return side === "request" && clear
    ? new MeshError("NOT_IMPLEMENTED", quoted(value))
    : malformed(side, `the Transfer-Encoding ${quoted(value)}`);
}

/** Settles how the content of a request ends, RFC 9112 section 6.3. Throws `BAD_REQUEST`. */
export function frameRequest(head: RequestHead): void {
  if (head.framing === "chunked") {
    if (head.contentLength !== -1) {
      throw malformed("request", "Content-Length together with Transfer-Encoding");
    }
    if (head.method === "CONNECT") throw malformed("request", "Transfer-Encoding in CONNECT");
  } else if (head.contentLength !== -1) {
    // What follows the head of a CONNECT belongs to the tunnel, RFC 9110 section 9.3.6.
    if (head.method !== "CONNECT") head.framing = "length";
    else if (head.contentLength > 0) throw malformed("request", "Content-Length in CONNECT");
  }
}

/**
 * Settles how the content of a response ends, RFC 9112 section 6.3. Interim responses and 204 must not say
 * that they have content (RFC 9110 section 8.6): if one does, its end is in doubt. Throws `UPSTREAM_PROTOCOL`.
 */
export function frameResponse(head: ResponseHead, requestMethod: string): void {
  const { status, contentLength } = head;
  const chunked = head.framing === "chunked";
  if (requestMethod === "CONNECT" && status >= 200 && status < 300) {
    // RFC 9110 section 9.3.6: the fields say nothing there.
    head.framing = "none";
    head.contentLength = -1;
    return;
  }
  if (chunked && contentLength !== -1) {
    throw malformed("response", "Content-Length together with Transfer-Encoding");
  }
  if (status < 200 || status === 204) {
    if (chunked || contentLength > 0)
      throw malformed("response", `content in a ${status} response`);
    head.framing = "none";
    head.contentLength = -1;
  } else if (status === 304 || requestMethod === "HEAD") {
    head.framing = "none";
  } else if (!chunked) {
    head.framing = contentLength === -1 ? "eof" : "length";
  }
}
