import type { Clock } from "../../../core/clock.ts";
import { deadlineAfter } from "../../../core/deadlines.ts";
import type { Recorder } from "../../../core/facts.ts";
import type { ConnectionCounts } from "./connection-counts.ts";
import { queueFull, queueTimeout, serviceFull } from "./pool-errors.ts";
import type { PoolSettings } from "./pool-settings.ts";
import type { Freshness, PoolTarget, PoolWaiter } from "./upstream-pool.ts";

/** A request that waits. */
export interface Queued {
  readonly waiter: PoolWaiter;
  readonly deadlineMs: number;
  readonly freshness: Freshness;
}

export interface WaitingLineDeps {
  readonly counts: ConnectionCounts;
  readonly recorder: Recorder;
  readonly clock: Clock;
}

/** The requests of one pool that wait for something to be sent by, in the order in which they came; bounded. */
export class WaitingLine {
  readonly #target: PoolTarget;
  readonly #settings: PoolSettings;
  readonly #deps: WaitingLineDeps;
  readonly #queue: Queued[] = [];

  constructor(target: PoolTarget, settings: PoolSettings, deps: WaitingLineDeps) {
    this.#target = target;
    this.#settings = settings;
    this.#deps = deps;
  }

  get length(): number {
    return this.#queue.length;
  }

  at(index: number): Queued | undefined {
    return this.#queue[index];
  }

  /** Takes a request on; false: it was told that there is no room for it. */
  add(waiter: PoolWaiter, freshness: Freshness): boolean {
    const { clock, counts, recorder } = this.#deps;
    const { maxPending, queueMs } = this.#settings;
    const isFull = this.#queue.length >= maxPending;
    if (isFull || !counts.tryWait(this.#target)) {
      recorder.event("pool_queue_full");
      waiter.onNoConnection(
        isFull ? queueFull(this.#target, this.#queue.length) : serviceFull(this.#target),
      );
      return false;
    }
    const deadlineMs = deadlineAfter(clock.now(), queueMs);
    this.#queue.push({ waiter, deadlineMs, freshness });
    return true;
  }

  /** Takes the waiter at this place out of the line. */
  take(index: number): PoolWaiter | undefined {
    const [queued] = this.#queue.splice(index, 1);
    if (queued !== undefined) this.#deps.counts.endWait(this.#target);
    return queued?.waiter;
  }

  /** Place of the waiter; -1: it does not wait. */
  indexOf(waiter: PoolWaiter): number {
    return this.#queue.findIndex((queued) => queued.waiter === waiter);
  }

  /** Ends the wait of those whose time is over. `covered`: so many in front each wait for a dial, which has a limit of its own. */
  expire(nowMs: number, covered: () => number): void {
    while ((this.#queue[covered()]?.deadlineMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
      this.#deps.recorder.event("pool_queue_timeout");
      this.take(covered())?.onNoConnection(queueTimeout(this.#target, this.#settings.queueMs));
    }
  }
}
