/**
 * The records that the registry stores and the data path acts on. There is one internal model: every
 * dialect (Consul registrations today; Istio, SMI and Gateway API resources later) is translated to it.
 */

import type { Policy } from "./policy.ts";
import type { ClientScope, RouteTable, TrafficPolicy } from "./traffic.ts";

/** What an endpoint speaks. Absent means: find out by a bounded peek. */
export type AppProtocol = "http" | "http2" | "grpc" | "tls" | "tcp";

/** Health as Consul names it. `warning` still gets traffic, with its own weight; `critical` gets none. */
export type Health = "passing" | "warning" | "critical";

/** Names of the load-balancing policies; see `src/proxy/upstream/balance`. */
export const BALANCER_POLICIES = [
  "peak-ewma",
  "least-request",
  "round-robin",
  "random",
  "ring-hash",
  "maglev",
] as const;
export type BalancerPolicy = (typeof BALANCER_POLICIES)[number];

/** What ring-hash and Maglev hash. Absent, or absent in the request: the source address. */
export type HashOn =
  | { readonly kind: "header"; readonly name: string }
  /** With `ttlSeconds` the proxy sets the cookie where the request has none; 0: for the session. */
  | {
      readonly kind: "cookie";
      readonly name: string;
      readonly ttlSeconds?: number;
      readonly path?: string;
    }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "source" };

export interface BalancerConfig {
  readonly policy: BalancerPolicy;
  readonly hashOn?: HashOn;
  /** Length of the slow-start ramp of a new endpoint, in ms; 0 switches it off. */
  readonly slowStartMs: number;
  /** Share at the begin of the ramp, in percent (Envoy's `min_weight_percent`); absent: 10. */
  readonly slowStartMinPercent?: number;
  /** Form of the ramp (Envoy's `aggression`); absent: 1, a straight line. */
  readonly slowStartAggression?: number;
}

export interface ServicePort {
  /** Unique within the service; `""` for the only port of a one-port service. */
  readonly name: string;
  /** Port on the service's virtual addresses. */
  readonly port: number;
  readonly protocol?: AppProtocol;
}

/** A name that clients call. Its key is `namespace/name`. */
export interface Service {
  readonly name: string;
  readonly namespace: string;
  /** Virtual addresses (IPv4, IPv6). The registry allots them when none are given. */
  readonly addresses: readonly string[];
  /** Empty: every port of the virtual address leads to the endpoints' own ports. */
  readonly ports: readonly ServicePort[];
  readonly protocol?: AppProtocol;
  readonly balancer: BalancerConfig;
  readonly meta: Readonly<Record<string, string>>;
  /** `required`: callers use mutual TLS between hosts or fail; absent: they use it where they can. */
  readonly mtls?: "required";
  /** Host names that it answers to besides its own; `*.` at the begin stands for any labels (Istio's ServiceEntry). */
  readonly hosts?: readonly string[];
  /** Namespaces whose workloads see it; absent: all. */
  readonly exportTo?: readonly string[];
  /** Has no endpoints of its own: connections go to the address that was dialled (Istio's resolution NONE). */
  readonly originalDestination?: true;
}

/** One place where a service is served. */
export interface Endpoint {
  /** Unique over the mesh: `host/instance-id`. */
  readonly id: string;
  readonly service: string;
  readonly namespace: string;
  readonly address: string;
  readonly port: number;
  /** Which `ServicePort` this endpoint serves, by name. */
  readonly portName: string;
  /** Relative share, 0 to 65535; 0 takes no new requests. */
  readonly weight: number;
  readonly zone: string;
  /** Name of the host (node) that it runs on. */
  readonly host: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly protocol?: AppProtocol;
  readonly health: Health;
  /** Above the zone. */
  readonly region?: string;
  /** `address` is a name that every daemon resolves for itself. */
  readonly resolve?: "dns";
  /**
   * Is not part of the mesh, although its host may have a daemon: callers speak to it in the clear, nobody takes it for a
   * workload, and no identity follows from it.
   */
  readonly outside?: true;
  /** Key of the workload that it is: nobody else is taken for it, also while that has no record. */
  readonly workload?: string;
  /** Whom it is meant for first (the hints of Kubernetes' EndpointSlices); absent: it says nothing of it. */
  readonly hints?: EndpointHints;
}

/** Callers whom an endpoint is meant for. An absent list says nothing; an empty one would be for nobody. */
export interface EndpointHints {
  readonly zones?: readonly string[];
  readonly hosts?: readonly string[];
}

/** A container (or pod) with its own address: the unit of identity and of quotas. Key: `namespace/name`. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly host: string;
  readonly addresses: readonly string[];
  /** What policies select it by. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Tells it from a later one of the same name (the UID of a pod). */
  readonly uid?: string;
}

/** A host with a daemon that takes mutual TLS. Key: its name. */
export interface MeshHost {
  readonly name: string;
  /** Where its mesh port is reached. */
  readonly address: string;
  readonly meshPort: number;
  /** Its daemon is about to stop, or not back yet: endpoints behind it are called where there are no others. */
  readonly away?: true;
  /** Where it is, as far as the registry knows: for its own daemon. */
  readonly zone?: string;
  readonly region?: string;
}

/** The authorities that are trusted now; there is one such record, with the key `trust`. */
export interface TrustBundle {
  readonly trustDomain: string;
  /** PEM, one certificate each. */
  readonly anchors: readonly string[];
  /** SHA-256 (hex) of the authority's certificate that signs now: when it changes, leaves are renewed. */
  readonly issuer: string;
}

/** One step from a revision to the next; `value: null` removes the record. */
export type Change =
  | { readonly kind: "service"; readonly key: string; readonly value: Service | null }
  | { readonly kind: "endpoint"; readonly key: string; readonly value: Endpoint | null }
  | { readonly kind: "workload"; readonly key: string; readonly value: Workload | null }
  | { readonly kind: "host"; readonly key: string; readonly value: MeshHost | null }
  | { readonly kind: "trust"; readonly key: string; readonly value: TrustBundle | null }
  | { readonly kind: "policy"; readonly key: string; readonly value: Policy | null }
  | { readonly kind: "route"; readonly key: string; readonly value: RouteTable | null }
  | { readonly kind: "traffic"; readonly key: string; readonly value: TrafficPolicy | null }
  | { readonly kind: "scope"; readonly key: string; readonly value: ClientScope | null };

/** The namespace of everything that names none. */
export const DEFAULT_NAMESPACE = "default";

/** Key of a service or workload. */
export function keyOf(record: { readonly namespace: string; readonly name: string }): string {
  return `${record.namespace}/${record.name}`;
}
