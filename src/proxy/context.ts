import { type HostPort, isLoopback } from "../core/address.ts";
import type { SocketPlaces } from "../core/exchange-details.ts";
import type { Entry, TrafficSource } from "../core/facts.ts";
import type { DataWorkload } from "../core/snapshot.ts";

/** What is known of a client's connection once it is accepted and identified. */
export interface Origin {
  readonly entry: Entry;
  /** Canonical address of the client. */
  readonly address: string;
  /** Null: the host itself, or a stranger. */
  readonly workload: DataWorkload | null;
  /** Where the client was going; null on the explicit proxy port. */
  readonly destination: HostPort | null;
  /** SPIFFE ID that the caller has proved, by its address on this host or by its certificate; "": none. */
  readonly identity: string;
  /** From another host: what the caller's certificate was, and which identity it wanted to meet here. */
  readonly peer: PeerFacts | null;
  /** Of another host: whom its traffic is counted for. */
  readonly caller?: TrafficSource | null;
  /** Both ends of the client's own connection; absent: its requests come through another host. */
  readonly places?: SocketPlaces;
}

/** Whom traffic is counted for; null: the host itself, or a stranger. */
export function trafficSource({ workload, caller = null }: Origin): TrafficSource | null {
  return workload ?? caller;
}

export interface PeerFacts {
  /** SHA-256 of the certificate in hex. */
  readonly fingerprint: string;
  /** SPIFFE ID of the workload for which this host opened the connection. */
  readonly presented: string;
}

/** Under this name requests share connection pools: the workload's, the host's own, or strangers'. */
export function sourceKey(origin: Origin): string {
  return origin.workload?.key ?? (isLoopback(origin.address) ? "host" : "strangers");
}

/** Namespace in which a client's short names are looked up. */
export function sourceNamespace(origin: Origin): string {
  return origin.workload?.namespace ?? "default";
}
