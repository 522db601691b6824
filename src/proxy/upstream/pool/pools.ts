import { formatHostPort } from "../../../core/address.ts";
import type { LinkForm } from "./link-memory.ts";
import { MeshPool } from "./mesh-pool.ts";
import { Pool } from "./pool.ts";
import type { PoolDeps } from "./pool-deps.ts";
import { StreamPool } from "./stream-pool.ts";
import type { PoolTarget, UpstreamPool } from "./upstream-pool.ts";

const SWEEP_MS = 30_000;
/** Not part of any workload's key. */
const ADDRESS_MARK = "|";

/**
 * All pools of one worker, by source and destination: two workloads never share a connection, but to other hosts, where
 * those of one identity do (`MeshLinks`). Pools that
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
   * The pool of this source for this destination. To other hosts each address of a source has a pool of its own, since the
   * other host is told the address.
   */
  get(source: string, target: PoolTarget): UpstreamPool {
    const pool = this.#poolAt(source, target, "link");
    if (!(pool instanceof MeshPool)) return pool;
    const form = target.inTunnel && pool.form === "link" ? "hbone" : pool.form;
    if (form === "link") return pool;
    return this.#poolAt(source, form === "oldest" ? inHttp1(target) : target, form);
  }

  /** `form`: how the other host is spoken to, where it is one. */
  #poolAt(source: string, target: PoolTarget, form: LinkForm): UpstreamPool {
    const { mesh } = target;
    const home = mesh === undefined ? source : `${source}${ADDRESS_MARK}${mesh.client}`;
    let pools = this.#bySource.get(home);
    if (pools === undefined) {
      pools = new Map();
      this.#bySource.set(home, pools);
    }
    const key = form === "link" ? keyOf(target) : `${keyOf(target)} ${form}`;
    const known = pools.get(key);
    if (known !== undefined && isSame(known.target, target)) return known;
    if (known !== undefined) this.#retire(known);
    const pool = this.#make(target, form);
    pools.set(key, pool);
    return pool;
  }

  #make(target: PoolTarget, form: LinkForm): UpstreamPool {
    const { mesh } = target;
    const deps = this.#deps;
    if (mesh !== undefined && form === "link") return new MeshPool(target, mesh, deps);
    const isHttp2 = target.protocol === "h2";
    if (form !== "hbone") return isHttp2 ? new StreamPool(target, deps) : new Pool(target, deps);
    return isHttp2
      ? new StreamPool(target, { ...deps, dial: deps.dialTunnelled })
      : new Pool(target, { ...deps, dial: deps.dialTunnel });
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

  /** The same for all that goes to other hosts, and for the connections that it goes by. */
  retireMesh(): void {
    this.#deps.links.retire();
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
    this.#deps.links.sweep();
  }

  totals(): { idle: number; busy: number; pending: number } {
    const sum = { idle: this.#deps.links.idleCount, busy: 0, pending: 0 };
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
    this.#deps.links.close();
  }
}

/** The same endpoint for hosts that know connections of HTTP/1.1 only. */
function inHttp1({ protocol: _, mesh, ...target }: PoolTarget): PoolTarget {
  return mesh === undefined ? target : { ...target, mesh: { ...mesh, protocol: "http/1.1" } };
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
