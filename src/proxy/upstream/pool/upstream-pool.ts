import type { HostPort } from "../../../core/address.ts";
import type { MeshError } from "../../../core/errors.ts";
import type { ConnectionLimits } from "../../../core/traffic.ts";
import type { Upstream } from "../../../http/upstream.ts";

/** Another host, for what one identity of this host has to say to one of that. */
export interface LinkRoute {
  /** The mesh port of the endpoint's host. */
  readonly via: HostPort;
  /** SPIFFE ID of the caller, whose certificate is shown; "": it has none. */
  readonly source: string;
  /** SPIFFE ID that the other side must prove. */
  readonly destination: string;
}

/** How an endpoint of another host is reached: by mutual TLS to that host. */
export interface MeshRoute extends LinkRoute {
  /** What is spoken to the endpoint. */
  readonly protocol: "http/1.1" | "h2" | "tcp";
  /** Address of the caller, which the other host is told. */
  readonly client: string;
  /** The calling workload; null: the host itself. */
  readonly caller: { readonly namespace: string; readonly name: string } | null;
  /** The service demands it: never in the clear. */
  readonly required: boolean;
}

/** What a service says of connections to its endpoints; exact over all workers where it counts something. */
export interface PoolLimits extends ConnectionLimits {
  /** Pools of the same endpoint with other limits are other pools. */
  readonly key: string;
  /** Index into the shared state of services; -1: what is to be counted over all endpoints is not limited. */
  readonly slot: number;
}

export interface PoolTarget {
  readonly host: string;
  readonly port: number;
  /** Index into shared endpoint state; -1 for a destination outside the mesh. */
  readonly slot: number;
  /** Outside the mesh: an address of the source, which says what it may reach. */
  readonly client?: string;
  /** HTTP/2; absent: HTTP/1.1. */
  readonly protocol?: "h2";
  /** Absent: in the clear. */
  readonly mesh?: MeshRoute;
  /** To another host: the request needs a connection of HTTP/1.1 of its own, by a tunnel. */
  readonly inTunnel?: boolean;
  /** Absent: the daemon's settings. */
  readonly limits?: PoolLimits;
}

/**
 * Which idle connections will do: `any`; `fresh` ones, which the endpoint has hardly had time to close, for a
 * request that must not be sent twice; or none but a `new` one, for a request that a used one has just lost.
 */
export type Freshness = "any" | "fresh" | "new";

/** A request that needs a connection. Exactly one of these is called, unless `cancel` comes first. */
export interface PoolWaiter {
  onConnection(upstream: Upstream): void;
  onNoConnection(error: MeshError): void;
  /** The other host turned out to speak in another way: it is another pool that has to be asked. */
  onMoved(): void;
}

/** What requests are given something to be sent by, for one source and one endpoint. */
export interface UpstreamPool {
  readonly target: PoolTarget;
  readonly idleCount: number;
  readonly busyCount: number;
  readonly pendingCount: number;
  /** Nothing open, nothing waiting: the pool may be forgotten. */
  readonly empty: boolean;
  /** Returns what is free at once, or null: then the waiter is called, now or later. */
  acquire(waiter: PoolWaiter, freshness: Freshness): Upstream | null;
  /** Does this waiter wait for others to end, rather than for a connection that is being opened? */
  waitsForOthers(waiter: PoolWaiter): boolean;
  /** A waiter that is no longer interested. */
  cancel(waiter: PoolWaiter): void;
  /** The request is over. What may not be used again is closed. */
  release(upstream: Upstream, nowMs: number): void;
  /** Ends what a request occupied, in the middle of it. */
  discard(upstream: Upstream): void;
  /** What had become a tunnel has ended. */
  forget(): void;
  /** Closes the idle connection that was used least recently. */
  evictOldest(): void;
  /** The endpoint is gone: idle connections close now, busy ones when their request ends. */
  retire(): void;
  close(): void;
}
