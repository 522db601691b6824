import { MeshError } from "../../../core/errors.ts";
import { SharedCounts } from "../../../core/shared-counts.ts";

/** What is counted of a service, by the names that its users know (`ConnectionLimits`). */
export type LimitKind = "requests" | "pending" | "retries" | "connections";

const REQUESTS = 0;
const PENDING = 1;
const RETRIES = 2;
const CONNECTIONS = 3;
const KINDS = 4;

/**
 * What a service (or subset) has under way on this host: requests, requests that wait for a connection, retries and
 * connections. Each is checked and taken in one step and is exact over all workers, where Envoy's breakers may overshoot
 * and Linkerd has none. Slots are the service's.
 */
export class ServiceLimits {
  readonly #counts: SharedCounts;

  static bytesFor(slots: number, workers: number): number {
    return SharedCounts.bytesFor(slots, KINDS, workers);
  }

  /** `worker`: index of the thread that uses this view; -1 for the main thread, which only reads and releases. */
  constructor(
    buffer: SharedArrayBuffer,
    byteOffset: number,
    slots: number,
    workers: number,
    worker: number,
  ) {
    this.#counts = new SharedCounts(buffer, byteOffset, { slots, kinds: KINDS, workers, worker });
  }

  /** Takes one request unless `max` are under way already. Ends with the body of the response. */
  tryRequest(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, REQUESTS, max);
  }

  endRequest(slot: number): void {
    this.#counts.remove(slot, REQUESTS);
  }

  /** Takes a place in the queue for a connection. */
  tryPending(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, PENDING, max);
  }

  endPending(slot: number): void {
    this.#counts.remove(slot, PENDING);
  }

  /** Takes one retry; held from the decision to repeat until that try is over. */
  tryRetry(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, RETRIES, max);
  }

  endRetry(slot: number): void {
    this.#counts.remove(slot, RETRIES);
  }

  tryConnection(slot: number, max: number): boolean {
    return this.#counts.tryAdd(slot, CONNECTIONS, max);
  }

  endConnection(slot: number): void {
    this.#counts.remove(slot, CONNECTIONS);
  }

  requests(slot: number): number {
    return this.#counts.total(slot, REQUESTS);
  }

  pending(slot: number): number {
    return this.#counts.total(slot, PENDING);
  }

  retries(slot: number): number {
    return this.#counts.total(slot, RETRIES);
  }

  connections(slot: number): number {
    return this.#counts.total(slot, CONNECTIONS);
  }

  /** May the slot be handed to another service? */
  isIdle(slot: number): boolean {
    return this.#counts.isIdle(slot);
  }

  /** Takes back what a worker held; the main thread calls it once the worker's thread has ended. */
  releaseWorker(index: number): void {
    this.#counts.releaseWorker(index);
  }
}

const LIMIT_TEXTS: Readonly<Record<LimitKind, string>> = {
  requests: "requests under way",
  pending: "requests that wait for a connection",
  retries: "retries under way",
  connections: "connections",
};

/** The failure of a request that found a limit of its service reached. */
export function overflow(kind: LimitKind, service: string, max: number): MeshError {
  return new MeshError("CIRCUIT_OPEN", `${service} has its ${max} ${LIMIT_TEXTS[kind]}`);
}
