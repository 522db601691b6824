import type { ServiceLimits } from "./routing/policy/service-limits.ts";
import type { EndpointState } from "./upstream/balance/endpoint-state.ts";
import type { ConnectionCounts } from "./upstream/pool/pool.ts";

/** Connections counted on their endpoint, and on their service where that has a limit; outside the mesh on neither. */
export function connectionCounts(
  endpoints: EndpointState,
  services: ServiceLimits,
): ConnectionCounts {
  return {
    tryOpenConnection({ slot, limits }, max) {
      if (slot < 0) return true;
      const most = limits?.maxConnections;
      const isCounted = limits !== undefined && limits.slot >= 0 && most !== undefined;
      if (isCounted && !services.tryConnection(limits.slot, most)) return false;
      if (endpoints.tryOpenConnection(slot, max)) return true;
      if (isCounted) services.endConnection(limits.slot);
      return false;
    },
    closeConnection({ slot, limits }) {
      if (slot < 0) return;
      endpoints.closeConnection(slot);
      if (limits !== undefined && limits.slot >= 0 && limits.maxConnections !== undefined) {
        services.endConnection(limits.slot);
      }
    },
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
