import { MeshError } from "../../core/errors.ts";
import { withoutFields } from "../h1/field-lines.ts";
import { malformed, quoted } from "../h1/malformed.ts";
import { parseRequestHead } from "../h1/parser.ts";
import type { RequestHead } from "../message.ts";
import { checkedRequest } from "./field-rules.ts";
import type { HeadLines } from "./head-lines.ts";
import type { RequestPseudo } from "./request-pseudo.ts";

/** Methods whose content has a meaning: without any they say so (RFC 9110 section 8.6). */
const WITH_CONTENT: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/**
 * The head of a request that `checkRequestFields` found fine, as if it had come over HTTP/1.1 (RFC 9113 sections 8.3.1
 * and 8.2.3): the list is written as the head that HTTP/1.1 would have, and its parser reads that. So no request gets in
 * by HTTP/2 that could not get in by HTTP/1.1, and none reads differently behind us. What passes the rules of HTTP/2 and
 * not those of the parser (a path with a backslash, another expectation) is `BAD_REQUEST` or what the parser has for it.
 *
 * `last`: the request ends with its head. With content of unknown length the framing is `chunked`. An extended CONNECT
 * (RFC 8441) becomes the GET that opens a WebSocket, without Sec-WebSocket-Key, which HTTP/2 does not have: whoever sends
 * this head on over HTTP/1.1 adds a key of its own and checks the Sec-WebSocket-Accept of the 101 against it. Only such a
 * head has `upgrade`. Other protocols than `websocket` are `NOT_IMPLEMENTED`.
 */
export function requestHeadOf(fields: readonly string[], last: boolean): RequestHead {
  const { pseudo, lines } = checkedRequest(fields);
  const { protocol, isTunnel } = pseudo;
  if (protocol !== "" && protocol !== "websocket") {
    throw new MeshError("NOT_IMPLEMENTED", `the :protocol ${quoted(protocol)}`);
  }
  const host = pseudo.authority === "" ? lines.host : pseudo.authority;
  const start = host === "" ? requestLine(pseudo) : `${requestLine(pseudo)}Host: ${host}\r\n`;
  const added = addedLines(pseudo, lines, last);
  // Just the lines that are meant: should a line break ever get past the checks, there would be one more.
  const headerCount = lines.count + lineEnds(start) - 1 + lineEnds(added);
  const head = parseRequestHead(`${start}${passedLines(pseudo, lines)}${added}\r\n`, {
    headerCount,
  });
  if (!isTunnel) head.scheme = pseudo.scheme.toLowerCase() === "https" ? "https" : "http";
  return head;
}

function requestLine({ method, authority, path, protocol, isTunnel }: RequestPseudo): string {
  return `${protocol === "" ? method : "GET"} ${isTunnel ? authority : path} HTTP/1.1\r\n`;
}

function passedLines({ protocol }: RequestPseudo, { text }: HeadLines): string {
  return protocol === "" ? text : withoutFields(text, ["sec-websocket-key"]);
}

/** What HTTP/1.1 says in lines, and HTTP/2 in other ways. */
function addedLines(pseudo: RequestPseudo, { contentLength }: HeadLines, last: boolean): string {
  const { method, protocol } = pseudo;
  if (protocol !== "") return `Connection: upgrade\r\nUpgrade: ${protocol}\r\n`;
  if (method === "CONNECT") return "";
  if (!last) return contentLength === "" ? "Transfer-Encoding: chunked\r\n" : "";
  if (contentLength === "") return WITH_CONTENT.has(method) ? "Content-Length: 0\r\n" : "";
  if (Number(contentLength) > 0) throw malformed("request", "a content-length, and no content");
  return "";
}

function lineEnds(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count++;
  return count;
}
