import { SharedCounts } from "../../../core/shared-counts.ts";

const CONNECTIONS = 0;
const IN_FLIGHT = 1;
const KINDS = 2;

/**
 * What each local workload holds of this host's proxy: accepted connections and requests in flight, exact
 * over all workers. A limit is checked and taken in one step, so it is never exceeded, and one noisy
 * workload cannot take what others are entitled to. Slots are `DataWorkload.slot`.
 */
export class WorkloadQuotas {
  readonly #counts: SharedCounts;

  static bytesFor(slots: number, workers: number): number {
    return SharedCounts.bytesFor(slots, KINDS, workers);
  }

  /** `worker`: index of the thread that uses this view; -1 for the main thread, which only reads. */
  constructor(
    buffer: SharedArrayBuffer,
    byteOffset: number,
    slots: number,
    workers: number,
    worker: number,
  ) {
    this.#counts = new SharedCounts(buffer, byteOffset, { slots, kinds: KINDS, workers, worker });
  }

  /** Takes one connection unless the workload has `max` already. */
  tryOpenConnection(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, CONNECTIONS, max);
  }

  closeConnection(slot: number): void {
    this.#counts.remove(slot, CONNECTIONS);
  }

  /** Takes one request in flight unless the workload has `max` already. */
  tryBegin(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, IN_FLIGHT, max);
  }

  end(slot: number): void {
    this.#counts.remove(slot, IN_FLIGHT);
  }

  connections(slot: number): number {
    return this.#counts.total(slot, CONNECTIONS);
  }

  inFlight(slot: number): number {
    return this.#counts.total(slot, IN_FLIGHT);
  }

  /** May the slot be handed to another workload? */
  isIdle(slot: number): boolean {
    return this.connections(slot) === 0 && this.inFlight(slot) === 0;
  }

  /** Takes back what a worker held; the main thread calls it once the worker's thread has ended. */
  releaseWorker(index: number): void {
    this.#counts.releaseWorker(index);
  }
}
