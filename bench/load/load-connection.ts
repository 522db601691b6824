import { connect, type NetConnectOpts, type Socket } from "node:net";
import type { Target } from "../model.ts";
import type { AnswerReader } from "./answer.ts";
import type { Carrier, CarrierOwner, Lane } from "./lane.ts";
import { ConnectAnswer } from "./tcp-answer.ts";

/** Large enough that bodies of 1 MiB need few reads; one for all connections, since no byte is kept. */
const buffer = Buffer.allocUnsafeSlow(262_144);

/** One connection of the load, with at most one request under way. Nothing is made anew for a request. */
export class LoadConnection implements Carrier, Lane {
  /** Whose requests it carries; the owner's business. */
  readonly group: number;
  /** When the request under way should have been sent, in milliseconds of `performance.now()`. */
  intended = 0;
  /** When it was sent, the connection opened, or else when the connection became idle. */
  since = performance.now();
  /** Has it carried an answer? */
  hasServed = false;
  /** What the system said when it could not be opened; else empty. */
  reason = "";
  readonly #target: Target;
  readonly #answer: AnswerReader;
  readonly #owner: CarrierOwner;
  readonly #socket: Socket;
  #connectAnswer: ConnectAnswer | null;
  #state: "opening" | "idle" | "asked" | "gone" = "opening";

  constructor(target: Target, group: number, answer: AnswerReader, owner: CarrierOwner) {
    this.group = group;
    this.#target = target;
    this.#answer = answer;
    this.#owner = owner;
    this.#connectAnswer = target.connect ? new ConnectAnswer() : null;
    const { host, port, from } = target;
    const own = from === undefined ? {} : { localAddress: from };
    const onread = { buffer, callback: (length: number) => this.#onRead(length) };
    this.#socket = connect({ host, port, ...own, noDelay: true, onread } as NetConnectOpts);
    this.#socket.once("connect", () => this.#onConnect());
    this.#socket.once("end", () => this.fail("closed"));
    this.#socket.once("error", (error: NodeJS.ErrnoException) => this.#onError(error));
    this.#socket.once("close", () => this.fail("closed"));
  }

  get isIdle(): boolean {
    return this.#state === "idle";
  }

  get lanes(): readonly Lane[] {
    return [this];
  }

  giveUpLate(late: number): void {
    const isWaiting = this.#state === "asked" || this.#state === "opening";
    if (isWaiting && this.since < late) this.fail("timeout");
  }

  /** Sends a request. To be called only while the connection is idle. */
  send(request: string, intended: number, now: number): void {
    this.#state = "asked";
    this.intended = intended;
    this.since = now;
    this.#socket.write(request, "latin1");
  }

  /** Gives up the connection, and tells the owner, if it does not know. */
  fail(kind: string): void {
    if (this.#state === "gone") return;
    const state = this.#state;
    const seen = state === "opening" && kind === "closed" ? "connect" : kind;
    this.discard();
    const isQuiet = state === "idle" && kind === "closed";
    this.#owner.onGone(this, isQuiet ? null : seen, state === "asked" ? [this] : []);
  }

  /** Ends it without telling anybody. */
  discard(): void {
    this.#state = "gone";
    this.#socket.destroy();
  }

  #onConnect(): void {
    const { authority } = this.#target;
    if (this.#connectAnswer === null) this.#open();
    else
      this.#socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`, "latin1");
  }

  #open(): void {
    this.#state = "idle";
    this.since = performance.now();
    this.#owner.onOpen(this);
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#state === "opening") {
      this.reason = error.message;
      this.fail("connect");
    }
    // The same as a FIN for a connection without a request: the server did not want it any longer.
    else if (this.#state === "idle") this.fail("closed");
    else this.fail(error.code === "ECONNRESET" || error.code === "EPIPE" ? "reset" : "broken");
  }

  #onRead(length: number): boolean {
    if (this.#state === "asked") {
      const progress = this.#answer.read(buffer, length);
      if (progress === "more") return true;
      if (progress === "whole" || progress === "last") {
        this.#state = "idle";
        this.hasServed = true;
        const isLast = progress === "last";
        this.#owner.onAnswer(this, !isLast);
        if (isLast) {
          this.discard();
          this.#owner.onGone(this, null, []);
        }
      } else this.fail(progress);
    } else if (this.#state === "opening" && this.#connectAnswer !== null) {
      this.#onConnectAnswer(this.#connectAnswer.read(buffer, length));
    } else this.fail("garbled");
    return this.#state !== "gone";
  }

  #onConnectAnswer(progress: string): void {
    if (progress === "more") return;
    this.#connectAnswer = null;
    if (progress === "whole") this.#open();
    else this.fail(progress);
  }
}
