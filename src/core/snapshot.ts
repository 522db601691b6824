import type { Endpoint, Service, Workload } from "./model.ts";

/**
 * The compiled form of the model that workers read. The generation's main thread builds it (it alone
 * hands out slots in shared memory) and posts whole services and workloads to every worker: an update
 * is applied completely, between two events, or not at all.
 */
export interface DataEndpoint extends Omit<Endpoint, "service" | "namespace"> {
  /** Index into the shared endpoint state; stays the same while the endpoint exists. */
  readonly slot: number;
  /** Is it served on this very host? */
  readonly local: boolean;
}

export interface DataService extends Omit<Service, "meta"> {
  /** `namespace/name`. */
  readonly key: string;
  readonly endpoints: readonly DataEndpoint[];
}

export interface DataWorkload extends Omit<Workload, "host"> {
  /** Index into the shared quota state. */
  readonly slot: number;
  /** `namespace/name`. */
  readonly key: string;
}

/** One atomic step of a worker's view. `full` drops everything that it does not name. */
export interface DataUpdate {
  readonly revision: number;
  readonly full: boolean;
  readonly services: readonly DataService[];
  readonly removedServices: readonly string[];
  readonly workloads: readonly DataWorkload[];
  readonly removedWorkloads: readonly string[];
}
