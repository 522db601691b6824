import { websocketAccept } from "../http/h2/websocket-key.ts";
import { findField } from "../http/headers.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";

/**
 * What is wrong with an answer as the answer to a request that may have asked for another protocol; null: nothing.
 * `version`: major version of HTTP of the client. To one of HTTP/2 every 2xx would grant the tunnel (RFC 8441 section 5),
 * and nobody but us can tell whether the endpoint has understood the handshake: the key in it is ours.
 */
export function switchFault(
  head: ResponseHead,
  request: RequestHead,
  version: 1 | 2,
): string | null {
  const { status } = head;
  if (request.upgrade === "") return status === 101 ? "101 unasked for" : null;
  if (version === 1) return null;
  if (status >= 200 && status < 300) return `no WebSocket, but ${status}`;
  if (status !== 101) return null;
  if (head.upgrade.toLowerCase() !== "websocket") return "101 to another protocol than WebSocket";
  const accept = findField(head.fields, "sec-websocket-accept");
  const isRight = accept === websocketAccept(`\r\n${request.passed}`);
  return isRight ? null : "a WebSocket with the wrong Sec-WebSocket-Accept";
}
