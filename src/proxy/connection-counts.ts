import type { ServiceLimits } from "./routing/policy/service-limits.ts";
import type { EndpointState } from "./upstream/balance/endpoint-state.ts";
import type { ConnectionCounts } from "./upstream/pool/connection-counts.ts";
import type { PoolLimits } from "./upstream/pool/upstream-pool.ts";

/**
 * Connections counted on their endpoint while they are open, and on their service while they are in use, where that has
 * a limit; outside the mesh on neither.
 */
export function connectionCounts(
  endpoints: EndpointState,
  services: ServiceLimits,
): ConnectionCounts {
  const tryUse = (limits: PoolLimits | undefined) =>
    limits?.maxConnections === undefined ||
    limits.slot < 0 ||
    services.tryConnection(limits.slot, limits.maxConnections);
  const endUse = (limits: PoolLimits | undefined) => {
    if (limits?.maxConnections === undefined || limits.slot < 0) return;
    services.endConnection(limits.slot);
  };
  return {
    tryOpenConnection({ slot, limits }, max) {
      if (slot < 0) return true;
      if (!tryUse(limits)) return false;
      if (endpoints.tryOpenConnection(slot, max)) return true;
      endUse(limits);
      return false;
    },
    closeConnection({ slot }) {
      if (slot >= 0) endpoints.closeConnection(slot);
    },
    tryUse: ({ limits }) => tryUse(limits),
    endUse: ({ limits }) => endUse(limits),
    tryWait({ limits }) {
      if (limits === undefined || limits.slot < 0 || limits.maxPending === undefined) return true;
      return services.tryPending(limits.slot, limits.maxPending);
    },
    endWait({ limits }) {
      if (limits === undefined || limits.slot < 0 || limits.maxPending === undefined) return;
      services.endPending(limits.slot);
    },
  };
}
