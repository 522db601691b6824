import { connect, type NetConnectOpts, Socket } from "node:net";
import type { ConnHandler } from "./carrier.ts";
import { Conn } from "./conn.ts";
import { decryptInto } from "./decrypt-into.ts";

/** Takes over a socket that a server accepted with `pauseOnConnect`. */
export function acceptConn(accepted: Socket, handler: ConnHandler): Conn {
  const carrier = accepted as Socket & { _handle?: unknown };
  const handle = carrier._handle;
  if (typeof handle !== "object" || handle === null) {
    return new Conn(handler, () => accepted, false);
  }
  carrier._handle = null;
  accepted.destroy();
  return new Conn(
    handler,
    (onread) => new Socket({ handle, allowHalfOpen: true, onread } as object),
    true,
  );
}

/** Dials; `onConnect` is called once when the connection stands. */
export function dialConn(
  address: { host: string; port: number },
  handler: ConnHandler,
  onConnect: () => void,
): Conn {
  const options = { ...address, noDelay: true, allowHalfOpen: true };
  return new Conn(
    handler,
    (onread) => connect({ ...options, onread } as NetConnectOpts, onConnect),
    true,
  );
}

/**
 * Takes over a TLS connection over the socket `carrier` (with `allowHalfOpen`). It is read by `data` events: behind a
 * full stop of `onread` Node would still decrypt what it has, into a buffer that a write may own. The end of a direction
 * is TLS's close_notify and a FIN; of the peer's Node takes either for it.
 */
export function connOverTls(secured: Socket, carrier: Socket, handler: ConnHandler): Conn {
  return new Conn(handler, () => secured, false, carrier);
}

/**
 * The same for a connection whose handler keeps nothing of what it is given, and takes bytes that come behind
 * `stopReading`, as sessions of HTTP/2 do.
 */
export function sessionOverTls(secured: Socket, carrier: Socket, handler: ConnHandler): Conn {
  return new Conn(handler, ({ callback }) => decryptInto(secured, callback), false, carrier);
}
