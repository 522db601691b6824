import type { Clock } from "../core/clock.ts";
import { type Deadlines, deadlineAfter, type Expirable } from "../core/deadlines.ts";
import type { Carrier, ConnHandler } from "../http/carrier.ts";
import { closeFrame } from "../http/websocket-frames.ts";
import { CloseNotice } from "./close-notice.ts";

export interface TunnelSettings {
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** The same once one direction has ended. */
  readonly halfCloseMs: number;
}

export interface TunnelDeps {
  readonly settings: TunnelSettings;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  /** Asked of what the client sends; the tunnel ends where it may not pass. Absent: everything may. */
  readonly mayPass?: (chunk: Buffer, start: number, end: number) => boolean;
  /** Where the bytes are frames of WebSocket, so that both ends can be told: those that are open, this one among them. */
  readonly webSockets?: Set<Tunnel>;
}

/** An endpoint, here the proxy, goes away (RFC 6455 section 7.4.1). */
const GOING_AWAY = 1001;
const REASON = "the proxy shuts down";

/** How a tunnel ended. Bytes by direction; `error` of the connection that broke, if one did. */
export interface TunnelEnd {
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly error: Error | null;
}

/** The idle limit is watched in this many steps, so it is met to within a quarter. */
const STEPS = 4;

/**
 * Passes bytes both ways between a client and an endpoint until both have ended. A FIN is passed on by
 * itself (half-close, RFC 9293 section 3.6), a reset as a reset.
 */
export class Tunnel implements Expirable {
  deadlineMs: number;
  readonly #client: Half;
  readonly #upstream: Half;
  readonly #deps: TunnelDeps;
  readonly #onEnd: (end: TunnelEnd) => void;
  #open = 2;
  #error: Error | null = null;
  #seenBytes = 0;
  #quietSteps = 0;

  constructor(
    client: Carrier,
    upstream: Carrier,
    deps: TunnelDeps,
    onEnd: (end: TunnelEnd) => void,
  ) {
    this.#deps = deps;
    this.#onEnd = onEnd;
    const { mayPass = null, webSockets } = deps;
    const isWebSocket = webSockets !== undefined;
    this.#client = new Half(client, upstream, this, mayPass, isWebSocket);
    this.#upstream = new Half(upstream, client, this, null, isWebSocket);
    this.deadlineMs = this.#nextStep(deps.clock.now());
    deps.deadlines.add(this);
    webSockets?.add(this);
    this.#client.begin();
    this.#upstream.begin();
  }

  /** Bytes that the client had sent before the tunnel stood. */
  fromClient(chunk: Buffer, end: number): void {
    if (end > 0) this.#client.onBytes(chunk, end);
  }

  /** The client had ended its direction before the tunnel stood. */
  finFromClient(): void {
    this.#client.onFin();
  }

  /** The endpoint had ended its direction before the tunnel stood. */
  finFromUpstream(): void {
    this.#upstream.onFin();
  }

  /** Bytes that the endpoint had sent before the tunnel stood. */
  fromUpstream(chunk: Buffer, start: number, end: number): void {
    if (end > start) this.#upstream.pass(chunk, start, end);
  }

  /**
   * A shutdown is about to end: both ends of a WebSocket get a Close frame as soon as a frame may begin, in place of what
   * the other one still sends, and an orderly end once they have answered. One that is being closed already is left alone,
   * so it may be called again and again.
   */
  closeWebSocket(): void {
    const up = this.#client;
    const down = this.#upstream;
    const isUnderWay = up.notice?.isWanted || up.notice?.sawClose || down.notice?.sawClose;
    if (isUnderWay) return;
    up.closeWith(closeFrame(GOING_AWAY, REASON, true));
    down.closeWith(closeFrame(GOING_AWAY, REASON, false));
  }

  /** Who has got a Close frame from here and has sent one has nothing to wait for (RFC 6455 section 7.1.1). */
  endWhoIsDone(): void {
    const up = this.#client;
    const down = this.#upstream;
    if (up.notice?.sawClose && down.notice?.hasClosed) up.finish();
    if (down.notice?.sawClose && up.notice?.hasClosed) down.finish();
  }

  /** Ends both directions at once. */
  close(): void {
    this.#client.conn.destroy();
    this.#upstream.conn.destroy();
  }

  halfClosed(error: Error | null): void {
    this.#error ??= error;
    this.#open -= 1;
    if (this.#open !== 0) return;
    this.#deps.deadlines.delete(this);
    this.#deps.webSockets?.delete(this);
    this.#onEnd({
      bytesUp: this.#client.bytes,
      bytesDown: this.#upstream.bytes,
      error: this.#error,
    });
  }

  onDeadline(nowMs: number): void {
    const bytes = this.#client.bytes + this.#upstream.bytes;
    this.#quietSteps = bytes === this.#seenBytes ? this.#quietSteps + 1 : 0;
    this.#seenBytes = bytes;
    if (this.#quietSteps >= STEPS) this.close();
    else this.deadlineMs = this.#nextStep(nowMs);
  }

  #nextStep(nowMs: number): number {
    const { idleMs, halfCloseMs } = this.#deps.settings;
    const halfClosed = this.#client.ended || this.#upstream.ended;
    return deadlineAfter(nowMs, (halfClosed ? halfCloseMs : idleMs) / STEPS);
  }

  /** One direction has ended: the shorter limit holds from here on. */
  onHalfEnd(): void {
    this.#quietSteps = 0;
    this.deadlineMs = this.#nextStep(this.#deps.clock.now());
  }
}

/** One direction: what `conn` reads goes to `other`. */
class Half implements ConnHandler {
  readonly conn: Carrier;
  bytes = 0;
  ended = false;
  /** Of a WebSocket. */
  readonly notice: CloseNotice | null;
  #isFinished = false;
  readonly #other: Carrier;
  readonly #tunnel: Tunnel;
  readonly #mayPass: TunnelDeps["mayPass"] | null;

  constructor(
    conn: Carrier,
    other: Carrier,
    tunnel: Tunnel,
    mayPass: TunnelDeps["mayPass"] | null,
    isWebSocket: boolean,
  ) {
    this.#mayPass = mayPass;
    this.notice = isWebSocket ? new CloseNotice() : null;
    this.conn = conn;
    this.#other = other;
    this.#tunnel = tunnel;
  }

  begin(): void {
    if (this.conn.gone) {
      this.onClose(null);
      return;
    }
    this.conn.handler = this;
    this.conn.resumeReading();
    // A peer that vanished would otherwise hold its half until the idle limit.
    this.conn.keepAlive();
  }

  onBytes(chunk: Buffer, end: number): void {
    if (this.#mayPass?.(chunk, 0, end) === false) this.#tunnel.close();
    else this.pass(chunk, 0, end);
  }

  pass(chunk: Buffer, start: number, end: number): void {
    if (this.notice === null) this.#relay(chunk, start, end);
    else this.#passFrames(this.notice, chunk, start, end);
  }

  #relay(chunk: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    this.conn.relay(chunk, start, end, this.#other);
  }

  #passFrames(notice: CloseNotice, chunk: Buffer, start: number, end: number): void {
    const at = notice.follow(chunk, start, end);
    if (!notice.hasClosed) this.#relay(chunk, start, at);
    this.#sayClose(notice);
    if (at < end) this.#passFrames(notice, chunk, at, end);
    else if (notice.sawClose) this.#tunnel.endWhoIsDone();
  }

  #sayClose(notice: CloseNotice): void {
    const frame = notice.take();
    if (frame === "") return;
    if (!this.#other.closed) this.#other.writeText(frame);
    this.#tunnel.endWhoIsDone();
  }

  /** Sends `other` this Close frame, now or when a frame may begin. */
  closeWith(frame: string): void {
    if (this.notice === null) return;
    this.notice.want(frame);
    this.#sayClose(this.notice);
  }

  /** `conn` needs nothing more. */
  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.conn.end();
  }

  onFin(): void {
    this.ended = true;
    this.#other.end();
    this.#tunnel.onHalfEnd();
  }

  onDrain(): void {
    // `relay` itself holds the source back; there is nothing more to wait for.
  }

  onClose(error: Error | null): void {
    if (!this.#other.closed) {
      if (this.notice?.hasClosed) this.#other.end();
      else if (error !== null) this.#other.reset();
      else if (!this.ended) this.#other.destroy();
    }
    this.#tunnel.halfClosed(error);
  }
}
