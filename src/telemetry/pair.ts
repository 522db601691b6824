import type { MeshErrorCode } from "../core/errors.ts";
import type { Entry, RequestFacts, TrafficSource } from "../core/facts.ts";
import { keyOf } from "../core/model.ts";
import { SECURITIES, type Security } from "../core/security.ts";
import type { Handle } from "./slot-allotter.ts";

/** Label values of `source` and `destination` where there is no workload or no service. */
const UNKNOWN_SOURCE = "unknown";
export const PASSTHROUGH = "passthrough";
/** Places of the entries among a pair's flows. */
export const ENTRIES: Readonly<Record<Entry, number>> = {
  captured: 0,
  explicit: 1,
  passthrough: 2,
  mesh: 3,
  inbound: 4,
};
export const SECURITY_INDEX = Object.fromEntries(
  SECURITIES.map((security, index) => [security, index]),
) as Readonly<Record<Security, number>>;
export const NO_DESTINATION = "none";

export interface Flow {
  readonly handle: Handle;
  readonly labels: readonly [
    source: string,
    destination: string,
    entry: Entry,
    protocol: string,
    security: Security,
  ];
  /** By code class; exchanges without an error. */
  readonly clean: (Handle | undefined)[];
  readonly failed: Map<MeshErrorCode, (Handle | undefined)[]>;
}

/**
 * One source and one service. What nearly every request needs stands in this one object, because with many services
 * each object that is looked at is one more that is in no cache.
 */
export interface Pair {
  /** Of all tables, when the bases were found. */
  releases: number;
  inFlight: number;
  destination: number;
  /** Flow and outcome of the last exchange, which most likely are those of the next one, too. */
  flowIndex: number;
  flow: number;
  code: number;
  error: MeshErrorCode | null;
  outcome: number;
  routeName: string;
  route: number;
  readonly handles: {
    readonly inFlight: Handle;
    readonly destination: Handle;
    /** By entry, then protocol, then security. */
    readonly flows: (Flow | undefined)[];
    readonly routes: Map<string, Handle>;
  };
}

/** Is it of a caller of this host, which chose the route? */
export function isRouted({ service, entry }: Readonly<RequestFacts>): boolean {
  return service !== null && entry !== "mesh" && entry !== "inbound";
}

/** The containers of one service that nobody registered by name have keys of their own but one name. */
export function nameOf(source: TrafficSource | null): string {
  return source === null ? UNKNOWN_SOURCE : keyOf(source);
}
