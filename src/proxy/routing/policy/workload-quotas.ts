import { SharedCounts } from "../../../core/shared-counts.ts";

const CONNECTIONS = 0;
const IN_FLIGHT = 1;
const PENDING = 2;
const RETRIES = 3;
const BUFFERED = 4;
const KINDS = 5;

/** Bytes are counted in this unit, so that counts of 32 bits reach far enough. */
const KIB = 1_024;

/**
 * What each local workload holds of this host's proxy: accepted connections, requests in flight, those among them that
 * wait for a connection, retries under way, and bytes in buffers; exact over all workers, bytes to a KiB for each
 * worker. A limit is checked and taken in one step, so it is never exceeded, and one noisy
 * workload cannot take what others are entitled to. Slots are `DataWorkload.slot`.
 */
export class WorkloadQuotas {
  readonly #counts: SharedCounts;
  readonly #slots: number;

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
    this.#slots = slots;
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

  /** Takes a place among the requests that wait for a connection unless the workload has `max` already. */
  tryPending(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, PENDING, max);
  }

  endPending(slot: number): void {
    this.#counts.remove(slot, PENDING);
  }

  /** Takes one retry unless the workload has `max` under way already. */
  tryRetry(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, RETRIES, max);
  }

  endRetry(slot: number): void {
    this.#counts.remove(slot, RETRIES);
  }

  /** What this worker keeps in buffers for the workload, of which at most `maxBytes` over all workers are wanted. */
  buffers(slot: number, maxBytes: number): BufferedBytes {
    return new BufferedBytes(this.#counts, slot, maxBytes);
  }

  connections(slot: number): number {
    return this.#counts.total(slot, CONNECTIONS);
  }

  inFlight(slot: number): number {
    return this.#counts.total(slot, IN_FLIGHT);
  }

  pending(slot: number): number {
    return this.#counts.total(slot, PENDING);
  }

  retries(slot: number): number {
    return this.#counts.total(slot, RETRIES);
  }

  bufferedBytes(slot: number): number {
    return this.#counts.total(slot, BUFFERED) * KIB;
  }

  /** Of all workloads. */
  allBufferedBytes(): number {
    let sum = 0;
    for (let slot = 0; slot < this.#slots; slot++) sum += this.bufferedBytes(slot);
    return sum;
  }

  /** May the slot be handed to another workload? */
  isIdle(slot: number): boolean {
    return this.#counts.isIdle(slot);
  }

  /** Takes back what a worker held; the main thread calls it once the worker's thread has ended. */
  releaseWorker(index: number): void {
    this.#counts.releaseWorker(index);
  }
}

/** Bytes that one worker keeps in buffers for a workload. */
class BufferedBytes {
  readonly #counts: SharedCounts;
  readonly #slot: number;
  readonly #most: number;
  #bytes = 0;
  /** What of it is counted in shared memory. */
  #counted = 0;

  constructor(counts: SharedCounts, slot: number, maxBytes: number) {
    this.#counts = counts;
    this.#slot = slot;
    this.#most = maxBytes / KIB;
  }

  /** Does the workload, over all workers, keep as much as it may? */
  get full(): boolean {
    return this.#counts.total(this.#slot, BUFFERED) >= this.#most;
  }

  /** Negative: so many are gone. */
  keep(bytes: number): void {
    this.#bytes += bytes;
    const units = Math.ceil(this.#bytes / KIB);
    if (units === this.#counted) return;
    this.#counts.change(this.#slot, BUFFERED, units - this.#counted);
    this.#counted = units;
  }
}
