/** One of those that are compared. */
export interface Contestant {
  readonly name: "direct" | "nginx" | "HAProxy" | "hostmesh";
  readonly version: string;
  /** Where the load goes. */
  readonly port: number;
  /** Process whose CPU time counts, with all its descendants; null: there is none between load and upstream. */
  readonly pid: number | null;
  /** Load before the first measurement. Node compiles what is hot for some seconds; the others need no more than connections. */
  readonly warmUpSeconds: number;
  /** Opaque TCP: host and port to ask for with CONNECT before the first byte; null: the port leads there by itself. */
  readonly connectTo: string | null;
}

/** One that cannot be measured here, and how to change that. */
export interface Missing {
  readonly name: Contestant["name"];
  readonly reason: string;
}

/** The name in Host by which the service is called. */
export const SERVICE = "web";
