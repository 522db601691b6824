import type { AppProtocol, BalancerConfig, Health, ServicePort } from "./model.ts";

/**
 * The compiled form of the model that workers read. The generation's main thread builds it (it alone
 * hands out slots in shared memory) and posts whole services and workloads to every worker: an update
 * is applied completely, between two events, or not at all.
 */
export interface DataEndpoint {
  /** Index into the shared endpoint state; stays the same while the endpoint exists. */
  readonly slot: number;
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly portName: string;
  readonly weight: number;
  readonly zone: string;
  readonly host: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly protocol?: AppProtocol;
  readonly health: Health;
  /** Is it served on this very host? */
  readonly local: boolean;
}

export interface DataService {
  /** `namespace/name`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly protocol?: AppProtocol;
  readonly balancer: BalancerConfig;
  readonly endpoints: readonly DataEndpoint[];
}

export interface DataWorkload {
  /** Index into the shared quota state. */
  readonly slot: number;
  /** `namespace/name`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly addresses: readonly string[];
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
