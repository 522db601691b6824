import { ENHANCE_YOUR_CALM, PROTOCOL_ERROR, SETTINGS_TIMEOUT } from "./codes.ts";
import { ConnectionError } from "./errors.ts";
import type { SessionLimits } from "./settings.ts";
import { Watch } from "./watch.ts";

/** How often a connection is looked at: the exactness of its limits. */
const LOOK_MS = 1_000;

/** How long a peer may take to read why it was closed. */
const LINGER_MS = 1_000;

/** Payload of the PING that asks for a sign of life. */
const LIFE_PING = Buffer.from("hm-alive", "latin1");

/** What a connection is at when it is looked at. */
export interface SessionSight {
  /** Has the peer sent its SETTINGS, */
  readonly isGreeted: boolean;
  /** and acknowledged ours? */
  readonly isAcked: boolean;
  readonly isInsideBlock: boolean;
  readonly pendingBytes: number;
  readonly openStreams: number;
}

export interface SessionVerdict {
  /** The connection ends with it. */
  readonly error: ConnectionError | null;
  /** The peer takes or says nothing: there is no use in telling it. */
  readonly isLost: boolean;
  /** To be sent as a PING. */
  readonly ping: Buffer | null;
  readonly isIdle: boolean;
}

/**
 * The time limits of a connection. The session counts what happens, which is cheap, and once a second it is seen what has
 * not: no frame reads a clock.
 */
export class SessionWatch {
  /** Reads that brought bytes. */
  reads = 0;
  /** Times that all output had left. */
  drains = 0;
  /** Field blocks that were read. */
  blocks = 0;
  /** Streams that were opened. */
  opened = 0;
  readonly #limits: SessionLimits;
  readonly #greeting: Watch;
  readonly #ack: Watch;
  readonly #block: Watch;
  readonly #output: Watch;
  readonly #idle: Watch;
  readonly #silence: Watch;
  readonly #life: Watch;
  #leastPending = 0;
  #outputMark = 0;
  #drainsSeen = 0;
  #asksForLife = false;
  #readsSeen = 0;

  constructor(limits: SessionLimits) {
    this.#limits = limits;
    this.#greeting = new Watch(limits.headMs);
    this.#ack = new Watch(limits.settingsMs);
    this.#block = new Watch(limits.headMs);
    this.#output = new Watch(limits.streamIdleMs);
    this.#idle = new Watch(limits.idleMs);
    this.#silence = new Watch(limits.pingIntervalMs);
    this.#life = new Watch(limits.pingTimeoutMs);
  }

  /** When to look again. */
  nextMs(nowMs: number): number {
    return nowMs + LOOK_MS;
  }

  /** Until when a connection that was closed may linger. */
  lingerMs(nowMs: number): number {
    return nowMs + LINGER_MS;
  }

  look(nowMs: number, sight: SessionSight): SessionVerdict {
    const isOutputStuck = this.isOutputStuck(nowMs, sight.pendingBytes);
    const isLifeless = this.#looksLifeless(nowMs);
    return {
      error: this.#late(nowMs, sight),
      isLost: isOutputStuck || isLifeless,
      ping: this.#ping(nowMs),
      isIdle: this.#idle.isOverdue(sight.openStreams === 0, this.opened, nowMs),
    };
  }

  /** Has the peer taken nothing of what waits for it, for the whole limit? */
  isOutputStuck(nowMs: number, pendingBytes: number): boolean {
    return this.#output.isOverdue(pendingBytes > 0, this.#markOutput(pendingBytes), nowMs);
  }

  #late(nowMs: number, sight: SessionSight): ConnectionError | null {
    const { isGreeted, isAcked, isInsideBlock } = sight;
    if (this.#greeting.isOverdue(!isGreeted, 0, nowMs)) {
      return new ConnectionError(PROTOCOL_ERROR, "no preface in time");
    }
    if (this.#block.isOverdue(isInsideBlock, this.blocks, nowMs)) {
      return new ConnectionError(ENHANCE_YOUR_CALM, "a field section that does not end");
    }
    if (this.#ack.isOverdue(isGreeted && !isAcked, 0, nowMs)) {
      return new ConnectionError(SETTINGS_TIMEOUT, "no acknowledgement of SETTINGS");
    }
    return null;
  }

  /** A number that changes when output has moved: all of it has left, or less waits than ever since. */
  #markOutput(pendingBytes: number): number {
    if (this.drains !== this.#drainsSeen || pendingBytes < this.#leastPending) {
      this.#drainsSeen = this.drains;
      this.#leastPending = pendingBytes;
      this.#outputMark += 1;
    }
    if (this.#leastPending === 0) this.#leastPending = pendingBytes;
    return this.#outputMark;
  }

  #looksLifeless(nowMs: number): boolean {
    if (this.reads !== this.#readsSeen) this.#asksForLife = false;
    this.#readsSeen = this.reads;
    return this.#life.isOverdue(this.#asksForLife, this.reads, nowMs);
  }

  #ping(nowMs: number): Buffer | null {
    const isWanted = this.#limits.pingIntervalMs > 0 && !this.#asksForLife;
    if (!this.#silence.isOverdue(isWanted, this.reads, nowMs)) return null;
    this.#asksForLife = true;
    this.#life.isOverdue(true, this.reads, nowMs);
    return LIFE_PING;
  }
}
