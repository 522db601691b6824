import { formatHostPort } from "../../../core/address.ts";
import { MeshError } from "../../../core/errors.ts";
import type { PoolTarget } from "./upstream-pool.ts";

/** No more requests may wait for the connections to this endpoint. */
export function queueFull({ host, port }: PoolTarget, waiting: number): MeshError {
  const detail = `${formatHostPort(host, port)}, ${waiting} requests wait here`;
  return new MeshError("POOL_QUEUE_FULL", detail);
}

/** No more requests may wait for connections to the service, over all its endpoints and workers. */
export function serviceFull({ limits }: PoolTarget): MeshError {
  const { key = "", maxPending } = limits ?? {};
  const detail = `${key} has its ${maxPending} requests that wait for a connection`;
  return new MeshError("CIRCUIT_OPEN", detail);
}

/** A request has waited as long as it may. */
export function queueTimeout({ host, port }: PoolTarget, queueMs: number): MeshError {
  return new MeshError("POOL_QUEUE_TIMEOUT", `${formatHostPort(host, port)}, limit ${queueMs} ms`);
}
