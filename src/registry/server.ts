import { constants } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Caller, OPERATOR, refuseOthers } from "./caller.ts";
import type { Log } from "./log.ts";
import { parseJson } from "./parse-input.ts";
import { RegistryError } from "./registry-error.ts";
import { type Reply, type Route, Router } from "./route.ts";

/** Characters of a list that are sent at a time. */
const CHUNK = 65_536;
/** From the first byte of a connection to the end of its TLS handshake. */
const HANDSHAKE_MS = 10_000;

/** What a TLS port shows, PEM. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
}

export interface RegistryServerOptions {
  readonly bind: string;
  readonly port: number;
  readonly routes: readonly Route[];
  /** The newest revision, for answers that name none. */
  revision(): number;
  /** TLS 1.3 on this port, and who a request is from; absent: plain, and everybody is an operator. */
  readonly tls?: { readonly first: ServerTls; callerOf(request: IncomingMessage): Caller };
  /** Takes WebSocket handshakes. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** A request was answered with this status. */
  answered?(status: number): void;
  readonly log: Log;
  /** Open connections, blocking queries and watches included; further ones are closed at once. */
  readonly maxConnections?: number;
  /** From the first byte of a request to the end of its head. */
  readonly headTimeoutMs?: number;
  /** From the first byte of a request to the end of its body. */
  readonly requestTimeoutMs?: number;
}

export interface RegistryServer {
  readonly port: number;
  /** Shows another certificate from now on; connections that stand stay. Does nothing on a plain port. */
  setTls(tls: ServerTls): void;
  close(): Promise<void>;
}

/** Starts the HTTP API; rejects where the port cannot be had. */
export async function listenRegistry(options: RegistryServerOptions): Promise<RegistryServer> {
  const { bind, port, maxConnections = 10_000, requestTimeoutMs = 30_000 } = options;
  const { headTimeoutMs = 10_000, log } = options;
  const router = new Router(options.routes);
  const limits = {
    maxHeaderSize: 16_384,
    headersTimeout: Math.min(headTimeoutMs, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: 60_000,
    connectionsCheckingInterval: Math.min(1_000, headTimeoutMs),
    requireHostHeader: true,
  };
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response, router, options).catch((error: unknown) => {
      log.warn("a request to the registry broke off", { url: request.url, error });
      response.destroy();
    });
  };
  const secure = options.tls === undefined ? null : listenTls(limits, options.tls.first, listener);
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
    socket.on("error", (error) => log.debug("a connection to the registry failed", { error }));
    options.upgrade(request, socket, head);
  });
  server.listen(port, bind);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    setTls: (tls) => secure?.setSecureContext(contextOf(tls)),
    close: () => closeServer(server, sockets),
  };
}

function listenTls(
  limits: object,
  first: ServerTls,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): TlsServer {
  const options = {
    ...limits,
    ...contextOf(first),
    // A certificate is asked for; what it is worth is judged for each request.
    ...{ requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_MS },
  };
  const server = createTlsServer(options, listener);
  // Whoever speaks no TLS, or stops in the middle of it, is dropped.
  server.on("tlsClientError", (_, socket) => socket.destroy());
  return server;
}

/**
 * No tickets: a resumed session would lack the peer's intermediates, and outlive its certificate. No authorities: where
 * OpenSSL knows some, Node no longer shows the intermediates that a peer has sent.
 */
function contextOf({ cert, key }: ServerTls) {
  const secureOptions = constants.SSL_OP_NO_TICKET;
  return { cert, key, ca: [], minVersion: "TLSv1.3" as const, secureOptions };
}

/** Ends all connections, also those in the middle of a TLS handshake. */
export async function closeServer(
  server: Server | TlsServer,
  sockets: Iterable<Socket>,
): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  for (const socket of sockets) socket.destroy();
  await closed;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  router: Router,
  options: RegistryServerOptions,
): Promise<void> {
  let reply: Reply;
  try {
    reply = await run(request, response, router, options.tls?.callerOf(request) ?? OPERATOR);
  } catch (error) {
    reply = failure(error, request, options.log);
    // What is left of a body that was refused must not be taken for the next request.
    if (!request.complete) response.setHeader("connection", "close");
  }
  if (response.destroyed) return;
  response.setHeader("x-consul-index", Math.max(1, reply.index ?? options.revision()));
  response.setHeader("x-consul-knownleader", "true");
  response.setHeader("x-consul-lastcontact", "0");
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  response.statusCode = reply.status ?? 200;
  options.answered?.(response.statusCode);
  await send(response, reply);
}

async function run(
  request: IncomingMessage,
  response: ServerResponse,
  router: Router,
  caller: Caller,
): Promise<Reply> {
  refuseForeignOrigin(request);
  const target = request.url ?? "/";
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  const { route, params } = router.match(request.method ?? "", path);
  refuseOthers(caller, route.allow ?? []);
  const bytes = route.bodyBytes === undefined ? null : await readBody(request, route.bodyBytes);
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  return route.handle({
    params,
    query: new URLSearchParams(mark === -1 ? "" : target.slice(mark + 1)),
    headers: request.headers,
    ...{ caller, address: request.socket.remoteAddress ?? "" },
    json: () => parseJson(bytes ?? new Uint8Array()),
    hasBody: bytes !== null && bytes.length > 0,
    closed: gone.signal,
  });
}

/**
 * Browsers send `Origin` with what a page of another site makes them do. The API has no login that such
 * a page could not use, so what comes from elsewhere is refused. Throws 403.
 */
export function refuseForeignOrigin({ headers }: IncomingMessage): void {
  const { origin, host } = headers;
  if (origin === undefined) return;
  if (URL.canParse(origin) && new URL(origin).host === host) return;
  throw new RegistryError(403, "requests from pages of other origins are refused");
}

/** Throws 413 for more than the limit. */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const tooLarge = new RegistryError(413, `the body exceeds ${limitBytes} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > limitBytes) throw tooLarge;
  const chunks: Buffer[] = [];
  let size = 0;
  // Events and not async iteration, which would destroy the socket before the answer is sent.
  await new Promise<void>((resolve, reject) => {
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limitBytes) chunks.push(chunk);
      else {
        request.pause();
        reject(tooLarge);
      }
    });
    request.once("end", resolve);
    request.once("error", reject);
    request.once("close", () => reject(new RegistryError(400, "the body broke off")));
  });
  return Buffer.concat(chunks, size);
}

function failure(error: unknown, { method, url }: IncomingMessage, log: Log): Reply {
  if (error instanceof RegistryError) {
    const { status, message, path } = error;
    if (status >= 500) log.error("a request to the registry failed", { method, url, error });
    return { status, body: { error: message, ...(path ? { path } : {}) } };
  }
  log.error("a request to the registry failed", { method, url, error });
  return { status: 500, body: { error: "internal error" } };
}

async function send(response: ServerResponse, { body, items, lines }: Reply): Promise<void> {
  if (lines !== undefined) {
    await sendLines(response, lines);
    return;
  }
  if (items === undefined && body === undefined) {
    response.setHeader("content-length", 0);
    response.end();
    return;
  }
  response.setHeader("content-type", "application/json");
  if (items === undefined) {
    response.end(`${JSON.stringify(body)}\n`);
    return;
  }
  await sendItems(response, items);
}

/** A list, made while it is sent: others have their turn in between, and a client that is slow is waited for. */
export async function sendItems(
  response: ServerResponse,
  items: Iterable<unknown>,
  [open, close]: readonly [open: string, close: string] = ["[", "]"],
): Promise<void> {
  let pending = open;
  let separator = "";
  for (const item of items) {
    pending += separator + JSON.stringify(item);
    separator = ",\n";
    if (pending.length < CHUNK) continue;
    if (!response.write(pending)) await drained(response);
    if (response.destroyed) return;
    pending = "";
    await nextTurn();
  }
  response.end(`${pending}${close}\n`);
}

async function sendLines(response: ServerResponse, lines: AsyncIterable<unknown>): Promise<void> {
  response.setHeader("content-type", "application/x-ndjson");
  // Nothing may come for long, and the client shall know that it was understood.
  response.flushHeaders();
  for await (const line of lines) {
    if (response.destroyed) return;
    if (!response.write(`${JSON.stringify(line)}\n`)) await drained(response);
  }
  response.end();
}

/** Resolves when there is room again, or the client is gone. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
    if (response.destroyed) done();
  });
}
