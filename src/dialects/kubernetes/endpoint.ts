import { isIP } from "node:net";
import type { AppProtocol, Endpoint, EndpointHints } from "../../core/model.ts";

/** One address where a port of a service is served. */
export interface Place {
  /** The resource that says so, as `slice.shop.web-x7k2p`. Two may name one address while it goes from one to the other. */
  readonly owner: string;
  readonly namespace: string;
  readonly service: string;
  /** Of the service's port. */
  readonly portName: string;
  readonly address: string;
  readonly port: number;
  /** Name of the node; "" where nobody says. */
  readonly node: string;
  readonly zone: string;
  readonly region: string;
  /** Is not part of the mesh. */
  readonly outside: boolean;
  /** Of the pod behind it; "" where nobody says. */
  readonly uid: string;
  readonly hints?: EndpointHints;
  /** Key of the workload that it is. */
  readonly workload?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly protocol: AppProtocol | null;
  readonly condition: Condition;
}

/** `leaving`: it still serves, but is being deleted. */
export type Condition = "ready" | "leaving" | "unready";

/** Which two places are the same one, seen twice: an address of two pods is two, of which one is a memory. */
export function placeKey(place: Place): string {
  return `${spotOf(place)} ${place.uid}`;
}

/** Port and address of a place, whoever is there. */
export function spotOf({ portName, address, port }: Place): string {
  return `${portName} ${address} ${port}`;
}

/** Which places serve in each other's stead: those of one port, and of one family of addresses, as for kube-proxy. */
export function groupOf({ portName, address }: Place): string {
  return `${isIP(address)} ${portName}`;
}

/**
 * An endpoint of the mesh. While its group has a ready one those that are leaving get no new requests, and keep what they
 * have; without one they serve on (KEP-1669). What is not ready never serves. Where each host serves a service by itself,
 * its proxy sees to it that the ready one is one of its own.
 */
export function endpointAt(place: Place, hasReady: boolean): Endpoint {
  const { namespace, service, portName, address, port, node, condition, protocol } = place;
  const named = portName === "" ? place.owner : `${place.owner}:${portName}`;
  return {
    // Endpoints of hosts outside the cluster have no node.
    id: `${node === "" ? service : node}/${named}@${address}:${port}`,
    ...{ service, namespace, address, port, portName },
    weight: condition === "leaving" && hasReady ? 0 : 1,
    zone: place.zone,
    host: node,
    meta: place.labels,
    ...(protocol === null ? {} : { protocol }),
    ...(place.region === "" ? {} : { region: place.region }),
    ...(place.outside ? { outside: true as const } : {}),
    ...(place.workload === undefined ? {} : { workload: place.workload }),
    ...(place.hints === undefined ? {} : { hints: place.hints }),
    health: condition === "unready" ? "critical" : "passing",
  };
}
