import type { PoolLimits } from "./upstream-pool.ts";

/** Limits of one pool. Times in ms; 0: none. */
export interface PoolSettings {
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly maxIdle: number;
  readonly maxRequestsPerConnection: number;
  /** Requests at once on a connection of HTTP/2, where the endpoint does not allow fewer. */
  readonly streamsPerConnection: number;
  readonly queueMs: number;
  readonly idleMs: number;
  readonly freshMs: number;
}

/** The daemon's settings, and what a service says otherwise; limits of the daemon are never exceeded. */
export function settingsFor(settings: PoolSettings, limits: PoolLimits | undefined): PoolSettings {
  if (limits === undefined) return settings;
  const { maxRequestsPerConnection, idleTimeoutMs } = limits;
  return {
    ...settings,
    ...(maxRequestsPerConnection === undefined ? {} : { maxRequestsPerConnection }),
    ...(idleTimeoutMs === undefined ? {} : { idleMs: idleTimeoutMs }),
  };
}
