import { canonicalAddress } from "../core/address.ts";
import type { RecordKind, RecordValues } from "./records.ts";

/** Sets of record keys by bucket name. A bucket of one member, which most are, costs no `Set`. */
export class Buckets {
  readonly #members = new Map<string, string | Set<string>>();

  add(bucket: string, member: string): void {
    const present = this.#members.get(bucket);
    if (present === undefined) this.#members.set(bucket, member);
    else if (present instanceof Set) present.add(member);
    else if (present !== member) this.#members.set(bucket, new Set([present, member]));
  }

  delete(bucket: string, member: string): void {
    const present = this.#members.get(bucket);
    if (present === member) this.#members.delete(bucket);
    if (!(present instanceof Set)) return;
    present.delete(member);
    if (present.size === 0) this.#members.delete(bucket);
  }

  has(bucket: string): boolean {
    return this.#members.has(bucket);
  }

  members(bucket: string): Iterable<string> {
    const present = this.#members.get(bucket);
    if (present === undefined) return [];
    return present instanceof Set ? present : [present];
  }
}

/** Names of the buckets: every question that is answered without a scan. */
export const bucketNames = {
  endpointsOfService: (serviceKey: string) => `service:${serviceKey}`,
  endpointsOfHost: (host: string) => `host:${host}`,
  checksOfEndpoint: (endpointId: string) => `checks:${endpointId}`,
  probesOfHost: (host: string) => `probes:${host}`,
  serviceAt: (address: string) => `virtual:${canonicalAddress(address)}`,
  workloadsOfHost: (host: string) => `workloads:${host}`,
  workloadAt: (host: string, address: string) => `workload:${host} ${canonicalAddress(address)}`,
  /** Resources that speak of a topic, and those whose translation depends on it. */
  resourcesOn: (topic: string) => `topic:${topic}`,
  resourcesNeeding: (topic: string) => `needs:${topic}`,
  /** Histories of resources that are gone. */
  removedResources: "removed",
};

/** The buckets that a record belongs to. */
export function bucketsOf<K extends RecordKind>(kind: K, value: RecordValues[K]): string[] {
  if (kind === "service") {
    return (value as RecordValues["service"]).service.addresses.map(bucketNames.serviceAt);
  }
  if (kind === "endpoint") {
    const { namespace, service, host } = (value as RecordValues["endpoint"]).endpoint;
    return [
      bucketNames.endpointsOfService(`${namespace}/${service}`),
      bucketNames.endpointsOfHost(host),
    ];
  }
  if (kind === "workload") {
    const { host, addresses } = value as RecordValues["workload"];
    return [
      bucketNames.workloadsOfHost(host),
      ...addresses.map((address) => bucketNames.workloadAt(host, address)),
    ];
  }
  if (kind === "resource") {
    const { provides, needs } = value as RecordValues["resource"];
    return [...provides.map(bucketNames.resourcesOn), ...needs.map(bucketNames.resourcesNeeding)];
  }
  if (kind === "history") {
    const { revisions } = value as RecordValues["history"];
    return revisions.at(-1)?.content === null ? [bucketNames.removedResources] : [];
  }
  if (kind !== "check") return [];
  const { endpoint, host, spec } = value as RecordValues["check"];
  const buckets = [bucketNames.checksOfEndpoint(endpoint)];
  if (spec.kind !== "ttl") buckets.push(bucketNames.probesOfHost(host));
  return buckets;
}
