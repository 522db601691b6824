import { formatHostPort } from "../../../core/address.ts";
import { Pool, type PoolDeps, type PoolTarget } from "./pool.ts";

const SWEEP_MS = 30_000;

/**
 * All pools of one worker, by source and destination: two workloads never share a connection. Pools that
 * have nothing left are forgotten now and then, so that sources and endpoints may come and go.
 */
export class Pools {
  readonly #deps: PoolDeps;
  readonly #bySource = new Map<string, Map<number | string, Pool>>();
  readonly #retired = new Set<Pool>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(deps: Omit<PoolDeps, "evictIdle">) {
    this.#deps = { ...deps, evictIdle: (slot) => this.#evictIdle(slot) };
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /** The pool of this source for this destination. */
  get(source: string, target: PoolTarget): Pool {
    let pools = this.#bySource.get(source);
    if (pools === undefined) {
      pools = new Map();
      this.#bySource.set(source, pools);
    }
    const key = target.slot >= 0 ? target.slot : formatHostPort(target.host, target.port);
    const known = pools.get(key);
    if (known?.target.host === target.host && known.target.port === target.port) return known;
    if (known !== undefined) this.#retire(known);
    const pool = new Pool(target, this.#deps);
    pools.set(key, pool);
    return pool;
  }

  /** The endpoint in this slot is gone: its idle connections close now, for every source. */
  retire(slot: number): void {
    for (const pools of this.#bySource.values()) {
      const pool = pools.get(slot);
      if (pool === undefined) continue;
      pools.delete(slot);
      this.#retire(pool);
    }
  }

  /** The pool that has most idle connections gives one up, so that no source can keep others out. */
  #evictIdle(slot: number): void {
    let richest: Pool | undefined;
    for (const pools of this.#bySource.values()) {
      const pool = pools.get(slot);
      if (pool !== undefined && pool.idleCount > (richest?.idleCount ?? 0)) richest = pool;
    }
    richest?.evictOldest();
  }

  #retire(pool: Pool): void {
    pool.retire();
    this.#retired.add(pool);
  }

  /** Forgets pools that have nothing left. */
  sweep(): void {
    for (const [source, pools] of this.#bySource) {
      for (const [key, pool] of pools) {
        if (!pool.empty) continue;
        pool.close();
        pools.delete(key);
      }
      if (pools.size === 0) this.#bySource.delete(source);
    }
    for (const pool of this.#retired) {
      if (!pool.empty) continue;
      pool.close();
      this.#retired.delete(pool);
    }
  }

  totals(): { idle: number; busy: number; pending: number } {
    const sum = { idle: 0, busy: 0, pending: 0 };
    const all = [...this.#bySource.values()].flatMap((pools) => [...pools.values()]);
    for (const pool of [...all, ...this.#retired]) {
      sum.idle += pool.idleCount;
      sum.busy += pool.busyCount;
      sum.pending += pool.pendingCount;
    }
    return sum;
  }

  close(): void {
    clearInterval(this.#sweeper);
    for (const pools of this.#bySource.values()) for (const pool of pools.values()) pool.close();
    for (const pool of this.#retired) pool.close();
  }
}
