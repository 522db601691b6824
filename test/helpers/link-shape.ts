import { type Random, seeded } from "../../src/core/random.ts";

/** What one direction of a link does to packets. Absent: nothing of that kind. Shares are 0 to 1. */
export interface LinkShape {
  readonly delayMs?: number;
  /** The delay of each packet is up to so much more or less; packets keep their order all the same. */
  readonly jitterMs?: number;
  readonly lossShare?: number;
  /**
   * Losses in bursts (Gilbert's model): a packet begins a burst with `enter`, and the burst, in which all are
   * lost, goes on with `stay` after each.
   */
  readonly burst?: { readonly enter: number; readonly stay: number };
  /** This share waits `reorderMs` longer than those behind it, which overtake it. */
  readonly reorderShare?: number;
  readonly reorderMs?: number;
  readonly duplicateShare?: number;
  /** What waits for its turn beyond `queueBytes` is lost, as at the end of a router's queue. */
  readonly bytesPerSecond?: number;
  readonly queueBytes?: number;
  /** All are lost, and those that wait. */
  readonly cut?: boolean;
}

export interface LinkTally {
  readonly sent: number;
  readonly delivered: number;
  readonly lost: number;
  readonly reordered: number;
  readonly duplicated: number;
}

const DEFAULT_REORDER_MS = 5;
const DEFAULT_QUEUE_BYTES = 256 * 1024;
/** Packets in flight in one direction; more are lost, so that memory is bounded whatever the delay. */
const MAX_WAITING = 20_000;

interface Waiting {
  readonly packet: Buffer;
  readonly dueMs: number;
}

/**
 * One direction of a link: takes packets and says when each is due at the other end. Same seed, shapes, packets and
 * times: same fate, since every packet draws as many numbers whatever its shape.
 */
export class LinkDirection {
  readonly #random: Random;
  #shape: LinkShape = {};
  #bursting = false;
  /** When the last packet in order is due, and when the line has sent what it holds. */
  #lastDueMs = 0;
  #lineFreeMs = 0;
  /** Sorted by when they are due. */
  #waiting: Waiting[] = [];
  #tally = { sent: 0, delivered: 0, lost: 0, reordered: 0, duplicated: 0 };

  constructor(seed: number) {
    this.#random = seeded(seed);
  }

  /** For packets that are taken from now on, but `cut`, which also those that wait feel. */
  set shape(shape: LinkShape) {
    this.#shape = shape;
    if (shape.cut !== true) return;
    this.#tally.lost += this.#waiting.length;
    this.#waiting = [];
    this.#lastDueMs = 0;
    this.#lineFreeMs = 0;
  }

  get tally(): LinkTally {
    return { ...this.#tally };
  }

  take(packet: Buffer, nowMs: number): void {
    const { lossShare = 0, duplicateShare = 0, reorderShare = 0, delayMs = 0 } = this.#shape;
    const { jitterMs = 0, reorderMs = DEFAULT_REORDER_MS } = this.#shape;
    const chance = Array.from({ length: 5 }, this.#random) as [
      number,
      number,
      number,
      number,
      number,
    ];
    this.#tally.sent += 1;
    const unlucky = this.#inBurst(chance[0]) || chance[1] < lossShare || this.#shape.cut === true;
    const lineMs = unlucky ? null : this.#line(packet.length, nowMs);
    if (lineMs === null || this.#waiting.length >= MAX_WAITING) {
      this.#tally.lost += 1;
      return;
    }
    const dueMs = lineMs + Math.max(0, delayMs + (chance[2] * 2 - 1) * jitterMs);
    if (chance[3] < reorderShare) {
      this.#tally.reordered += 1;
      this.#hold({ packet, dueMs: Math.max(dueMs, this.#lastDueMs) + reorderMs });
      return;
    }
    this.#lastDueMs = Math.max(dueMs, this.#lastDueMs);
    this.#hold({ packet, dueMs: this.#lastDueMs });
    if (chance[4] >= duplicateShare) return;
    this.#tally.duplicated += 1;
    this.#hold({ packet, dueMs: this.#lastDueMs });
  }

  /** Packets that are due, in the order in which they arrive. */
  due(nowMs: number): Buffer[] {
    const later = this.#waiting.findIndex(({ dueMs }) => dueMs > nowMs);
    const arrived = this.#waiting.splice(0, later === -1 ? this.#waiting.length : later);
    this.#tally.delivered += arrived.length;
    return arrived.map(({ packet }) => packet);
  }

  /** When the next packet is due; null: none waits. */
  get nextDueMs(): number | null {
    return this.#waiting[0]?.dueMs ?? null;
  }

  #inBurst(chance: number): boolean {
    const { enter, stay } = this.#shape.burst ?? { enter: 0, stay: 0 };
    this.#bursting = chance < (this.#bursting ? stay : enter);
    return this.#bursting;
  }

  /** When the line has sent it; null: its queue is full. */
  #line(bytes: number, nowMs: number): number | null {
    const { bytesPerSecond, queueBytes = DEFAULT_QUEUE_BYTES } = this.#shape;
    if (bytesPerSecond === undefined) return nowMs;
    const startMs = Math.max(nowMs, this.#lineFreeMs);
    if (((startMs - nowMs) / 1_000) * bytesPerSecond > queueBytes) return null;
    this.#lineFreeMs = startMs + (bytes / bytesPerSecond) * 1_000;
    return this.#lineFreeMs;
  }

  /** Nearly all are the last one: looked for from the end. */
  #hold(entry: Waiting): void {
    let at = this.#waiting.length;
    while (at > 0 && this.#waiting[at - 1]!.dueMs > entry.dueMs) at -= 1;
    this.#waiting.splice(at, 0, entry);
  }
}
