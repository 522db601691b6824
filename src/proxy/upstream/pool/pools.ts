import { formatHostPort } from "../../../core/address.ts";
import { Pool } from "./pool.ts";
import type { PoolDeps } from "./pool-deps.ts";
import { StreamPool } from "./stream-pool.ts";
import type { PoolTarget, UpstreamPool } from "./upstream-pool.ts";

const SWEEP_MS = 30_000;
/** Not part of any workload's key. */
const ADDRESS_MARK = "|";

/**
 * All pools of one worker, by source and destination: two workloads never share a connection. Pools that
 * have nothing left are forgotten now and then, so that sources and endpoints may come and go.
 */
export class Pools {
  readonly #deps: PoolDeps;
  readonly #bySource = new Map<string, Map<number | string, UpstreamPool>>();
  readonly #retired = new Set<UpstreamPool>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(deps: Omit<PoolDeps, "evictIdle">) {
    this.#deps = { ...deps, evictIdle: (slot) => this.#evictIdle(slot) };
    this.#sweeper = setInterval(() => this.sweep(), SWEEP_MS);
    this.#sweeper.unref();
  }

  /**
   * The pool of this source for this destination. To other hosts each address of a source has connections of its own,
   * since the other host is told the address once for a connection.
   */
  get(source: string, target: PoolTarget): UpstreamPool {
    const { mesh } = target;
    const home = mesh === undefined ? source : `${source}${ADDRESS_MARK}${mesh.client}`;
    let pools = this.#bySource.get(home);
    if (pools === undefined) {
      pools = new Map();
      this.#bySource.set(home, pools);
    }
    const key = keyOf(target);
    const known = pools.get(key);
    if (known !== undefined && isSame(known.target, target)) return known;
    if (known !== undefined) this.#retire(known);
    const isHttp2 = target.protocol === "h2";
    const pool = isHttp2 ? new StreamPool(target, this.#deps) : new Pool(target, this.#deps);
    pools.set(key, pool);
    return pool;
  }

  /** The endpoint in this slot is gone: its idle connections close now, for every source. */
  retire(slot: number): void {
    for (const pools of this.#bySource.values()) {
      for (const [key, pool] of pools) {
        if (pool.target.slot !== slot) continue;
        pools.delete(key);
        this.#retire(pool);
      }
    }
  }

  /** The source is gone or is somebody else now: its idle connections close now, busy ones after their request. */
  retireSource(source: string): void {
    for (const [key, pools] of this.#bySource) {
      if (key !== source && !key.startsWith(`${source}${ADDRESS_MARK}`)) continue;
      for (const pool of pools.values()) this.#retire(pool);
      this.#bySource.delete(key);
    }
  }

  /** The same for all connections to other hosts. */
  retireMesh(): void {
    for (const pools of this.#bySource.values()) {
      for (const [key, pool] of pools) {
        if (pool.target.mesh === undefined) continue;
        pools.delete(key);
        this.#retire(pool);
      }
    }
  }

  /** The pool that has most idle connections gives one up, so that no source can keep others out. */
  #evictIdle(slot: number): void {
    let richest: UpstreamPool | undefined;
    for (const pools of this.#bySource.values()) {
      for (const pool of pools.values()) {
        const isOf = pool.target.slot === slot;
        if (isOf && pool.idleCount > (richest?.idleCount ?? 0)) richest = pool;
      }
    }
    richest?.evictOldest();
  }

  #retire(pool: UpstreamPool): void {
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

/** Of the slot alone it is a number, which costs least; all others are texts. */
function keyOf({ slot, host, port, protocol, limits }: PoolTarget): number | string {
  const suffix = protocol ?? "";
  if (slot < 0) return formatHostPort(host, port) + suffix;
  if (limits === undefined) return suffix === "" ? slot : slot + suffix;
  return `${slot}${suffix} ${limits.key}`;
}

/** Does a connection to one of them serve the other? A route by mutual TLS is compared whole, identities above all. */
function isSame(a: PoolTarget, b: PoolTarget): boolean {
  if (a.host !== b.host || a.port !== b.port) return false;
  if (a.limits !== b.limits || a.protocol !== b.protocol) return false;
  const [x, y] = [a.mesh, b.mesh];
  if (x === undefined || y === undefined) return x === y;
  return (
    x.source === y.source &&
    x.destination === y.destination &&
    x.protocol === y.protocol &&
    x.required === y.required &&
    x.via.host === y.via.host &&
    x.via.port === y.via.port
  );
}
