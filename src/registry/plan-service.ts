import { canonicalAddress } from "../core/address.ts";
import { keyOf, type Service, type Workload } from "../core/model.ts";
import { bucketNames } from "./buckets.ts";
import type { Draft } from "./draft.ts";
import { refuseReserved } from "./identity/granted-identities.ts";
import type { PlanSettings, ServiceInput } from "./inputs.ts";
import { RegistryError } from "./registry-error.ts";

/** Creates or replaces a service by name. Throws 409 for one that a resource brought, and for an address of another. */
export function declareService(draft: Draft, input: ServiceInput, settings: PlanSettings): void {
  const key = keyOf(input);
  refuseBrought(draft, key);
  const present = draft.get("service", key)?.service;
  const addresses =
    input.addresses.length > 0
      ? claimAddresses(draft, key, input.addresses)
      : (present?.addresses ?? allotAddresses(draft, key, settings));
  const service: Service = {
    name: input.name,
    namespace: input.namespace,
    addresses,
    ports: input.ports,
    ...(input.protocol === undefined ? {} : { protocol: input.protocol }),
    balancer: input.balancer,
    meta: input.meta,
    ...(input.mtls === undefined ? {} : { mtls: input.mtls }),
  };
  draft.put("service", key, { service, declared: true });
}

/**
 * Takes a declaration back. A service that still has endpoints stays, with its addresses but without
 * declared settings, until the last of them leaves. Says whether there was a declaration. Throws 409 for that of a
 * resource.
 */
export function withdrawService(draft: Draft, key: string, settings: PlanSettings): boolean {
  const present = draft.get("service", key);
  if (present === undefined || !present.declared) return false;
  refuseBrought(draft, key);
  releaseService(draft, key, settings);
  return true;
}

/** Takes the declaration of a service back, whoever made it. */
export function releaseService(draft: Draft, key: string, settings: PlanSettings): void {
  const present = draft.get("service", key);
  if (present === undefined) return;
  if (!hasMembers(draft, bucketNames.endpointsOfService(key))) {
    draft.remove("service", key);
    return;
  }
  const { name, namespace, addresses } = present.service;
  const { balancer } = settings;
  draft.put("service", key, {
    service: { name, namespace, addresses, ports: [], balancer, meta: {} },
    declared: false,
  });
}

function refuseBrought(draft: Draft, key: string): void {
  const resource = draft.get("service", key)?.resource;
  if (resource === undefined) return;
  const reason = `the service ${key} is brought by the resource ${resource}: change or delete that`;
  throw new RegistryError(409, reason);
}

/** Removes a service that nobody declared when its last endpoint has left. */
export function dropIfUnused(draft: Draft, key: string): void {
  const present = draft.get("service", key);
  if (present === undefined || present.declared) return;
  if (!hasMembers(draft, bucketNames.endpointsOfService(key))) draft.remove("service", key);
}

/** One free address of every range. Throws 503 when a range is exhausted. */
export function allotAddresses(draft: Draft, key: string, { ranges }: PlanSettings): string[] {
  return ranges.map((range) => {
    const address = range.allot(key, (each) => hasMembers(draft, bucketNames.serviceAt(each)));
    if (address === null) throw new RegistryError(503, "the range of virtual addresses is used up");
    return address;
  });
}

/** Canonical forms of addresses that a service brings. Throws 409 where another service has one. */
export function claimAddresses(draft: Draft, key: string, addresses: readonly string[]): string[] {
  return addresses.map((address, index) => {
    const canonical = canonicalAddress(address);
    for (const owner of draft.members(bucketNames.serviceAt(canonical))) {
      if (owner === key) continue;
      const reason = `${canonical} is a virtual address of ${owner}`;
      throw new RegistryError(409, reason, `addresses[${index}]`);
    }
    return canonical;
  });
}

/**
 * Creates or replaces a workload. Throws 403 in a namespace of the mesh's own, 409 where another workload of its host
 * has one of its addresses.
 */
export function putWorkload(draft: Draft, input: Workload): void {
  refuseReserved(input.namespace);
  const key = keyOf(input);
  const addresses = input.addresses.map(canonicalAddress);
  for (const [index, address] of addresses.entries()) {
    for (const owner of draft.members(bucketNames.workloadAt(input.host, address))) {
      if (owner === key) continue;
      const reason = `${address} on ${input.host} belongs to workload ${owner}`;
      throw new RegistryError(409, reason, `addresses[${index}]`);
    }
  }
  draft.put("workload", key, { ...input, addresses });
}

function hasMembers(draft: Draft, bucket: string): boolean {
  for (const _ of draft.members(bucket)) return true;
  return false;
}
