import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { isIP } from "node:net";
import { parseHostPort } from "../src/core/address.ts";
import type { Log } from "../src/telemetry/log.ts";

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** An answer that goes on until one of both ends it. */
export interface StreamReply {
  readonly type: string;
  /** Called when the head is written; the connection may close at any time. */
  readonly start: (to: ServerResponse) => void;
}

/** `readBody` gives the request's JSON; it throws a {@link BadBody} for what is none or too long. */
export type Handler = (
  query: URLSearchParams,
  readBody: () => Promise<unknown>,
) => Reply | StreamReply | Promise<Reply | StreamReply>;
export type Method = "GET" | "POST" | "PUT";
/** Handlers by path and method. HEAD is answered by GET. */
export type Routes = Readonly<Record<string, Readonly<Partial<Record<Method, Handler>>>>>;

export interface ControlServerOptions {
  /**
   * `loopback`: only requests whose Host (and Origin, where there is one) names this machine. A web page
   * can make a browser send requests to loopback; the names in them give it away.
   */
  readonly callers: "loopback" | "any";
  readonly log: Log;
}

/** A request's body that cannot be read: its sender is told so. */
export class BadBody extends Error {}

/** A question of a person is short. */
const MAX_BODY_BYTES = 262_144;

/** A JSON reply, indented for people. */
export function json(status: number, value: unknown): Reply {
  return { status, type: "application/json", body: `${JSON.stringify(value, null, 2)}\n` };
}

/** A plain-text reply. */
export function text(status: number, body: string): Reply {
  return { status, type: "text/plain; charset=utf-8", body };
}

/**
 * A small HTTP server for control traffic: exact paths, short request bodies, short time limits. What a
 * handler throws becomes a 500 and a line in the log, a {@link BadBody} a 400.
 */
export function controlServer(routes: Routes, options: ControlServerOptions): Server {
  const limits = {
    maxHeaderSize: 16_384,
    headersTimeout: 5_000,
    requestTimeout: 10_000,
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: 1_000,
  };
  const server = createServer(limits, (request, response) => {
    void answer(routes, options, request).then((reply) => send(request, response, reply));
  });
  server.maxConnections = 256;
  return server;
}

/** Listens and resolves with the port. Rejects with a message that names address and purpose. */
export function listen(server: Server, what: string, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new Error(`${what} cannot listen on ${host} port ${port}`, { cause }));
    });
    server.listen({ host, port }, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

/** Stops listening and ends open connections: control traffic can be asked again. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function answer(
  routes: Routes,
  options: ControlServerOptions,
  request: IncomingMessage,
): Promise<Reply | StreamReply> {
  if (options.callers === "loopback" && !isFromLoopback(request)) {
    return json(403, {
      error: "this API answers only to loopback names (localhost, 127.0.0.1, ::1)",
    });
  }
  const url = URL.parse(request.url ?? "", "http://localhost");
  if (url === null) return json(400, { error: "malformed request target" });
  const route = Object.hasOwn(routes, url.pathname) ? routes[url.pathname] : undefined;
  if (route === undefined) {
    return json(404, { error: `no such path: ${url.pathname}`, paths: Object.keys(routes) });
  }
  const method = request.method === "HEAD" ? "GET" : request.method;
  const handler = method !== undefined && isMethod(method) ? route[method] : undefined;
  if (handler === undefined)
    return { ...json(405, { error: "method not allowed" }), ...allow(route) };
  try {
    return await handler(url.searchParams, () => readJson(request));
  } catch (error) {
    if (error instanceof BadBody) return json(400, { error: error.message });
    const stack = error instanceof Error ? error.stack : String(error);
    options.log.error("control request failed", { path: url.pathname, stack });
    return json(500, { error: "internal error" });
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new BadBody(`the body exceeds ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString()) as unknown;
  } catch (cause) {
    throw new BadBody("the body is no JSON", { cause });
  }
}

function isMethod(method: string): method is Method {
  return method === "GET" || method === "POST" || method === "PUT";
}

function allow(route: Routes[string]): { allow: string } {
  return { allow: Object.keys(route).join(", ") };
}

function isFromLoopback(request: IncomingMessage): boolean {
  const { host, origin } = request.headers;
  if (!isLoopbackName(parseHostPort(host ?? "", 80)?.host ?? "")) return false;
  if (origin === undefined) return true;
  return isLoopbackName(URL.parse(origin)?.hostname.replace(/^\[|\]$/g, "") ?? "");
}

function isLoopbackName(name: string): boolean {
  if (isIP(name) === 4) return name.startsWith("127.");
  return name.toLowerCase() === "localhost" || name === "::1";
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  reply: (Reply & { allow?: string }) | StreamReply,
): void {
  if ("start" in reply) {
    response.writeHead(200, {
      "content-type": reply.type,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      connection: "close",
    });
    response.flushHeaders();
    reply.start(response);
    return;
  }
  const body = Buffer.from(reply.body);
  const unread = !request.complete || request.headers["content-length"] !== undefined;
  response.writeHead(reply.status, {
    "content-type": reply.type,
    "content-length": body.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(reply.allow === undefined ? {} : { allow: reply.allow }),
    // Most bodies are not read here, so the connection cannot serve another request after one.
    ...(unread && request.method !== "GET" ? { connection: "close" } : {}),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
