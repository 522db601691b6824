import { Conn } from "../http/conn.ts";
import { requestFieldsOf } from "../http/h2/request-fields.ts";
import { ServerSession, type Upgraded } from "../http/h2/server-session.ts";
import type { RequestHead } from "../http/message.ts";
import type { Streams } from "./plane.ts";
import { type ConnectParts, Switchover, type Tunnelled } from "./switchover.ts";

const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
const SETTINGS = "http2-settings";
const NOTHING = Buffer.alloc(0);

/**
 * Takes up the offer of a client to go on in HTTP/2 (`Upgrade: h2c`, RFC 7540 section 3.2). Null where the offer is not
 * what it must be, comes over TLS, or with content: then it is as if there were none (RFC 9110 section 7.8).
 */
export function h2cUpgrade(
  head: RequestHead,
  isWhole: boolean,
  parts: ConnectParts,
  onEnd: () => void,
): Switchover | null {
  const { plane, origin, server } = parts;
  const isInClear = origin.peer === null && server.carrier instanceof Conn;
  const isLast = !head.keepAlive || server.finSeen || plane.draining;
  if (!isInClear || !isWhole || isLast || head.form !== "origin" || head.method === "CONNECT") {
    return null;
  }
  const settings = settingsIn(head);
  if (settings === null) return null;
  const upgraded = { settings, fields: requestFieldsOf(textOf(head), "http") };
  return Switchover.streams(new Upgrading(parts, upgraded, onEnd));
}

/** The one value of HTTP2-Settings, which Connection must name; null: there is none that is right. */
function settingsIn({ fields, connectionTokens }: RequestHead): string | null {
  if (!connectionTokens.includes(SETTINGS)) return null;
  const values: string[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at]?.toLowerCase() === SETTINGS) values.push(fields[at + 1] ?? "");
  }
  const [settings] = values;
  const isRight = settings !== undefined && ServerSession.canUpgrade(settings);
  return isRight && values.length === 1 ? settings : null;
}

/** The request as it came; what is for this hop only has no place in HTTP/2, and is left out there. */
function textOf({ method, path, fields }: RequestHead): string {
  let text = `${method} ${path} HTTP/1.1\r\n`;
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return `${text}\r\n`;
}

/** Begins behind what was read together with the request: a client that does not wait for the 101 loses nothing. */
class Upgrading implements Tunnelled {
  #streams: Streams | null = null;

  constructor({ plane, origin, server }: ConnectParts, upgraded: Upgraded, onEnd: () => void) {
    const { carrier } = server;
    server.interim(SWITCHING);
    queueMicrotask(() => {
      if (carrier.closed) return;
      const rest = server.detach() ?? NOTHING;
      this.#streams = plane.serveStreams(origin, carrier, rest, onEnd, upgraded);
      carrier.resumeReading();
    });
  }

  review(): void {
    this.#streams?.review();
  }

  drain(): void {
    this.#streams?.drain();
  }

  destroy(): void {
    this.#streams?.destroy();
  }
}
