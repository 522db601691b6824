import { STATUS_CODES } from "node:http";
import { withoutFields } from "../h1/field-lines.ts";
import { malformed } from "../h1/malformed.ts";
import { parseResponseHead } from "../h1/parser.ts";
import type { ResponseHead } from "../message.ts";
import { checkedResponse } from "./field-rules.ts";
import type { HeadLines } from "./head-lines.ts";

/** Connection, Upgrade and Sec-WebSocket-Accept. */
const SWITCH_LINES = 3;

/**
 * The head of a response, final or interim, that `checkResponseFields` found fine, as if it had come over HTTP/1.1, by
 * whose parser it is read: see `requestHeadOf`. `method`: of the request. `last`: the response ends with its head.
 * Throws `UPSTREAM_PROTOCOL`. An answer that grants an extended CONNECT is for `switchedHeadOf`.
 */
export function responseHeadOf(
  fields: readonly string[],
  method: string,
  last: boolean,
): ResponseHead {
  const lines = checkedResponse(fields);
  const status = fields[1]!;
  const framing = hasContent(status, method) ? framingLine(lines, last) : "";
  const text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.text}${framing}\r\n`;
  // Just the lines that are meant: should a line break ever get past the checks, there would be one more.
  const headerCount = lines.count + (framing === "" ? 0 : 1);
  return parseResponseHead(text, method, { headerCount });
}

/** RFC 9110 section 6.4.1. */
function hasContent(status: string, method: string): boolean {
  if (status.startsWith("1") || status === "204" || status === "304") return false;
  return method !== "HEAD" && (method !== "CONNECT" || !status.startsWith("2"));
}

function framingLine({ contentLength }: HeadLines, last: boolean): string {
  if (!last) return contentLength === "" ? "Transfer-Encoding: chunked\r\n" : "";
  if (contentLength === "") return "Content-Length: 0\r\n";
  if (Number(contentLength) > 0) throw malformed("response", "a content-length, and no content");
  return "";
}

/**
 * The 101 that an HTTP/1.1 client gets where its endpoint granted an extended CONNECT with 2xx (RFC 8441 section 5).
 * `accept`: Sec-WebSocket-Accept for the key of that client (RFC 6455 section 4.2.2).
 */
export function switchedHeadOf(fields: readonly string[], accept: string): ResponseHead {
  const lines = checkedResponse(fields);
  const passed = withoutFields(lines.text, ["content-length", "sec-websocket-accept"]);
  const added = `Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n`;
  const text = `HTTP/1.1 101 ${STATUS_CODES[101]}\r\n${passed}${added}\r\n`;
  return parseResponseHead(text, "GET", { headerCount: lines.count + SWITCH_LINES });
}
