import { createServer, type Server, type Socket } from "node:net";

/** What a listener is for: see `Entry`. */
export type ListenerEntry = "captured" | "explicit" | "mesh" | "inbound";

/**
 * Where a worker listens: on a socket that the guardian has opened (`fd`, which the listener then owns), or,
 * where no such socket can be had, on a port of its own.
 */
export type ListenerSpec =
  | { readonly entry: ListenerEntry; readonly fd: number }
  | {
      readonly entry: ListenerEntry;
      readonly host: string;
      readonly port: number;
      readonly reusePort: boolean;
    };

/** A listening socket of one worker. */
export interface Listener {
  /** The port that it is bound to. */
  readonly port: number;
  /** Accepts nothing more. */
  close(): void;
}

/**
 * Listens and hands over accepted sockets, paused and with their handle untouched, so that `acceptConn` can
 * read them into buffers of its own. Rejects where the socket cannot be listened on.
 */
export async function listen(
  spec: ListenerSpec,
  onSocket: (socket: Socket) => void,
): Promise<Listener> {
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
  server.on("connection", onSocket);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  const options =
    "fd" in spec
      ? { fd: spec.fd }
      : { host: spec.host, port: spec.port, reusePort: spec.reusePort };
  server.listen({ ...options, backlog: 4_096 }, resolve);
  await promise;
  server.off("error", reject);
  return { port: portOf(server), close: () => void server.close() };
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
