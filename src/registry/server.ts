import { constants } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { canonicalAddress, isLocalHost, isLoopback } from "../core/address.ts";
import { type Caller, OPERATOR, refuseOthers } from "./caller.ts";
import { type GuardedServer, listenGuarded, type ServerTls } from "./guarded-server.ts";
import type { Log } from "./log.ts";
import { parseJson } from "./parse-input.ts";
import { RegistryError } from "./registry-error.ts";
import { type Reply, type Route, Router } from "./route.ts";

/** Characters of a list that are sent at a time. */
const CHUNK = 65_536;

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

export type RegistryServer = GuardedServer;

/** Starts the HTTP API; rejects where the port cannot be had. */
export function listenRegistry(options: RegistryServerOptions): Promise<RegistryServer> {
  const { bind, port, tls, upgrade, log, maxConnections = 10_000 } = options;
  const { headTimeoutMs, requestTimeoutMs } = options;
  const router = new Router(options.routes);
  return listenGuarded({
    ...{ bind, port, name: "registry", log },
    limits: { maxConnections, headTimeoutMs, requestTimeoutMs },
    ...(tls === undefined ? {} : { tls: { first: tls.first, options: handshakeOf } }),
    answer: (request, response) => answer(request, response, router, options),
    upgrade: (request, socket, head) => upgrade(request, socket, head),
  });
}

/**
 * A certificate is asked for; what it is worth is judged for each request. No tickets: a resumed session would lack the
 * peer's intermediates, and outlive its certificate. No authorities: where OpenSSL knows some, Node no longer shows the
 * intermediates that a peer has sent.
 */
function handshakeOf({ cert, key }: ServerTls) {
  const secureOptions = constants.SSL_OP_NO_TICKET;
  const client = { requestCert: true, rejectUnauthorized: false };
  return { cert, key, ca: [], minVersion: "TLSv1.3" as const, secureOptions, ...client };
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
 * a page could not use, so what comes from elsewhere is refused; and so is, on loopback in the clear, a name that was
 * made to mean this machine (DNS rebinding), whose pages would be of one origin with us. Throws 403.
 */
export function refuseForeignOrigin({ headers, socket }: IncomingMessage): void {
  const { origin, host } = headers;
  const isLocal =
    !("encrypted" in socket) && isLoopback(canonicalAddress(socket.localAddress ?? ""));
  if (isLocal && !isLocalHost(host)) {
    throw new RegistryError(
      403,
      "on loopback the registry answers to 127.0.0.1, ::1 and localhost only",
    );
  }
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
