import type { RequestHead, ResponseHead } from "../../../../src/http/message.ts";
import { latin1, parseRequest, parseResponse } from "../../../helpers/heads.ts";

/** A request head as the codec gives it, of field lines without CRLF. */
export function requestWith(
  lines: readonly string[] = [],
  method = "GET",
  path = "/",
): RequestHead {
  const text = [`${method} ${path} HTTP/1.1`, "Host: shop", ...lines, "", ""].join("\r\n");
  return parseRequest([latin1(text)]);
}

/** A response head, likewise. */
export function responseWith(lines: readonly string[] = [], status = 503): ResponseHead {
  const text = [`HTTP/1.1 ${status} -`, "Content-Length: 0", ...lines, "", ""].join("\r\n");
  return parseResponse([latin1(text)]);
}
