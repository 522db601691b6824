import type { HostPort } from "./address.ts";
import type { Endpoint, Service, Workload } from "./model.ts";
import type { Policies, PolicyTarget } from "./policy.ts";
import type { ClientScope, RouteTable, TrafficSettings } from "./traffic.ts";

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
  /** SPIFFE ID of the workload behind it; absent: the mesh has no identities. */
  readonly identity?: string;
  /** Where its host takes mutual TLS for it; absent: it is local, or takes none. */
  readonly mesh?: HostPort;
  /** Nobody may be there who takes it: see `MeshHost`. */
  readonly away?: true;
  /** Local endpoints only: the workload as policies select it. */
  readonly target?: PolicyTarget;
}

export interface DataService extends Omit<Service, "meta"> {
  /** `namespace/name`. */
  readonly key: string;
  readonly endpoints: readonly DataEndpoint[];
  /** Absent: nothing is routed otherwise than to the service itself. */
  readonly routes?: readonly RouteTable[];
  /** Another one wherever `routes` are others: compiling them anew is only worth it then. */
  readonly routeStamp?: string;
  /** The first that holds for a caller counts. Absent: the daemon's defaults. */
  readonly traffic?: readonly DataTraffic[];
  /**
   * Indices into the shared state of services, by name of the subset, "" for the service itself. Absent: there are no
   * limits to be kept.
   */
  readonly slots?: Readonly<Record<string, number>>;
}

/** What holds for some callers of a service. */
export interface DataTraffic {
  /** Namespaces of the callers; null: all. */
  readonly clients: readonly string[] | null;
  readonly settings: TrafficSettings;
  /** By port of the service, in place of `settings`. */
  readonly ports: Readonly<Record<string, TrafficSettings>>;
  readonly subsets: readonly DataSubset[];
}

export interface DataSubset {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Those of the service, field by field replaced by the subset's own. */
  readonly settings: TrafficSettings;
  readonly ports: Readonly<Record<string, TrafficSettings>>;
}

export interface DataWorkload extends Omit<Workload, "host"> {
  /** Index into the shared quota state. */
  readonly slot: number;
  /** `namespace/name`. */
  readonly key: string;
  /** SPIFFE ID; absent: the mesh has no identities. */
  readonly identity?: string;
}

/** Is it still who it was? Another pod of the same name is somebody else, whatever its identity. */
export function isSameWorkload(a: DataWorkload, b: DataWorkload): boolean {
  return a.identity === b.identity && a.uid === b.uid;
}

/** One atomic step of a worker's view. `full` drops everything that it does not name. */
export interface DataUpdate {
  readonly revision: number;
  readonly full: boolean;
  readonly services: readonly DataService[];
  readonly removedServices: readonly string[];
  readonly workloads: readonly DataWorkload[];
  readonly removedWorkloads: readonly string[];
  /** Absent: as they were. */
  readonly policies?: Policies;
  /** Which services workloads see. Absent: as they were. */
  readonly scopes?: readonly ClientScope[];
  /** Where this host is, as the registry knows it. Absent: as it was. */
  readonly place?: Place;
}

/** Empty: it is not known. */
export interface Place {
  readonly zone: string;
  readonly region: string;
}

/** A local workload as policies select it, where it was dialled at a port that is no endpoint's. */
export function targetOfWorkload(workload: DataWorkload): PolicyTarget {
  const { key, namespace, serviceAccount, labels = {}, identity = "" } = workload;
  return { key, namespace, serviceAccount, labels, services: [], identity };
}
