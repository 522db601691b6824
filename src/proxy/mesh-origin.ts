import { canonicalAddress, type HostPort } from "../core/address.ts";
import type { Origin } from "./context.ts";
import type { MeshPeer } from "./downstream/mesh-request.ts";
import type { Plane } from "./plane.ts";

/** Where traffic of another host comes from. `client`: address of the calling workload; "" where it is not said. */
export function meshOrigin(
  plane: Plane,
  { principal, peer, identity, remote }: MeshPeer,
  destination: HostPort | null,
  client: string,
): Origin {
  return {
    entry: "mesh",
    // A host that does not say for whom it calls, calls for itself.
    address: client === "" ? remote : canonicalAddress(client),
    workload: null,
    destination,
    identity: principal,
    caller: plane.callers.of(principal),
    peer: { fingerprint: peer.fingerprint, presented: identity },
  };
}
