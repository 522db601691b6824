import type { Clock } from "../src/core/clock.ts";

/** What a pool needs to know of the shared memory behind its slots. */
export interface SlotState {
  /** Does anything still count on this slot: requests in flight, open connections? */
  busy(slot: number): boolean;
  /** Puts the slot's memory back to its first state. */
  reset(slot: number): void;
  /** Its health checks pass again: forgets what was held against it. */
  readmit?(slot: number): void;
}

/**
 * Hands out indices into a section of shared memory. A slot that is given back is not reused before
 * `quarantineMs` have passed and nothing counts on it any more: workers learn of a removal a moment later,
 * and a request that is still in flight must not be counted against a stranger.
 */
export class SlotPool {
  readonly size: number;
  readonly #state: SlotState;
  readonly #clock: Clock;
  readonly #quarantineMs: number;
  readonly #free: number[] = [];
  #quarantine: { slot: number; sinceMs: number }[] = [];
  #untouched = 0;

  constructor(size: number, state: SlotState, clock: Clock, quarantineMs = 10_000) {
    this.size = size;
    this.#state = state;
    this.#clock = clock;
    this.#quarantineMs = quarantineMs;
  }

  /** A slot in its first state, or null when there is none left. */
  take(): number | null {
    const slot = this.#free.pop() ?? (this.#untouched < this.size ? this.#untouched++ : null);
    if (slot !== null) this.#state.reset(slot);
    return slot;
  }

  /** Gives a slot back, into quarantine. */
  give(slot: number): void {
    this.#quarantine.push({ slot, sinceMs: this.#clock.now() });
  }

  /** Who has the slot is healthy again. */
  readmit(slot: number): void {
    this.#state.readmit?.(slot);
  }

  /** Ends the quarantine of the slots that have served it; returns how many. Called once a second. */
  sweep(): number {
    if (this.#quarantine.length === 0) return 0;
    const before = this.#clock.now() - this.#quarantineMs;
    const kept: { slot: number; sinceMs: number }[] = [];
    for (const entry of this.#quarantine) {
      if (entry.sinceMs > before || this.#state.busy(entry.slot)) kept.push(entry);
      else this.#free.push(entry.slot);
    }
    const freed = this.#quarantine.length - kept.length;
    this.#quarantine = kept;
    return freed;
  }

  /** Slots that could be taken now. */
  get available(): number {
    return this.#free.length + this.size - this.#untouched;
  }

  /** Slots that wait for their last request or for their time. */
  get quarantined(): number {
    return this.#quarantine.length;
  }
}
