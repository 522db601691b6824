import type { PoolTarget } from "./upstream-pool.ts";

/** Open connections per endpoint and per service, and requests that wait for one, exact over all workers. */
export interface ConnectionCounts {
  /** One more, for use at once. */
  tryOpenConnection(target: PoolTarget, max: number): boolean;
  /**
   * An idle connection is to be used: false where the service has its limit of them in use. Idle ones do not count there,
   * lest those of one worker or endpoint starve the others.
   */
  tryUse(target: PoolTarget): boolean;
  endUse(target: PoolTarget): void;
  closeConnection(target: PoolTarget): void;
  /** A request waits: false where no more may. */
  tryWait(target: PoolTarget): boolean;
  endWait(target: PoolTarget): void;
}
