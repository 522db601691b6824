import type { Clock } from "../../core/clock.ts";
import type { Share } from "../../core/share.ts";
import type { Conn } from "../conn.ts";
import type { AbuseBudget } from "./abuse-budget.ts";
import { ClosedStreams, type Ending } from "./closed-streams.ts";
import {
  CANCEL,
  DEFAULT_WINDOW_BYTES,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  PROTOCOL_ERROR,
  STREAM_CLOSED,
} from "./codes.ts";
import { ConnectionError, StreamError } from "./errors.ts";
import { HpackEncoder } from "./hpack/encoder.ts";
import type { Outbox } from "./outbox.ts";
import { Scheduler } from "./scheduler.ts";
import type { PeerSettings, SessionLimits } from "./settings.ts";
import { Stream, type StreamHandler, type StreamHost } from "./stream.ts";
import { ConnectionReceiveWindow, ReceiveWindow } from "./windows.ts";

/** The connection, as its streams see it. */
export interface StreamsOwner {
  /** Is the stream idle (RFC 9113 section 5.1), or one that cannot be? */
  isUnused(id: number): boolean;
  /** A stream is gone: there is room for another, or it was the last. */
  onStreamRemoved(): void;
  /** The peer has reset a stream, `stream` is as it was before. */
  onPeerReset(stream: Stream, code: number): void;
}

export interface StreamsDeps {
  readonly conn: Conn;
  readonly outbox: Outbox;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly peer: PeerSettings;
  readonly budget: AbuseBudget;
  readonly owner: StreamsOwner;
}

/** The streams of a connection, and what they share: both flow control windows, the encoder, the memory of the closed. */
export class Streams implements StreamHost {
  /** Those that are open, by id. */
  readonly byId = new Map<number, Stream>();
  readonly #deps: StreamsDeps;
  readonly #closed = new ClosedStreams();
  readonly #encoder = new HpackEncoder();
  readonly #scheduler: Scheduler;
  readonly #window: ConnectionReceiveWindow;
  #isAcked = false;

  constructor(deps: StreamsDeps) {
    const { connectionWindowBytes, unreadBytes } = deps.limits;
    this.#deps = deps;
    this.#scheduler = new Scheduler(deps.outbox);
    this.#window = new ConnectionReceiveWindow(connectionWindowBytes, unreadBytes);
  }

  /** Content that waits to be sent, and what was received and not consumed. */
  get queuedBytes(): number {
    let bytes = this.#window.unreadBytes;
    for (const stream of this.byId.values()) bytes += stream.queuedBytes;
    return bytes;
  }

  /** Widens the connection's window from the protocol's default to ours; once, behind our SETTINGS. */
  openWindow(): void {
    this.#grant(0, this.#window.open());
  }

  /** The peer has our SETTINGS: new streams go by them. */
  onSettingsAck(): void {
    this.#isAcked = true;
  }

  open(id: number, handler: StreamHandler): Stream {
    const { limits, clock, peer } = this.#deps;
    const { streamWindowBytes } = limits;
    // Until the peer has our SETTINGS it may go by the default.
    const startBytes = this.#isAcked
      ? streamWindowBytes
      : Math.max(streamWindowBytes, DEFAULT_WINDOW_BYTES);
    const stream = new Stream(this, handler, {
      id,
      sendBytes: peer.windowBytes,
      window: new ReceiveWindow(streamWindowBytes, startBytes),
      nowMs: clock.now(),
    });
    this.byId.set(id, stream);
    return stream;
  }

  #remove(stream: Stream, ending: Ending): void {
    this.byId.delete(stream.id);
    this.#closed.add(stream.id, ending);
    const unread = stream.close();
    if (unread > 0) this.#grant(0, this.#window.consume(unread));
    this.#deps.owner.onStreamRemoved();
  }

  /** How a stream that is not open came to its end. */
  endingOf(id: number): Ending {
    return this.#closed.endingOf(id);
  }

  /** Resets a stream for a fault of the peer or a limit, and tells its handler. */
  fail(stream: Stream, code: number): void {
    this.resetStream(stream, code);
    stream.handler.onReset(code, false);
  }

  /** A frame was wrong in a way that concerns its stream only. */
  onError({ streamId, code }: StreamError): void {
    const stream = this.byId.get(streamId);
    if (stream !== undefined) this.fail(stream, code);
    // Of one that is over its peer knows, or was told already (RFC 9113 section 5.1).
    else if (this.#closed.endingOf(streamId) !== "unknown") this.#deps.budget.idleFrame();
    else this.refuse(streamId, code);
  }

  /** Resets a stream that was never opened, or so long ago that nothing is known of it. */
  refuse(id: number, code: number): void {
    // RST_STREAM must not be sent for an idle stream (RFC 9113 section 6.4).
    if (this.#deps.owner.isUnused(id)) throw new ConnectionError(code, `stream ${id} is idle`);
    this.#closed.add(id, "reset-by-us");
    this.#deps.outbox.reset(id, code);
  }

  /** The peer will not process a stream that it has seen nothing of (RFC 9113 section 6.8). */
  disown(stream: Stream, code: number): void {
    stream.retrySafe = true;
    this.#remove(stream, "reset-by-peer");
    stream.handler.onReset(code, true);
  }

  /** The connection is over, and all streams with it. */
  endAll(): void {
    this.#scheduler.clear();
    const streams = [...this.byId.values()];
    this.byId.clear();
    for (const stream of streams) {
      this.#window.consume(stream.close());
      stream.handler.onReset(CANCEL, true);
    }
  }

  /** Gives up those whose peer takes nothing for too long (zero-window stall), or does not end what was answered. */
  failStalled(nowMs: number, isServer: boolean): void {
    const { streamIdleMs } = this.#deps.limits;
    for (const stream of this.byId.values()) {
      if (stream.isStalled(nowMs, streamIdleMs, isServer)) this.fail(stream, CANCEL);
    }
  }

  // What the peer's frames say.

  receiveData(
    id: number,
    chunk: Buffer,
    start: number,
    end: number,
    flowBytes: number,
    last: boolean,
  ): void {
    const stream = this.#find(id);
    this.#grant(0, this.#window.receive(flowBytes));
    if (stream === null) {
      this.#lateData(id, end - start);
      return;
    }
    if (end > start) this.#deps.budget.dataReceived();
    else if (!last) this.#deps.budget.emptyData();
    stream.receiveData(chunk, start, end, flowBytes, last);
    if (this.#window.isOver && this.#deps.limits.shedsUnread) this.#shed();
  }

  /** Gives up the stream with most unread: whoever does not read it must not hold up those who share the connection. */
  #shed(): void {
    let most: Stream | null = null;
    for (const stream of this.byId.values()) {
      if (stream.unreadBytes > (most?.unreadBytes ?? 0)) most = stream;
    }
    if (most !== null) this.fail(most, ENHANCE_YOUR_CALM);
  }

  receiveReset(id: number, code: number): void {
    const stream = this.#find(id);
    if (stream === null) {
      this.#deps.budget.idleFrame();
      return;
    }
    this.#deps.owner.onPeerReset(stream, code);
    this.#remove(stream, "reset-by-peer");
    stream.handler.onReset(code, true);
  }

  receiveWindowUpdate(id: number, increment: number): void {
    if (id === 0) this.#widen(increment);
    else {
      const stream = this.#find(id);
      if (stream === null) this.#deps.budget.idleFrame();
      else this.#widenStream(stream, increment);
    }
    this.#scheduler.run();
  }

  #widen(increment: number): void {
    if (increment === 0) throw new ConnectionError(PROTOCOL_ERROR, "a WINDOW_UPDATE of 0");
    if (this.#scheduler.window.widen(increment)) return;
    throw new ConnectionError(FLOW_CONTROL_ERROR, "the connection's window is widened too far");
  }

  #widenStream(stream: Stream, increment: number): void {
    if (increment === 0) throw new StreamError(stream.id, PROTOCOL_ERROR, "a WINDOW_UPDATE of 0");
    if (stream.widen(increment)) return;
    throw new StreamError(stream.id, FLOW_CONTROL_ERROR, "its window is widened too far");
  }

  /** Settings of the peer have changed; the values before are given (RFC 9113 sections 6.5.3 and 6.9.2). */
  onPeerSettings(windowBytes: number, tableBytes: number): void {
    const { peer } = this.#deps;
    if (peer.tableBytes !== tableBytes) this.#encoder.setPeerTableBytes(peer.tableBytes);
    const change = peer.windowBytes - windowBytes;
    if (change === 0) return;
    for (const stream of this.byId.values()) {
      if (stream.widen(change)) continue;
      throw new ConnectionError(FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE widens a window too far");
    }
  }

  /** The stream; null: it is over. */
  #find(id: number): Stream | null {
    const stream = this.byId.get(id);
    if (stream !== undefined) return stream;
    if (this.#deps.owner.isUnused(id)) {
      throw new ConnectionError(PROTOCOL_ERROR, `a frame for stream ${id}, which is idle`);
    }
    return null;
  }

  /**
   * DATA for a stream that is over: on their way when we reset it, or against the rules (RFC 9113 section 5.1). Content
   * has its price already; a window of it may be on its way.
   */
  #lateData(id: number, bytes: number): void {
    const ending = this.#closed.endingOf(id);
    if (ending === "ended" || ending === "reset-by-peer") {
      throw new ConnectionError(STREAM_CLOSED, `DATA for stream ${id}, which its sender has ended`);
    }
    if (bytes === 0) this.#deps.budget.idleFrame();
  }

  /** What waits goes on: the connection has drained, or the peer's settings have changed. */
  run(): void {
    this.#scheduler.run();
  }

  #grant(id: number, increment: number): void {
    if (increment > 0) this.#deps.outbox.windowUpdate(id, increment);
  }

  // StreamHost

  get share(): Share | null {
    return this.#deps.conn.share;
  }

  get room(): number {
    return this.#scheduler.room;
  }

  writeFields({ id }: Stream, fields: readonly string[], last: boolean): void {
    const { outbox, peer } = this.#deps;
    outbox.headers(id, fields, this.#encoder, last, peer.frameBytes);
  }

  writeData({ id }: Stream, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#scheduler.window.available -= end - start;
    this.#deps.outbox.data(id, chunk, start, end, last);
    this.#deps.budget.dataSent();
  }

  schedule(stream: Stream): void {
    this.#scheduler.add(stream);
  }

  keepUnread(bytes: number): void {
    this.#window.keepUnread(bytes);
  }

  giveCredit({ id }: Stream, bytes: number, increment: number): void {
    this.#grant(id, increment);
    if (bytes > 0) this.#grant(0, this.#window.consume(bytes));
  }

  onStreamEnded(stream: Stream): void {
    this.#deps.budget.streamCompleted();
    this.#remove(stream, "ended");
  }

  resetStream(stream: Stream, code: number): void {
    this.#deps.outbox.reset(stream.id, code);
    this.#deps.budget.streamReset();
    this.#remove(stream, "reset-by-us");
  }
}
