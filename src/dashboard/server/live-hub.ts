import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../registry/log.ts";
import { RegistryError } from "../../registry/registry-error.ts";
import type { Timers } from "../../registry/timers.ts";
import type { MeshReport } from "../../sight/mesh-report.ts";
import { type Access, addressOf, factsOf } from "./access.ts";
import { LiveSession } from "./live-session.ts";
import type { MeshSight } from "./mesh-sight.ts";
import type { Refusals } from "./refusals.ts";

/** How often those who look get a report. */
const REPORT_MS = 2_000;
const MAX_SESSIONS = 100;
/** Pages of one address. */
const MAX_OF_ADDRESS = 32;
const MAX_MESSAGE_BYTES = 16_384;
/** From this size on messages are compressed. */
const COMPRESSED_BYTES = 65_536;

export interface LiveHubOptions {
  readonly access: Access;
  readonly sight: MeshSight;
  readonly refusals: Refusals;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** What a page may have unsent before it is dropped. */
  readonly maxBufferedBytes?: number;
  /** Interval of pings; who answers none until the next is dropped. */
  readonly pingMs?: number;
}

/** The pages that look on, over `/api/live`. As long as there is none nobody is asked for a report. */
export class LiveHub {
  readonly #options: LiveHubOptions;
  readonly #sessions = new Set<LiveSession>();
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    // Without a memory of former messages: that would take 300 KiB for each page.
    perMessageDeflate: {
      threshold: COMPRESSED_BYTES,
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
      concurrencyLimit: 2,
    },
  });
  #unwatch: (() => void) | null = null;
  #newest: string | null = null;

  constructor(options: LiveHubOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Takes a handshake, or answers why not. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { access, log } = this.#options;
    try {
      access.checkHost(request);
      const [path] = (request.url ?? "").split("?");
      if (path !== "/api/live") throw new RegistryError(404, "there is no WebSocket at this path");
      access.checkSocket(request);
      const visitor = access.visitorOf(request);
      access.checkRole(request, visitor, "viewer");
      this.#checkRoom(request);
    } catch (error) {
      refuse(socket, error, log);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (client) => this.#begin(client, request));
  }

  close(): void {
    this.#unwatch?.();
    for (const session of this.#sessions) session.end(1001, "the registry stops");
    this.#server.close();
  }

  #checkRoom(request: IncomingMessage): void {
    const address = addressOf(request);
    const own = [...this.#sessions].filter((session) => session.address === address).length;
    if (this.#sessions.size < MAX_SESSIONS && own < MAX_OF_ADDRESS) return;
    const message = "too many pages are open: close some";
    this.#options.access.refuse("too many connections", request, 503, message);
  }

  #begin(client: WebSocket, request: IncomingMessage): void {
    const { access, sight, refusals, clock, timers, maxBufferedBytes, pingMs } = this.#options;
    const facts = factsOf(request);
    const session = new LiveSession({
      ...{ client, sight, clock, timers, address: addressOf(request) },
      maxBufferedBytes: maxBufferedBytes ?? 16_777_216,
      pingMs: pingMs ?? 15_000,
      visitor: () => access.visitorOf(request),
      refused: (reason) => refusals.count(reason, facts),
      audit: (what, filter) => this.#audit(request, what, filter),
      ended: () => this.#leave(session),
    });
    this.#sessions.add(session);
    client.on("message", (data: RawData, isBinary) => session.take(data, isBinary));
    if (this.#newest !== null) session.send(this.#newest);
    else this.#first(session);
    this.#unwatch ??= sight.watch(REPORT_MS, (report) => this.#report(report));
  }

  /** Who opens a page does not want to wait for the next round. */
  #first(session: LiveSession): void {
    const { sight, log } = this.#options;
    sight.report().then(
      (report) => session.send(textOf(report)),
      (error: unknown) => {
        log.debug("no report could be had", { error });
        session.fail("no report can be had at present");
      },
    );
  }

  #report(report: MeshReport): void {
    // Made once for all.
    this.#newest = textOf(report);
    for (const session of this.#sessions) session.look(this.#newest);
  }

  #leave(session: LiveSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    this.#unwatch?.();
    this.#unwatch = null;
    this.#newest = null;
  }

  #audit(request: IncomingMessage, what: string, filter: object): void {
    const { user } = this.#options.access.visitorOf(request);
    const who = user === "" ? "operator" : user;
    this.#options.log.info("dashboard tap", { user: who, from: addressOf(request), what, filter });
  }
}

function textOf(report: MeshReport): string {
  return JSON.stringify({ type: "report", report });
}

/** An answer of HTTP in place of the handshake. */
function refuse(socket: Duplex, error: unknown, log: Log): void {
  if (!(error instanceof RegistryError)) log.error("a page could not be taken", { error });
  const { status, message } =
    error instanceof RegistryError ? error : { status: 500, message: "internal error" };
  const body = `${JSON.stringify({ error: message })}\n`;
  const head = [
    `HTTP/1.1 ${status} Refused`,
    "connection: close",
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  // Whoever never ends its own direction must not keep the connection.
  socket.once("finish", () => socket.destroy());
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
