import { setImmediate as nextTurn } from "node:timers/promises";
import type { RawData, WebSocket } from "ws";
import type { Clock } from "../core/clock.ts";
import { bucketNames } from "./buckets.ts";
import type { Caller } from "./caller.ts";
import type { Catalog } from "./catalog.ts";
import type { Log } from "./log.ts";
import type { DaemonStatus } from "./parts.ts";
import { isBehind, type Position } from "./position.ts";
import { type ClientMessage, clientMessage, readMessage, type ServerMessage } from "./protocol.ts";
import type { CheckResult } from "./schema.ts";
import { DaemonQuestions } from "./sight/daemon-questions.ts";
import type { Timers } from "./timers.ts";
import type { Transfer } from "./transfer.ts";
import type { Transfers } from "./transfers.ts";

/** Resyncs in a row without an acknowledgement after which a daemon is cut off and must reconnect. */
const MAX_RESYNCS = 5;

/** From a goodbye until the end of the connection. */
export const GOODBYE_MS = 1_000;
/** A position moves on without a commit too: it is looked at so often while a daemon waits. */
const LOOK_MS = 100;

export type Hello = Extract<ClientMessage, { type: "hello" }>;

/** The other end of a watch. */
export interface WatchPeer {
  /** Address and port. */
  readonly name: string;
  readonly address: string;
  /** As of now: a certificate may expire, or its authority go. */
  caller(): Caller;
}

export interface SessionParts {
  readonly catalog: Catalog;
  readonly transfers: Transfers;
  readonly epoch: string;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly pingMs: number;
  /** Longest wait for the answer to an update. */
  readonly answerMs: number;
  /** A daemon with more than this unsent is cut off; it reconnects and says what it holds. */
  readonly maxBufferedBytes: number;
  /** How long a daemon that holds something newer waits for this registry to come up to it. */
  readonly behindMs: number;
  /** Up to where of each kind the catalog is complete. */
  reach(): Position;
  results(host: string, results: readonly CheckResult[]): void;
  greeted(hello: Hello, address: string): void;
  acknowledged(host: string, revision: number): void;
  certificates(host: string, issuers: readonly string[]): void;
}

/**
 * One daemon's watch. At most one update is under way: the next is made when the daemon has answered, out
 * of everything that happened meanwhile, so that a slow daemon costs one step and never a queue.
 */
export class WatchSession {
  readonly #socket: WebSocket;
  readonly #parts: SessionParts;
  readonly #peer: WatchPeer;
  readonly #connectedMs: number;
  readonly #questions: DaemonQuestions;
  #hello: Hello | null = null;
  /** What the daemon holds. */
  #held = 0;
  #needsSnapshot = false;
  /** A shared snapshot must be of a later revision: an older one may lack what the daemon holds. */
  #afterRevision = 0;
  /** Until then it is sent nothing older than what it holds; null: nothing keeps it waiting. */
  #waitsUntilMs: number | null = null;
  /** Revision of the update that awaits its answer. */
  #underWay: number | null = null;
  #refusal: { revision: number; reason: string } | null = null;
  #resyncs = 0;
  #resyncsInRow = 0;
  #pumping = false;
  #heardMs: number;
  /** When it last came closer to the newest revision, or that moved away from it. */
  #closerMs: number;
  #cancelTimeout: () => void;

  constructor(socket: WebSocket, peer: WatchPeer, parts: SessionParts) {
    this.#socket = socket;
    this.#peer = peer;
    this.#parts = parts;
    this.#connectedMs = parts.clock.now();
    this.#heardMs = this.#connectedMs;
    this.#closerMs = this.#connectedMs;
    this.#questions = new DaemonQuestions((message) => this.#send(message), parts.timers);
    this.#cancelTimeout = parts.timers.after(parts.answerMs, () =>
      this.#cut("it never said hello"),
    );
    socket.on("message", (data: RawData, isBinary: boolean) => this.#receive(data, isBinary));
    for (const sign of ["ping", "pong"] as const) socket.on(sign, () => this.#heard());
    socket.on("close", () => {
      this.#cancelTimeout();
      this.#questions.close("the daemon is gone");
    });
    socket.on("error", (error) =>
      this.#parts.log.debug("a watch failed", { peer: peer.name, error }),
    );
  }

  /** Null before its hello. */
  status(): DaemonStatus | null {
    if (this.#hello === null) return null;
    const now = this.#parts.clock.now();
    return {
      host: this.#hello.host,
      zone: this.#hello.zone,
      version: this.#hello.version,
      peer: this.#peer.name,
      revision: this.#held,
      connectedMs: Math.round(now - this.#connectedMs),
      silentMs: Math.round(now - this.#heardMs),
      bufferedBytes: this.#socket.bufferedAmount,
      behindMs: this.#held < this.#parts.catalog.revision() ? Math.round(now - this.#closerMs) : 0,
      resyncs: this.#resyncs,
      refusal: this.#refusal,
    };
  }

  /** Null: it answers none, or has not said hello. */
  questions(): DaemonQuestions | null {
    return this.#hello?.takes?.includes("ask") === true ? this.#questions : null;
  }

  /** The catalog moved on. */
  advance(): void {
    if (this.#underWay === null && !this.#pumping) this.#closerMs = this.#parts.clock.now();
    if (this.#hello !== null) this.#pump();
  }

  /** Sends the checks that its host shall run, if they are among those that changed. */
  advanceChecks(hosts: ReadonlySet<string>): void {
    if (this.#hello !== null && hosts.has(this.#hello.host)) this.#sendChecks(this.#hello.host);
  }

  /** Drops a silent, overfull or no longer trusted peer, else pings it; to be called every `pingMs`. */
  beat(): void {
    const { clock, pingMs, maxBufferedBytes } = this.#parts;
    const caller = this.#peer.caller();
    if (caller.role === "anonymous") this.#cut(caller.reason ?? "it has no certificate");
    else if (clock.now() - this.#heardMs > 3 * pingMs) this.#cut("it is silent");
    else if (this.#socket.bufferedAmount > maxBufferedBytes) this.#cut("it reads too slowly");
    else if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  /** Sends the digest where the daemon holds the newest revision, and nothing is under way. */
  compare(message: Buffer): void {
    const isServed = this.#hello !== null && this.#waitsUntilMs === null;
    const settled = isServed && this.#underWay === null && !this.#pumping;
    if (settled && this.#held === this.#parts.catalog.revision()) this.#sendNow(message);
  }

  /** Says goodbye: the daemon goes to another registry, or comes back. */
  dismiss(reason: string): void {
    this.#cancelTimeout();
    this.#socket.close(1001, reason);
    // The close handshake is a courtesy: who does not answer must not hold anybody up.
    this.#cancelTimeout = this.#parts.timers.after(GOODBYE_MS, () => this.#socket.terminate());
  }

  /** Ends it without more words. */
  end(): void {
    this.#cancelTimeout();
    this.#socket.terminate();
  }

  #heard(): void {
    this.#heardMs = this.#parts.clock.now();
  }

  #cut(reason: string): void {
    const { log } = this.#parts;
    log.info("a daemon is cut off", { host: this.#hello?.host, peer: this.#peer.name, reason });
    this.#socket.terminate();
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#heard();
    try {
      // ws hands over one Buffer unless told otherwise.
      if (!Buffer.isBuffer(data)) throw new Error("a fragmented message");
      this.#handle(readMessage(clientMessage, data, isBinary));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#parts.log.warn("a daemon sent what is not of the protocol", {
        peer: this.#peer.name,
        reason,
      });
      this.#socket.close(1008, "not of the protocol");
      this.#cancelTimeout();
      this.#cancelTimeout = this.#parts.timers.after(1_000, () => this.#socket.terminate());
    }
  }

  #handle(message: ClientMessage): void {
    if (message.type === "hello") this.#greet(message);
    else if (this.#hello === null) throw new Error("a message before the hello");
    else if (message.type === "ack") this.#acknowledge(message.revision);
    else if (message.type === "nack") this.#refuse(message);
    else if (message.type === "certificates")
      this.#parts.certificates(this.#hello.host, message.issuers);
    else if (message.type === "answer") this.#questions.take(message);
    else if (message.type === "results") this.#parts.results(this.#hello.host, message.results);
    else this.#resync(message.reason);
  }

  #greet(hello: Hello): void {
    if (this.#hello !== null) throw new Error("a second hello");
    const caller = this.#peer.caller();
    if (caller.role === "anonymous") throw new Error(caller.reason ?? "there is no certificate");
    if (caller.role === "host" && caller.host !== hello.host) {
      throw new Error(`its hello names ${hello.host}, its certificate ${caller.host}`);
    }
    const { catalog, epoch, pingMs, clock, behindMs } = this.#parts;
    this.#cancelTimeout();
    this.#hello = hello;
    this.#parts.greeted(hello, this.#peer.address);
    const takes = ["certificates", "answer"];
    this.#send({ type: "welcome", epoch, revision: catalog.revision(), pingMs, takes });
    this.#sendChecks(hello.host);
    this.#waitsUntilMs = clock.now() + behindMs;
    this.#serve(hello);
  }

  /** Begins to send, once this registry knows what the daemon knows: it must not go back in time. */
  #serve(hello: Hello): void {
    const { catalog, epoch, clock, timers, log } = this.#parts;
    const facts = { host: hello.host, peer: this.#peer.name };
    const waitMs = (this.#waitsUntilMs ?? 0) - clock.now();
    if (this.#isOlderThan(hello)) {
      if (waitMs > 0) {
        const delayMs = Math.min(LOOK_MS, waitMs);
        this.#cancelTimeout = timers.after(delayMs, () => this.#serve(hello));
        return;
      }
      log.warn("a daemon holds something newer, and waits for it no longer", facts);
    }
    this.#waitsUntilMs = null;
    const known = hello.epoch === epoch && hello.revision <= catalog.revision();
    if (hello.position !== undefined) this.#afterRevision = catalog.revision() - 1;
    this.#needsSnapshot = !known || hello.revision === 0;
    this.#held = known ? hello.revision : 0;
    log.info("a daemon watches", { ...facts, revision: this.#held });
    this.#parts.acknowledged(hello.host, this.#held);
    this.#pump();
  }

  #isOlderThan({ epoch, revision, position = {} }: Hello): boolean {
    const { catalog, epoch: own } = this.#parts;
    if (epoch === own) return catalog.revision() < revision;
    return isBehind(this.#parts.reach(), position);
  }

  #acknowledge(revision: number): void {
    // An answer may cross with a resync that made it void.
    if (revision !== this.#underWay) return;
    this.#answered();
    this.#held = revision;
    this.#closerMs = this.#parts.clock.now();
    this.#resyncsInRow = 0;
    this.#refusal = null;
    if (this.#hello !== null) this.#parts.acknowledged(this.#hello.host, revision);
    this.#pump();
  }

  /** It keeps what it had, and gets the step from there when a newer revision may mend the matter. */
  #refuse({ revision, reason }: { readonly revision: number; readonly reason: string }): void {
    if (revision !== this.#underWay) return;
    this.#answered();
    this.#refusal = { revision, reason };
    this.#parts.log.warn("a daemon refuses a revision", {
      host: this.#hello?.host,
      revision,
      reason,
    });
    this.#pump();
  }

  #resync(reason: string): void {
    this.#resyncs++;
    this.#resyncsInRow++;
    this.#parts.log.warn("a daemon lost track", { host: this.#hello?.host, reason });
    if (this.#resyncsInRow > MAX_RESYNCS) {
      this.#cut("it lost track again and again");
      return;
    }
    this.#answered();
    this.#needsSnapshot = true;
    this.#held = 0;
    this.#pump();
  }

  #answered(): void {
    this.#underWay = null;
    this.#cancelTimeout();
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#advance()
      .catch((error: unknown) => {
        if (this.#socket.readyState !== this.#socket.OPEN) return;
        this.#parts.log.error("an update could not be made", { host: this.#hello?.host, error });
        this.#cut("no update could be made");
      })
      .finally(() => {
        this.#pumping = false;
        // A commit may have come between the last look and here.
        if (this.#isDue()) this.#pump();
      });
  }

  #isDue(): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN || this.#underWay !== null) return false;
    if (this.#waitsUntilMs !== null) return false;
    const revision = this.#parts.catalog.revision();
    // A refused revision is not sent again: only a newer one may mend the matter.
    if (this.#refusal !== null && revision <= this.#refusal.revision) return false;
    return this.#needsSnapshot || this.#held < revision;
  }

  async #advance(): Promise<void> {
    if (!this.#isDue()) return;
    const { transfers } = this.#parts;
    const delta = this.#needsSnapshot ? null : await transfers.delta(this.#held);
    if (delta !== null && this.#needsSnapshot) return;
    if (delta !== null) {
      await this.#sendTransfer(delta);
      return;
    }
    const after = Math.max(this.#afterRevision, this.#refusal?.revision ?? 0);
    const snapshot = transfers.acquireSnapshot(after);
    try {
      this.#needsSnapshot = false;
      await this.#sendTransfer(snapshot);
    } finally {
      transfers.release(snapshot);
    }
  }

  async #sendTransfer(transfer: Transfer): Promise<void> {
    this.#underWay = transfer.to;
    // A resync voids what is under way: the rest of it need not be sent.
    for (let index = 0; this.#underWay === transfer.to; index++) {
      const part = transfer.part(index);
      if (part === undefined) return;
      this.#expectProgress();
      // Waits until the part has left the process: that is the back-pressure of a slow reader.
      await this.#sendAndWait(part);
      await nextTurn();
    }
  }

  /** Cuts the daemon off unless the next part goes out, or the answer comes in, within `answerMs`. */
  #expectProgress(): void {
    const { timers, answerMs } = this.#parts;
    this.#cancelTimeout();
    this.#cancelTimeout = timers.after(answerMs, () => this.#cut("it does not take an update"));
  }

  #sendAndWait(part: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.send(part, { binary: false }, (error) => (error ? reject(error) : resolve()));
    });
  }

  #sendChecks(host: string): void {
    const { catalog } = this.#parts;
    const checks = [...catalog.members(bucketNames.probesOfHost(host))]
      .map((key) => catalog.get("check", key))
      .filter((check) => check !== undefined)
      .map(({ id, endpoint, spec, status }) => ({ id, host, endpoint, spec, status }));
    this.#send({ type: "checks", checks });
  }

  #send(message: ServerMessage): void {
    this.#sendNow(Buffer.from(JSON.stringify(message)));
  }

  #sendNow(message: Buffer): void {
    if (this.#socket.bufferedAmount > this.#parts.maxBufferedBytes)
      this.#cut("it reads too slowly");
    else this.#socket.send(message, { binary: false });
  }
}
