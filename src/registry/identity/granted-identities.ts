import {
  formatSpiffeId,
  HOST_NAMESPACE,
  hostSpiffeId,
  parseSpiffeId,
  SYSTEM_NAMESPACE,
} from "../../core/identity.ts";
import { bucketNames } from "../buckets.ts";
import type { Catalog } from "../catalog.ts";
import { RegistryError } from "../registry-error.ts";

/** Why a host does not get a certificate. */
export type GrantRefusal =
  | "malformed"
  | "other_trust_domain"
  | "other_host"
  | "reserved"
  | "not_on_this_host";

/**
 * The identities that a host may have: its own, those of the workload records with its name, and for every endpoint at
 * an address that no workload record of the host claims, one that is named after the endpoint's service; not where it is
 * outside of the mesh, or says which workload it is.
 */
export function grantedIdentities(
  catalog: Catalog,
  trustDomain: string,
  host: string,
): ReadonlySet<string> {
  const granted = new Set([hostSpiffeId(trustDomain, host)]);
  const grant = (namespace: string, serviceAccount: string) => {
    // Records from before these namespaces were reserved must not become somebody else.
    if (isReserved(namespace)) return;
    granted.add(formatSpiffeId({ trustDomain, namespace, serviceAccount }));
  };
  for (const key of catalog.members(bucketNames.workloadsOfHost(host))) {
    const workload = catalog.get("workload", key);
    if (workload !== undefined) grant(workload.namespace, workload.serviceAccount);
  }
  for (const key of catalog.members(bucketNames.endpointsOfHost(host))) {
    const endpoint = catalog.get("endpoint", key)?.endpoint;
    if (endpoint === undefined || endpoint.outside || endpoint.workload !== undefined) continue;
    const [claimed] = catalog.members(bucketNames.workloadAt(host, endpoint.address));
    if (claimed === undefined) grant(endpoint.namespace, endpoint.service);
  }
  return granted;
}

/** Null: the host may have it. */
export function refusalOf(
  granted: ReadonlySet<string>,
  trustDomain: string,
  identity: string,
): GrantRefusal | null {
  const id = parseSpiffeId(identity);
  if (id === null) return "malformed";
  if (id.trustDomain !== trustDomain) return "other_trust_domain";
  if (granted.has(identity)) return null;
  if (id.namespace === HOST_NAMESPACE) return "other_host";
  return isReserved(id.namespace) ? "reserved" : "not_on_this_host";
}

/** Throws 403 for the namespaces of hosts and of the mesh itself: what is registered there would get their identities. */
export function refuseReserved(namespace: string): void {
  if (!isReserved(namespace)) return;
  throw new RegistryError(403, `the namespace ${namespace} is the mesh's own`, "namespace");
}

function isReserved(namespace: string): boolean {
  return namespace === HOST_NAMESPACE || namespace === SYSTEM_NAMESPACE;
}
