import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  createServer as createTlsServer,
  type ServerOptions,
  type Server as TlsServer,
} from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Log } from "./log.ts";

/** From the first byte of a connection to the end of its TLS handshake. */
const HANDSHAKE_MS = 10_000;

/** What a TLS port shows, PEM. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
}

/** What a server takes from those who connect to it, at most. */
export interface ServerLimits {
  /** Open connections; further ones are closed at once. */
  readonly maxConnections: number;
  /** From the first byte of a request to the end of its head. Default 10 s. */
  readonly headTimeoutMs?: number | undefined;
  /** From the first byte of a request to the end of its body. Default 30 s. */
  readonly requestTimeoutMs?: number | undefined;
}

export interface GuardedServerOptions {
  readonly bind: string;
  readonly port: number;
  /** Who serves, for the log. */
  readonly name: string;
  readonly limits: ServerLimits;
  /** Absent: plain. `options` are those of the handshake, for whatever certificate is shown. */
  readonly tls?: { readonly first: ServerTls; options(tls: ServerTls): ServerOptions };
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Takes WebSocket handshakes. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  readonly log: Log;
}

export interface GuardedServer {
  readonly port: number;
  /** Shows another certificate from now on; connections that stand stay. Does nothing on a plain port. Throws where it is none. */
  setTls(tls: ServerTls): void;
  /** Ends all connections, also those in the middle of a TLS handshake. */
  close(): Promise<void>;
}

/** Starts an HTTP server whose clients cannot hold it up; rejects where the port cannot be had. */
export async function listenGuarded(options: GuardedServerOptions): Promise<GuardedServer> {
  const { bind, port, name, tls, log } = options;
  const { maxConnections, headTimeoutMs = 10_000, requestTimeoutMs = 30_000 } = options.limits;
  const limits = {
    maxHeaderSize: 16_384,
    headersTimeout: Math.min(headTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: 60_000,
    connectionsCheckingInterval: Math.min(1_000, headTimeoutMs),
    requireHostHeader: true,
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    options.answer(request, response).catch((error: unknown) => {
      const path = request.url?.split("?")[0];
      log.warn(`a request to the ${name} broke off`, { path, error });
      response.destroy();
    });
  };
  const handshake = { ...limits, handshakeTimeout: HANDSHAKE_MS };
  const secure =
    tls === undefined
      ? null
      : createTlsServer({ ...handshake, ...tls.options(tls.first) }, listener);
  // Whoever speaks no TLS, or stops in the middle of it, is dropped.
  secure?.on("tlsClientError", (_, socket) => socket.destroy());
  const server = secure ?? createServer(limits, listener);
  // Those in the middle of a TLS handshake are none of HTTP's yet.
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.maxConnections = maxConnections;
  server.maxHeadersCount = 100;
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", (error) => log.debug(`a connection to the ${name} failed`, { error }));
    options.upgrade(request, socket, head);
  });
  server.listen(port, bind);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    setTls: (next) => secure?.setSecureContext(tls?.options(next) ?? {}),
    close: () => closeServer(server, sockets),
  };
}

async function closeServer(server: Server | TlsServer, sockets: Iterable<Socket>): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  for (const socket of sockets) socket.destroy();
  await closed;
}
