import { isIPv6, type LookupFunction } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { type RawData, WebSocket } from "ws";
import type { Clock } from "../core/clock.ts";
import {
  type ClientMessage,
  MAX_SERVER_MESSAGE_BYTES,
  readMessage,
  type ServerMessage,
  serverMessage,
} from "./protocol.ts";
import type { Timers } from "./timers.ts";

/** From the dial to the welcome. */
const WELCOME_MS = 10_000;
/** Node's names for what OpenSSL finds wrong with a chain. */
const CERTIFICATE_FAULT = /CERT|SIGNED|VERIFY|ISSUER|^ERR_SSL_TLSV1_ALERT_UNKNOWN_CA/;
/** How ws tells of an answer to its upgrade that is none. */
const REFUSED = /^Unexpected server response: 401$/;
/** RFC 6455, section 7.4.1: the endpoint goes away. */
const GOING_AWAY = 1001;
/** What waits to be sent, at most; a registry that takes no more is as good as gone. */
const MAX_BUFFERED_BYTES = 16_777_216;

/**
 * Why a connection is over: the registry asked to go to another one, one of the two does not trust the other, or anything
 * else.
 */
export type Ending = "dismissed" | "distrusted" | "lost";

export interface WatchConnectionOptions {
  /** Base URL of the registry. */
  readonly url: string;
  /** Which of the addresses of the URL's name; null: whatever it leads to. */
  readonly address: string | null;
  /** For an https URL; absent: the system's authorities and the host's name count. */
  readonly tls?: ConnectionOptions;
  readonly clock: Clock;
  readonly timers: Timers;
  hello(): ClientMessage;
  /** May throw: the connection is then closed with that reason. */
  receive(message: ServerMessage): void;
  /** Any sign of life. */
  heard(): void;
  /** Called once, when the connection is over. */
  closed(reason: string, ending: Ending): void;
}

/** One WebSocket to one registry: handshake, heartbeats, and messages checked before anybody sees them. */
export class WatchConnection {
  readonly #options: WatchConnectionOptions;
  readonly #socket: WebSocket;
  #heardMs: number;
  #cancel: () => void;
  #over = false;

  constructor(options: WatchConnectionOptions) {
    this.#options = options;
    const { url, address, clock, timers, tls = {} } = options;
    this.#heardMs = clock.now();
    const target = new URL("v1/mesh/watch", url.endsWith("/") ? url : `${url}/`);
    target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
    this.#socket = new WebSocket(target, {
      ...(target.protocol === "wss:" ? tls : {}),
      ...(address === null ? {} : { lookup: answerWith(address) }),
      maxPayload: MAX_SERVER_MESSAGE_BYTES,
      perMessageDeflate: false,
      followRedirects: false,
    });
    this.#cancel = timers.after(WELCOME_MS, () => this.close("no welcome in time"));
    this.#socket.on("open", () => this.send(options.hello()));
    this.#socket.on("message", (data: RawData, isBinary: boolean) => this.#receive(data, isBinary));
    for (const sign of ["ping", "pong"] as const) this.#socket.on(sign, () => this.#heard());
    this.#socket.on("error", (error) =>
      this.close(error.message, isDistrust(error) ? "distrusted" : "lost"),
    );
    this.#socket.on("close", (code, reason) =>
      this.close(`closed (${code}) ${reason}`.trim(), code === GOING_AWAY ? "dismissed" : "lost"),
    );
  }

  send(message: ClientMessage): void {
    if (this.#over || this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES)
      this.close("the registry reads too slowly");
    else this.#socket.send(JSON.stringify(message));
  }

  /** Resolves when the message has left this process, or nobody is there to take it. */
  sendAndWait(message: ClientMessage): Promise<void> {
    if (this.#over || this.#socket.readyState !== WebSocket.OPEN) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.send(JSON.stringify(message), () => resolve());
    });
  }

  close(reason: string, ending: Ending = "lost"): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancel();
    this.#socket.terminate();
    this.#options.closed(reason, ending);
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#over) return;
    this.#heard();
    try {
      // ws hands over one Buffer unless told otherwise.
      if (!Buffer.isBuffer(data)) throw new Error("a fragmented message");
      const message = readMessage(serverMessage, data, isBinary);
      if (message.type === "welcome") this.#beat(message.pingMs);
      this.#options.receive(message);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.close(`a message that is not of the protocol: ${reason}`);
    }
  }

  #heard(): void {
    this.#heardMs = this.#options.clock.now();
    this.#options.heard();
  }

  #beat(pingMs: number): void {
    this.#cancel();
    this.#cancel = this.#options.timers.after(pingMs, () => {
      if (this.#options.clock.now() - this.#heardMs > 3 * pingMs) {
        this.close("the registry is silent");
        return;
      }
      this.#socket.ping();
      this.#beat(pingMs);
    });
  }
}

/** The handshake of TLS says that a certificate is not believed, or the answer to the upgrade that ours is not. */
function isDistrust(error: Error): boolean {
  const { code = "" } = error as NodeJS.ErrnoException;
  return CERTIFICATE_FAULT.test(code) || REFUSED.test(error.message);
}

/** Connects to this address, while the name stays what the peer is asked for. */
function answerWith(address: string): LookupFunction {
  const family = isIPv6(address) ? 6 : 4;
  return (_, { all }, done) => {
    if (all === true) done(null, [{ address, family }]);
    else done(null, address, family);
  };
}
