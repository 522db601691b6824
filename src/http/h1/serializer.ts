import { STATUS_CODES } from "node:http";
import { fieldLine } from "../headers.ts";
import type { Framing, RequestHead, ResponseHead } from "../message.ts";

/** How a request goes on to an endpoint. */
export interface RequestHeadOptions {
  /** Sent as Host where the request brought none (HTTP/1.0). */
  readonly host: string;
  /** Ask for the upgrade that the client asked for; the connection may then become a tunnel. */
  readonly upgrade: boolean;
}

/** How a response goes on to the client. */
export interface ResponseHeadOptions {
  /** May the client's connection carry another request? Never said with `eof`. */
  readonly keepAlive: boolean;
  /** HTTP minor version of the client. */
  readonly minor: 0 | 1;
  /** How the content goes to this client, which is not always how it came. */
  readonly framing: Framing;
  /** Pass the upgrade on (101). */
  readonly upgrade: boolean;
}

/**
 * The head that goes to an endpoint, as latin1: HTTP/1.1, Host first, no field that was meant for the hop
 * behind us (RFC 9110 section 7.6.1), framing fields written anew, and without the fields that the caller
 * replaces (x-request-id, traceparent, via, x-forwarded-for, x-forwarded-proto): those come in `extra`,
 * whole lines made by `fieldLine`. Proxy-Authorization ends here when the client addressed us as its proxy.
 */
export function requestHeadText(
  head: RequestHead,
  extra: string,
  options: RequestHeadOptions,
): string {
  return `${requestHeadLines(head, options)}${extra}\r\n`;
}

/** What `requestHeadText` begins with: all lines that come from the client. */
export function requestHeadLines(head: RequestHead, options: RequestHeadOptions): string {
  const host = head.authority === "" ? options.host : head.authority;
  let text = `${head.method} ${head.path} HTTP/1.1\r\nHost: ${host}\r\n${head.passed}`;
  if (head.framing === "length") text += `Content-Length: ${head.contentLength}\r\n`;
  else if (head.framing === "chunked") text += "Transfer-Encoding: chunked\r\n";
  if (head.expectContinue) text += "Expect: 100-continue\r\n";
  if (head.tracestate !== "") text += `tracestate: ${head.tracestate}\r\n`;
  if (head.proxyAuthorization !== "" && head.form !== "absolute") {
    text += `Proxy-Authorization: ${head.proxyAuthorization}\r\n`;
  }
  const upgrade = options.upgrade ? head.upgrade : "";
  if (head.acceptsTrailers || upgrade !== "") {
    text += connectionLines(head.acceptsTrailers, upgrade);
  }
  return text;
}

/** TE and Upgrade are themselves for one hop only, so Connection must name them. */
function connectionLines(trailers: boolean, upgrade: string): string {
  const names: string[] = [];
  let lines = "";
  if (upgrade !== "") {
    names.push("upgrade");
    lines += `Upgrade: ${upgrade}\r\n`;
  }
  if (trailers) {
    names.push("te");
    lines += "TE: trailers\r\n";
  }
  return `Connection: ${names.join(", ")}\r\n${lines}`;
}

/**
 * The head that goes to the client, as latin1: always HTTP/1.1, which HTTP/1.0 clients understand (RFC 9110
 * section 2.5), with hop-by-hop fields removed, framing written anew, and Via left to `extra`.
 */
export function responseHeadText(
  head: ResponseHead,
  extra: string,
  options: ResponseHeadOptions,
): string {
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n${head.passed}`;
  if (options.framing === "chunked") text += "Transfer-Encoding: chunked\r\n";
  // Without content (HEAD, 304) the length is that of the content which a GET would get.
  else if (options.framing !== "eof" && head.contentLength !== -1) {
    text += `Content-Length: ${head.contentLength}\r\n`;
  }
  if (head.status >= 200) text += persistence(options);
  else if (options.upgrade && head.upgrade !== "") {
    text += `Connection: upgrade\r\nUpgrade: ${head.upgrade}\r\n`;
  }
  return `${text}${extra}\r\n`;
}

function persistence(options: {
  readonly keepAlive: boolean;
  readonly minor: 0 | 1;
  readonly framing: Framing;
}): string {
  if (!options.keepAlive || options.framing === "eof") return "Connection: close\r\n";
  return options.minor === 0 ? "Connection: keep-alive\r\n" : "";
}

/** How a response of the proxy itself is sent. */
export interface LocalResponseOptions {
  readonly keepAlive: boolean;
  /** HTTP minor version of the client. */
  readonly minor: 0 | 1;
  /** Method of the request: HEAD gets no content. `""` where no request could be read. */
  readonly method: string;
}

/**
 * A whole response of the proxy itself, as latin1; `body` goes out in UTF-8. `fields` is flat like those of
 * a head; a value that cannot be sent is an `INTERNAL` error. 1xx, 204, 304
 * and a 2xx to CONNECT (RFC 9110 section 9.3.6) get neither body nor length.
 */
export function localResponse(
  status: number,
  fields: readonly string[],
  body: string,
  options: LocalResponseOptions,
): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  for (let at = 0; at < fields.length; at += 2) text += fieldLine(fields[at]!, fields[at + 1]!);
  const opensTunnel = options.method === "CONNECT" && status < 300;
  if (status < 200 || opensTunnel) return `${text}\r\n`;
  const bytes = Buffer.from(body).toString("latin1");
  const hasContent = status !== 204 && status !== 304;
  if (hasContent) text += `Content-Length: ${bytes.length}\r\n`;
  const end = persistence({ ...options, framing: "length" });
  return `${text}${end}\r\n${hasContent && options.method !== "HEAD" ? bytes : ""}`;
}
