import type { Clock } from "../../core/clock.ts";
import type { Deadlines, Expirable } from "../../core/deadlines.ts";
import type { Http2Count } from "../../core/http2.ts";
import type { ConnHandler } from "../carrier.ts";
import type { Conn } from "../conn.ts";
import { AbuseBudget } from "./abuse-budget.ts";
import { DEFAULT_FRAME_BYTES, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR } from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import type { FrameHandler } from "./frame-handler.ts";
import { FrameReader } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { Outbox } from "./outbox.ts";
import { SessionWatch } from "./session-watch.ts";
import { PeerSettings, type SessionLimits, settingsOf } from "./settings.ts";
import type { Stream } from "./stream.ts";
import { Streams, type StreamsOwner } from "./streams.ts";

export interface SessionDeps {
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Is told what is counted. */
  readonly count?: (what: Http2Count, code: number) => void;
}

export type Side = "client" | "server";

/**
 * - `open`: frames are exchanged
 * - `closing`: GOAWAY and FIN are sent; what the peer still sends is thrown away, so that it can read them
 * - `closed`: over
 */
export type SessionState = "open" | "closing" | "closed";

/** Frames of one field block: more are a CONTINUATION flood (VU#421644). nghttp2 allows 8 as well. */
const MAX_CONTINUATIONS = 8;

/**
 * One end of an HTTP/2 connection (RFC 9113): its settings, its errors and its end. What client and server do differently
 * is in `ClientSession` and `ServerSession`. It knows nothing of what is exchanged.
 *
 * Content that is received is handed over during the call and kept by nobody here. Content that is sent waits in its
 * stream while windows or the connection do not take it.
 */
export abstract class Session implements ConnHandler, Expirable, FrameHandler, StreamsOwner {
  readonly conn: Conn;
  readonly peer: PeerSettings;
  deadlineMs: number;
  protected readonly deps: SessionDeps;
  protected readonly outbox: Outbox;
  protected readonly streams: Streams;
  protected readonly budget: AbuseBudget;
  protected readonly watch: SessionWatch;
  /** Is the field section that is being read the very list that one before it was? */
  protected headRepeats = false;
  readonly #isServer: boolean;
  readonly #reader: FrameReader;
  readonly #decoder: HpackDecoder;
  #state: SessionState = "open";
  #isGreeted = false;
  #isAcked = false;
  /** Reading waits until the peer has taken what it was sent. */
  #isHeld = false;
  #error: Error | null = null;

  constructor(conn: Conn, side: Side, deps: SessionDeps) {
    const { limits, clock } = deps;
    this.conn = conn;
    this.deps = deps;
    this.#isServer = side === "server";
    this.peer = new PeerSettings(this.#isServer ? "client" : "server");
    this.outbox = new Outbox(conn);
    this.budget = new AbuseBudget(limits, clock);
    this.watch = new SessionWatch(limits);
    const { outbox, peer, budget } = this;
    this.streams = new Streams({ conn, outbox, limits, clock, peer, budget, owner: this });
    this.#reader = new FrameReader(this, {
      frameBytes: DEFAULT_FRAME_BYTES,
      // What is larger than a head may be is still decoded, and answered, up to here.
      blockBytes: 2 * limits.headBytes,
      continuations: MAX_CONTINUATIONS,
    });
    this.#decoder = new HpackDecoder({
      tableBytes: limits.tableBytes,
      listBytes: limits.headBytes,
      fields: limits.headerCount,
    });
    this.deadlineMs = this.watch.nextMs(clock.now());
    conn.handler = this;
    deps.deadlines.add(this);
  }

  /** Sends our SETTINGS, which are a server's preface and the rest of a client's (RFC 9113 section 3.4). */
  protected greet(): void {
    this.outbox.settings(settingsOf(this.deps.limits, this.#isServer ? "server" : "client"));
    this.streams.openWindow();
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Why it has ended, where that was for a fault of either side or by the loss of the connection. */
  get error(): Error | null {
    return this.#error;
  }

  get openStreams(): number {
    return this.streams.byId.size;
  }

  /** All that this side holds: what is on its way out, and what was received and not consumed. */
  get queuedBytes(): number {
    return this.outbox.pendingBytes + this.streams.queuedBytes;
  }

  /** Ends the connection at once: GOAWAY(`code`), then FIN. Streams that are open are lost. */
  close(code: number = NO_ERROR, reason = ""): void {
    if (this.#state !== "open") return;
    this.sayGoaway(this.lastPeerId(), code, reason);
    this.#shutDown(null);
  }

  /** The peer is told that streams above `lastId` are not taken on. */
  protected sayGoaway(lastId: number, code: number, reason: string): void {
    this.outbox.goaway(lastId, code, reason);
    this.deps.count?.("goaway-sent", code);
  }

  /** The highest stream of the peer that was taken on. */
  protected abstract lastPeerId(): number;

  /** Ends the connection for what was thrown (RFC 9113 section 5.4.1). */
  protected fail(reason: unknown): void {
    if (this.#state !== "open") return;
    const error = reason instanceof Error ? reason : new Error(String(reason));
    const isTheirs = error instanceof ConnectionError;
    // What went wrong in this process is not told to others.
    const debug = isTheirs ? error.message : "";
    const code = isTheirs ? error.code : INTERNAL_ERROR;
    this.sayGoaway(this.lastPeerId(), code, debug);
    this.deps.count?.("failed", code);
    this.#shutDown(error);
  }

  /** Sends FIN behind what is written, and gives the peer a moment to read it. */
  #shutDown(error: Error | null): void {
    this.#state = "closing";
    this.#error = error;
    this.streams.endAll();
    this.onClosing();
    this.outbox.flush();
    this.conn.end();
    this.#release();
    this.deadlineMs = this.watch.lingerMs(this.deps.clock.now());
  }

  /** No more streams from here on. */
  protected abstract onClosing(): void;

  /** The connection is gone. Called once, last. */
  protected abstract onEnd(error: Error | null): void;

  // ConnHandler

  onBytes(chunk: Buffer, end: number): void {
    if (this.#state !== "open") return;
    this.watch.reads += 1;
    try {
      this.receive(chunk, 0, end);
    } catch (error) {
      this.fail(error);
    }
    if (this.#isServer) this.#holdBack();
  }

  /** Reads frames. */
  protected receive(chunk: Buffer, start: number, end: number): void {
    this.#reader.read(chunk, start, end);
  }

  /**
   * A client that takes too little of what it asked for may ask for no more, be that answers or acknowledgements: so what
   * is queued for it is bounded, whatever it sends (CVE-2019-9512, 9515, 9517). A client's side never stops reading:
   * two that wait for each other would wait for ever.
   */
  #holdBack(): void {
    const { outbox } = this;
    if (this.#isHeld || this.#state !== "open" || !outbox.congested) return;
    if (outbox.pendingBytes < this.deps.limits.unsentBytes) return;
    this.#isHeld = true;
    this.conn.stopReading();
  }

  #release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.conn.resumeReading();
  }

  onDrain(): void {
    this.watch.drains += 1;
    this.#release();
    try {
      this.streams.run();
    } catch (error) {
      this.fail(error);
    }
  }

  /** A peer that sends no more can grant no windows either: HTTP/2 knows no half-closed connections. */
  onFin(): void {
    if (this.#state === "open") this.#shutDown(null);
  }

  onClose(error: Error | null): void {
    if (this.#state === "closed") return;
    const wasOpen = this.#state === "open";
    this.#error ??= error;
    this.deps.deadlines.delete(this);
    this.#state = "closed";
    if (wasOpen) {
      this.streams.endAll();
      this.onClosing();
    }
    this.onEnd(this.#error);
  }

  onDeadline(nowMs: number): void {
    if (this.#state !== "open") {
      this.#linger(nowMs);
      return;
    }
    this.deadlineMs = this.watch.nextMs(nowMs);
    const isHeld = this.#isHeld;
    // While we do not listen, silence says nothing.
    if (isHeld) this.watch.reads += 1;
    const { error, isLost, ping, isIdle } = this.watch.look(nowMs, {
      isGreeted: this.#isGreeted || isHeld,
      isAcked: this.#isAcked || isHeld,
      isInsideBlock: this.#reader.insideBlock && !isHeld,
      pendingBytes: this.outbox.pendingBytes,
      openStreams: this.openStreams,
    });
    if (isLost) {
      this.conn.reset();
    } else if (error !== null) {
      this.fail(error);
    } else {
      if (ping !== null) this.outbox.ping(false, ping);
      this.streams.failStalled(nowMs, this.#isServer);
      this.onLook(nowMs, isIdle);
    }
  }

  /** The time to read the last bytes begins when they have left; a peer that takes none of them is given up. */
  #linger(nowMs: number): void {
    const { pendingBytes } = this.outbox;
    if (pendingBytes === 0 || this.watch.isOutputStuck(nowMs, pendingBytes)) this.conn.destroy();
    else this.deadlineMs = this.watch.lingerMs(nowMs);
  }

  /** Called every second; `isIdle`: there was no stream for the whole limit. */
  protected abstract onLook(nowMs: number, isIdle: boolean): void;

  // FrameHandler. Behind the end of the session the reader may have a rest to read.

  onData(
    id: number,
    chunk: Buffer,
    start: number,
    end: number,
    flowBytes: number,
    last: boolean,
  ): void {
    if (this.#isReading()) this.streams.receiveData(id, chunk, start, end, flowBytes, last);
  }

  onHeaders(
    id: number,
    block: Buffer,
    start: number,
    end: number,
    last: boolean,
    dependsOn: number,
  ): void {
    if (!this.#isReading()) return;
    // Of streams that are refused too: the table has to follow the peer's.
    const fields = this.#decoder.decode(block, start, end);
    this.watch.blocks += 1;
    if (dependsOn === id) this.#refuseDependency(id);
    this.headRepeats = this.#decoder.isRepeat;
    this.onFields(id, this.#decoder.tooLarge ? null : fields, last);
  }

  /** A whole field section; null: it is beyond our limits. */
  protected abstract onFields(id: number, fields: readonly string[] | null, last: boolean): void;

  /** Priorities are not followed (RFC 9113 section 5.3.2), only checked. */
  onPriority(id: number, dependsOn: number): void {
    if (!this.#isReading()) return;
    this.budget.priority();
    if (dependsOn === id) this.#refuseDependency(id);
  }

  /** A stream error (RFC 7540 section 5.3.1), where there is a stream that can be reset. */
  #refuseDependency(id: number): never {
    const what = "a stream that depends on itself";
    if (this.streams.byId.has(id)) throw new StreamError(id, PROTOCOL_ERROR, what);
    throw new ConnectionError(PROTOCOL_ERROR, what);
  }

  onReset(id: number, code: number): void {
    if (!this.#isReading()) return;
    this.deps.count?.("reset-received", code);
    this.streams.receiveReset(id, code);
  }

  onSettings(ids: readonly number[], values: readonly number[]): void {
    this.#isGreeted = true;
    if (!this.#isReading()) return;
    this.budget.settings();
    this.applySettings(ids, values);
    this.outbox.settingsAck();
    // Behind it: until it is there a peer need not know of the windows that it has widened.
    this.streams.run();
    this.onPeerSettings();
  }

  protected applySettings(ids: readonly number[], values: readonly number[]): void {
    const { windowBytes, tableBytes } = this.peer;
    for (let at = 0; at < ids.length; at++) this.peer.apply(ids[at]!, values[at]!);
    this.streams.onPeerSettings(windowBytes, tableBytes);
  }

  /** The peer's settings stand, or have changed. */
  protected abstract onPeerSettings(): void;

  onSettingsAck(): void {
    if (!this.#isReading()) return;
    if (this.#isAcked) this.budget.idleFrame();
    this.#isAcked = true;
    this.#decoder.settingsAcknowledged();
    this.streams.onSettingsAck();
  }

  onPing(isAck: boolean, chunk: Buffer, start: number): void {
    if (!this.#isReading()) return;
    this.budget.ping();
    if (isAck) this.onPong(chunk.toString("latin1", start, start + 8));
    else this.outbox.ping(true, chunk, start);
  }

  /** The acknowledgement of a PING of ours. */
  protected abstract onPong(bytes: string): void;

  onGoaway(lastStreamId: number, code: number, debug: string): void {
    if (!this.#isReading()) return;
    this.deps.count?.("goaway-received", code);
    this.budget.idleFrame();
    this.onPeerGoaway(lastStreamId, code, debug);
  }

  protected abstract onPeerGoaway(lastStreamId: number, code: number, debug: string): void;

  onWindowUpdate(id: number, increment: number): void {
    if (!this.#isReading()) return;
    this.budget.windowUpdate();
    this.streams.receiveWindowUpdate(id, increment);
  }

  /** Nobody may push to us: a client of ours forbids it, and clients never may (RFC 9113 section 8.4). */
  onPushPromise(): void {
    throw new ConnectionError(PROTOCOL_ERROR, "PUSH_PROMISE");
  }

  onUnknown(): void {
    if (this.#isReading()) this.budget.idleFrame();
  }

  /** RFC 9113 section 5.4.2. */
  onStreamError(error: StreamError): void {
    if (this.#state !== "open") return;
    this.streams.onError(error);
    // A server that has us reset streams harms but itself.
    if (this.#isServer) this.budget.streamWasted();
  }

  /** The preface of either side ends with SETTINGS: they come first (RFC 9113 section 3.4). */
  #isReading(): boolean {
    if (!this.#isGreeted) throw new ConnectionError(PROTOCOL_ERROR, "no SETTINGS first");
    return this.#state === "open";
  }

  // StreamsOwner

  abstract isUnused(id: number): boolean;
  abstract onStreamRemoved(): void;
  abstract onPeerReset(stream: Stream, code: number): void;
}
