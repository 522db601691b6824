import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { Clock } from "../core/clock.ts";
import { type Caller, OPERATOR, refuseOthers } from "./caller.ts";
import type { Catalog } from "./catalog.ts";
import type { Log } from "./log.ts";
import type { DaemonStatus } from "./parts.ts";
import type { Position } from "./position.ts";
import { MAX_CLIENT_MESSAGE_BYTES } from "./protocol.ts";
import { RegistryError } from "./registry-error.ts";
import type { CheckResult } from "./schema.ts";
import { refuseForeignOrigin } from "./server.ts";
import type { DaemonQuestions } from "./sight/daemon-questions.ts";
import type { Store } from "./store.ts";
import type { Timers } from "./timers.ts";
import { Transfers } from "./transfers.ts";
import { GOODBYE_MS, type Hello, type SessionParts, WatchSession } from "./watch-session.ts";

export interface WatchHubOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly pingMs: number;
  /** Interval of digest comparisons. */
  readonly digestMs?: number;
  readonly answerMs?: number;
  readonly maxBufferedBytes?: number;
  /** Daemons that may watch at once; beyond it 503. */
  readonly maxWatchers?: number;
  results(host: string, results: readonly CheckResult[]): void;
  /** A daemon has said who it is, from this address. */
  greeted(hello: Hello, address: string): void;
  /** A daemon holds this revision now. */
  acknowledged(host: string, revision: number): void;
  /** The authorities of the certificates that a host uses, as its daemon says. */
  certificates?(host: string, issuers: readonly string[]): void;
  /** The newest change of each kind that the catalog's present state holds; absent: it is no cluster's. */
  position?(): Position;
  /** Up to where of each kind that state is complete; absent: up to its newest change. */
  reach?(): Position;
  /** How long a daemon that holds something newer waits. */
  readonly behindMs?: number;
}

export interface WatchedDaemon {
  readonly status: DaemonStatus;
  /** Null: its version answers none. */
  readonly questions: DaemonQuestions | null;
}

/** All watching daemons: tells each what changed, and knows what each holds. */
export class WatchHub {
  readonly #options: WatchHubOptions;
  readonly #session: SessionParts;
  readonly #sessions = new Set<WatchSession>();
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_CLIENT_MESSAGE_BYTES,
    perMessageDeflate: false,
  });
  readonly #unsubscribe: () => void;
  readonly #cancels = new Map<string, () => void>();
  #isClosing = false;
  #whenLeft: () => void = () => undefined;

  constructor(options: WatchHubOptions) {
    this.#options = options;
    const { catalog, store, clock, timers, log, pingMs } = options;
    const { position = () => ({}), certificates = () => undefined, behindMs = 10_000 } = options;
    const { reach = position } = options;
    this.#session = {
      catalog,
      transfers: new Transfers(catalog, store, position),
      epoch: store.epoch,
      clock,
      timers,
      log,
      pingMs,
      answerMs: options.answerMs ?? 30_000,
      maxBufferedBytes: options.maxBufferedBytes ?? 4_194_304,
      results: options.results,
      greeted: options.greeted,
      acknowledged: options.acknowledged,
      ...{ certificates, reach, behindMs },
    };
    this.#unsubscribe = catalog.subscribe(({ probeHosts }) => {
      for (const session of this.#sessions) {
        session.advance();
        if (probeHosts.size > 0) session.advanceChecks(probeHosts);
      }
    });
    this.#repeat("beat", pingMs, () => this.#beat());
    this.#repeat("digest", options.digestMs ?? 60_000, () => this.#compare());
  }

  daemons(): DaemonStatus[] {
    const all = [...this.#sessions].map((session) => session.status());
    return all.filter((status) => status !== null).sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** The daemons that watch; of a host whose daemon is being replaced, the newer one. */
  watched(): ReadonlyMap<string, WatchedDaemon> {
    const byHost = new Map<string, WatchedDaemon>();
    for (const session of this.#sessions) {
      const status = session.status();
      if (status !== null) byHost.set(status.host, { status, questions: session.questions() });
    }
    return byHost;
  }

  /** Takes a WebSocket handshake, or answers it with an error. `callerOf` is asked again while the watch lasts. */
  upgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    callerOf: (request: IncomingMessage) => Caller = () => OPERATOR,
  ): void {
    try {
      refuseForeignOrigin(request);
      refuseOthers(callerOf(request), ["host"]);
      const path = (request.url ?? "").split("?")[0];
      if (path !== "/v1/mesh/watch") throw new RegistryError(404, "there is no watch at this path");
      if (this.#isClosing) throw new RegistryError(503, "the registry is closing");
      if (this.#sessions.size >= (this.#options.maxWatchers ?? 4_096)) {
        throw new RegistryError(503, "too many daemons are watching");
      }
    } catch (error) {
      const { status, message } = error as RegistryError;
      const body = `${JSON.stringify({ error: message })}\n`;
      socket.end(
        `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        () => socket.destroy(),
      );
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const { remoteAddress: address = "", remotePort } = request.socket;
      const caller = () => callerOf(request);
      const peer = { name: `${address}:${remotePort}`, address, caller };
      const session = new WatchSession(webSocket, peer, this.#session);
      this.#sessions.add(session);
      webSocket.once("close", () => {
        this.#sessions.delete(session);
        if (this.#sessions.size === 0) this.#whenLeft();
      });
    });
  }

  /** Asks the daemon of a host to watch another registry. */
  dismiss(host: string, reason: string): void {
    for (const session of this.#sessions) {
      if (session.status()?.host === host) session.dismiss(reason);
    }
  }

  /** Says goodbye, so that daemons move before this registry is gone; ends when they have, or after a second. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#unsubscribe();
    for (const cancel of this.#cancels.values()) cancel();
    for (const session of this.#sessions) session.dismiss("the registry is closing");
    await this.#left();
    for (const session of this.#sessions) session.end();
    this.#server.close();
  }

  /** Resolves when nobody watches any more, or it took too long. */
  async #left(): Promise<void> {
    if (this.#sessions.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.timers.after(GOODBYE_MS, resolve);
    this.#whenLeft = resolve;
    await promise;
    cancel();
  }

  #beat(): void {
    for (const session of this.#sessions) session.beat();
  }

  #compare(): void {
    const { catalog } = this.#options;
    const message = { type: "digest", revision: catalog.revision(), digest: catalog.digest() };
    const encoded = Buffer.from(JSON.stringify(message));
    for (const session of this.#sessions) session.compare(encoded);
  }

  #repeat(name: string, everyMs: number, task: () => void): void {
    const arm = () => {
      const cancel = this.#options.timers.after(everyMs, () => {
        task();
        arm();
      });
      this.#cancels.set(name, cancel);
    };
    arm();
  }
}
