import { availableParallelism } from "node:os";
import type { HttpProtocol, ScaleDimension, Workload } from "../model.ts";

/** What grows, and how far it has. */
export interface ScalePoint {
  readonly dimension: ScaleDimension;
  readonly value: number;
  readonly services: number;
  /** How many of the services are called, in turn; the proxy only knows of the others. */
  readonly called: number;
  /** Endpoints of each service, each with an address of its own. */
  readonly endpointsEach: number;
  /** Requests at a time, each of which is followed by another one as soon as it is answered. */
  readonly active: number;
  /** Client connections that have carried one request and keep quiet. */
  readonly idle: number;
  /** Worker threads or processes of the proxy. */
  readonly workers: number;
}

export const DIMENSIONS: readonly ScaleDimension[] = [
  "services",
  "known",
  "endpoints",
  "connections",
  "workers",
];
export const DEFAULT_POINTS: readonly number[] = [10, 100, 1_000, 10_000];
/** Of everything that does not grow. */
export const ACTIVE = 64;
/** Requests that share a connection of HTTP/2. */
const STREAMS = 8;
/** Of the services that are known: what the containers of one host call. */
const CALLED = 10;
/** More workers than that say nothing new. */
const MOST_WORKERS = 16;

/** The points of a dimension, in ascending order; `points` is ignored for workers, which go up to the CPUs. */
export function pointsOf(
  dimension: ScaleDimension,
  points: readonly number[],
  cpus = availableParallelism(),
): ScalePoint[] {
  const values = dimension === "workers" ? workerCounts(cpus) : points;
  return [...new Set(values)].sort((a, b) => a - b).map((value) => pointAt(dimension, value));
}

function pointAt(dimension: ScaleDimension, value: number): ScalePoint {
  const services = dimension === "services" || dimension === "known" ? value : 1;
  return {
    ...{ dimension, value, services, active: ACTIVE },
    called: dimension === "known" ? Math.min(CALLED, services) : services,
    endpointsEach: dimension === "endpoints" ? value : 1,
    idle: dimension === "connections" ? value : 0,
    workers: dimension === "workers" ? value : 1,
  };
}

/** Every number up to four, then powers of two, and all CPUs. */
function workerCounts(cpus: number): number[] {
  const most = Math.max(1, Math.min(cpus, MOST_WORKERS));
  return [1, 2, 3, 4, 8, 16, most].filter((count) => count <= most);
}

/** As many requests at a time: one on each connection, or several where they share connections. */
export function loadOf(
  protocol: HttpProtocol,
  active: number,
): Pick<Workload, "connections" | "streams"> {
  if (protocol === "http1") return { connections: active, streams: 1 };
  return { connections: Math.ceil(active / STREAMS), streams: STREAMS };
}

/** As a progress line names it: `10000 services`. */
export function pointName({ dimension, value }: ScalePoint): string {
  if (dimension === "connections") return `${value} idle connections`;
  return dimension === "known" ? `${value} known services` : `${value} ${dimension}`;
}
