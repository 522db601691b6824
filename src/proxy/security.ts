import { isLoopback } from "../core/address.ts";
import type { Security } from "../core/security.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { ToCluster } from "./clusters.ts";
import type { Origin } from "./context.ts";
import type { Plane } from "./plane.ts";
import type { MeshRoute } from "./upstream/pool/upstream-pool.ts";

/** How the traffic of a connection came here, which is all there is to say of it while no endpoint is chosen. */
export function securityOfOrigin(origin: Origin): Security {
  if (origin.entry === "mesh") return "mutual_tls";
  return isOfThisHost(origin) ? "same_host" : "unknown_caller";
}

/**
 * How the whole way from the caller to an endpoint is secured, as far as this host sees it: the leg in the clear counts,
 * and of two the one in which the caller came. `route`: what `meshRoute` says.
 */
export function securityTo(
  { transport }: Plane,
  { cluster }: ToCluster,
  endpoint: DataEndpoint,
  origin: Origin,
  route: MeshRoute | undefined,
): Security {
  const before = securityOfOrigin(origin);
  if (endpoint.local || before !== "same_host") return before;
  if (route !== undefined) return transport.isMeshed ? "mutual_tls" : "no_identity";
  if (cluster.settings.mtls === "disable") return "disabled";
  const isOffered = endpoint.mesh !== undefined && endpoint.identity !== undefined;
  return isOffered ? "no_identity" : "not_in_mesh";
}

/** A workload of this host, or the host itself. */
function isOfThisHost({ entry, workload, address }: Origin): boolean {
  return entry !== "inbound" && (workload !== null || isLoopback(address));
}
