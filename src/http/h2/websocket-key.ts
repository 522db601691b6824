import { createHash, randomBytes } from "node:crypto";

/** RFC 6455 section 1.3. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_LINE = /\r\nsec-websocket-key:[ \t]*([!-~]*)/i;

/**
 * Sec-WebSocket-Accept for the key in the head of a handshake (RFC 6455 section 4.2.2): over HTTP/2 there is none, so who
 * translates makes it for the client.
 */
export function websocketAccept(head: string): string {
  const key = KEY_LINE.exec(head)?.[1] ?? "";
  return createHash("sha1").update(`${key}${GUID}`, "latin1").digest("base64");
}

/** A key for the handshake of a client that has sent none (RFC 6455 section 4.1). */
export function newWebsocketKey(): string {
  return randomBytes(16).toString("base64");
}
