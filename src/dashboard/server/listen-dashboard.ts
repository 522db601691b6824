import { constants } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import {
  type GuardedServer,
  listenGuarded,
  type ServerTls,
} from "../../registry/guarded-server.ts";
import type { Log } from "../../registry/log.ts";
import { parseJson } from "../../registry/parse-input.ts";
import { RegistryError } from "../../registry/registry-error.ts";
import { Router } from "../../registry/route.ts";
import { readBody, sendItems } from "../../registry/server.ts";
import { type Access, addressOf, cookieOf, setCookie } from "./access.ts";
import type { DashboardReply, DashboardRoute } from "./dashboard-route.ts";
import { findStatic, type StaticFiles, sendStatic } from "./static-files.ts";

const MAX_CONNECTIONS = 512;

/** Nothing but our own files; no frames, no forms that go elsewhere. */
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": CSP,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=()",
};

export interface DashboardServerOptions {
  readonly bind: string;
  readonly port: number;
  /** Absent: plain. */
  readonly tls?: ServerTls;
  readonly access: Access;
  readonly routes: readonly DashboardRoute[];
  readonly files: StaticFiles;
  /** Takes WebSocket handshakes. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  readonly log: Log;
  readonly headTimeoutMs?: number;
  readonly requestTimeoutMs?: number;
}

/** Starts to listen; rejects where the port cannot be had. */
export function listenDashboard(options: DashboardServerOptions): Promise<GuardedServer> {
  const { bind, port, tls, log, headTimeoutMs, requestTimeoutMs } = options;
  const router = new Router(options.routes);
  return listenGuarded({
    ...{ bind, port, name: "dashboard", log },
    limits: { maxConnections: MAX_CONNECTIONS, headTimeoutMs, requestTimeoutMs },
    ...(tls === undefined ? {} : { tls: { first: tls, options: handshakeOf } }),
    answer: (request, response) => answer(request, response, router, options),
    upgrade: (request, socket, head) => options.upgrade(request, socket, head),
  });
}

function handshakeOf({ cert, key }: ServerTls) {
  const secureOptions = constants.SSL_OP_NO_TICKET;
  return { cert, key, minVersion: "TLSv1.2" as const, secureOptions };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  router: Router<DashboardRoute>,
  options: DashboardServerOptions,
): Promise<void> {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  let reply: DashboardReply | null;
  try {
    reply = await run(request, response, router, options);
  } catch (error) {
    reply = failure(error, request, options.log);
    // What is left of a body that was refused must not be taken for the next request.
    if (!request.complete) response.setHeader("connection", "close");
  }
  if (reply === null || response.destroyed) return;
  const { status = 200, body, list, cookie } = reply;
  if (cookie !== undefined) response.setHeader("set-cookie", cookie);
  response.setHeader("cache-control", "no-store");
  response.setHeader("content-type", "application/json");
  if (status === 429) response.setHeader("retry-after", "60");
  response.statusCode = status;
  if (list === undefined) response.end(`${JSON.stringify(body)}\n`);
  else await sendItems(response, list.items, [`{${JSON.stringify(list.name)}:[`, "]}"]);
}

/** Null: it has been answered. */
async function run(
  request: IncomingMessage,
  response: ServerResponse,
  router: Router<DashboardRoute>,
  { access, files, tls }: DashboardServerOptions,
): Promise<DashboardReply | null> {
  access.checkHost(request);
  const [path = "/"] = (request.url ?? "/").split("?");
  const method = request.method ?? "";
  if (path !== "/api" && !path.startsWith("/api/")) {
    if (method !== "GET" && method !== "HEAD") {
      throw new RegistryError(405, `this path takes GET, not ${method}`);
    }
    const file = findStatic(files, path);
    if (file === null) throw new RegistryError(404, missing(files));
    sendStatic(request, response, file);
    return null;
  }
  const visitor = access.visitorOf(request);
  // A cookie that is worth nothing any more is not to come again.
  if (visitor.session === null && cookieOf(request) !== null) {
    response.setHeader("set-cookie", setCookie(null, tls !== undefined, 0));
  }
  access.checkSite(request, visitor);
  const { route, params } = router.match(method, path);
  if (route.needs !== null) access.checkRole(request, visitor, route.needs);
  const bytes = route.bodyBytes === undefined ? null : await readBody(request, route.bodyBytes);
  const json = () => parseJson(bytes ?? new Uint8Array());
  return route.handle({ params, json, visitor, address: addressOf(request), message: request });
}

function missing(files: StaticFiles): string {
  if (files.size > 0) return "there is nothing at this path";
  return "the page is missing from this installation (npm run page builds it); /api is served";
}

function failure(error: unknown, { method, url }: IncomingMessage, log: Log): DashboardReply {
  if (error instanceof RegistryError) {
    const { status, message, path } = error;
    return { status, body: { error: message, ...(path === undefined ? {} : { path }) } };
  }
  log.error("a request to the dashboard failed", { method, path: url?.split("?")[0], error });
  return { status: 500, body: { error: "internal error" } };
}
