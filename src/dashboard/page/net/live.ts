import type { TapFilter, TapItem } from "../../../sight/tap-event.ts";
import type { PageReport } from "./types.ts";

export type LiveState =
  | { readonly is: "connecting" }
  | { readonly is: "live" }
  /** The next attempt is at `retryAtMs` of performance.now(). */
  | { readonly is: "broken"; readonly retryAtMs: number }
  /** Nobody looks at the page: nothing is asked for. */
  | { readonly is: "asleep" };

export interface LiveListener {
  onState(state: LiveState): void;
  onReport(report: PageReport): void;
  onTap(item: TapItem): void;
  /** The server ended the tap; null: its time is over. */
  onTapEnd(reason: string | null): void;
  onError(message: string): void;
}

type Message =
  | { readonly type: "report"; readonly report: PageReport }
  | { readonly type: "tap"; readonly item: TapItem }
  | { readonly type: "tap-end"; readonly reason: string | null }
  | { readonly type: "error"; readonly message: string };

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
/** Reports come every 2 s: a socket that is silent for so long is dead, though nobody told. */
const SILENCE_MS = 10_000;

/** The socket to the page's server: it comes again after each loss, with a tap that runs. */
export class Live {
  readonly #url: string;
  readonly #listener: LiveListener;
  #socket: WebSocket | null = null;
  #timer = 0;
  #watchdog = 0;
  #failures = 0;
  #filter: TapFilter | null = null;
  #isAsleep = false;

  constructor(url: string, listener: LiveListener) {
    this.#url = url;
    this.#listener = listener;
  }

  start(): void {
    this.#isAsleep = false;
    if (this.#socket === null) this.#connect();
  }

  /** Ends the connection until `start`; the reason is told as the state. */
  sleep(): void {
    this.#isAsleep = true;
    clearTimeout(this.#timer);
    this.#drop();
    this.#listener.onState({ is: "asleep" });
  }

  tap(filter: TapFilter): void {
    this.#filter = filter;
    this.#send({ type: "tap", filter });
  }

  endTap(): void {
    this.#filter = null;
    this.#send({ type: "tap-end" });
  }

  #connect(): void {
    this.#listener.onState({ is: "connecting" });
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#listen();
    socket.onopen = () => {
      this.#listen();
      if (this.#filter !== null) this.#send({ type: "tap", filter: this.#filter });
    };
    socket.onmessage = ({ data }) => {
      this.#listen();
      this.#take(data);
    };
    socket.onclose = () => this.#lost();
  }

  #take(data: unknown): void {
    if (typeof data !== "string") return;
    const message = JSON.parse(data) as Message;
    if (message.type === "tap") this.#listener.onTap(message.item);
    else if (message.type === "tap-end") {
      this.#filter = null;
      this.#listener.onTapEnd(message.reason);
    } else if (message.type === "error") this.#listener.onError(message.message);
    else if (message.type === "report") {
      // Only what came proves that the connection is good: some proxies open sockets and close them at once.
      this.#failures = 0;
      this.#listener.onState({ is: "live" });
      this.#listener.onReport(message.report);
    }
  }

  #listen(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = window.setTimeout(() => this.#lost(), SILENCE_MS);
  }

  #lost(): void {
    if (this.#socket === null || this.#isAsleep) return;
    this.#drop();
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Half is left to chance: all pages come back when a server does, not at once.
    const waitMs = longest * (0.5 + Math.random() / 2);
    this.#listener.onState({ is: "broken", retryAtMs: performance.now() + waitMs });
    this.#timer = window.setTimeout(() => this.#connect(), waitMs);
  }

  #drop(): void {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
